"""Committed changes as events: a pure function of the records of the tables' streams.

A stream has one record for each committed change of an item and none for a change that was not
committed, so the same is true of the events. A record may be delivered more than once. An event's
id is derived from what it is about, so it is the same each time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clipmint import clock, lots
from clipmint.stages import IMAGE, STAGES
from clipmint.values import frozen

VERSION = 1
"""Of the payloads. New members do not change it; it changes when a member is removed or changes
its meaning."""

VIDEO_COMPLETED = "video.completed"
VIDEO_FAILED = "video.failed"
VIDEO_CANCELLED = "video.cancelled"
IMAGE_READY = "scene.image_ready"
CLIPS_FINISHED = "clips.finished"
CREDITS_GRANTED = "credits.granted"
CREDITS_LOW = "credits.low"
ORPHAN_RECORDED = "orphan.recorded"

ENDS = {"completed": VIDEO_COMPLETED, "failed": VIDEO_FAILED, "cancelled": VIDEO_CANCELLED}
"""The type of the event of a job's end, by its status."""

TYPES = (
    *ENDS.values(),
    IMAGE_READY,
    CLIPS_FINISHED,
    CREDITS_GRANTED,
    CREDITS_LOW,
    ORPHAN_RECORDED,
)

_NAMESPACE = uuid.UUID("d327b677-9850-5f4c-bee5-9992d2b54d70")

Plain = Mapping[str, Any]
"""An item without DynamoDB's type marks."""


@frozen
class Event:
    """Something that happened. ``timestamp`` is when it was committed, as RFC 3339 text."""

    event_id: str
    type: str
    timestamp: str
    data: Mapping[str, Any]

    def payload(self) -> dict[str, Any]:
        """What a receiver gets."""
        return {
            "type": self.type,
            "timestamp": self.timestamp,
            "version": VERSION,
            "data": dict(self.data),
        }

    def body(self) -> str:
        """The payload as JSON, always with the same bytes."""
        return to_json(self.payload())


@frozen
class EndedClip:
    """A job's end that may be the last of its call: ``batch_id`` identifies the call."""

    user_id: str
    batch_id: str


@frozen
class Changes:
    """The events of one record; and the call whose clips may all have ended, if there is one.
    ``unreadable``: for each event that the item has not the attributes for, what is wrong."""

    events: tuple[Event, ...] = ()
    ended_clip: EndedClip | None = None
    unreadable: tuple[Exception, ...] = ()


NOTHING = Changes()


def to_json(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def event_id(*parts: str) -> str:
    """The id of the event about these parts: always the same, and no other event's."""
    # JSON, so that no two lists of parts are one text.
    return f"evt_{uuid.uuid5(_NAMESPACE, json.dumps(parts)).hex}"


def end_id(job_id: str) -> str:
    """The id of the event of a job's end."""
    return event_id("job", job_id, "ended")


def orphan_id(job_id: str, provider: str, request_id: str) -> str:
    """The id of the event about an orphan of a job."""
    return event_id("job", job_id, "orphan", provider, request_id)


def changes_in(record: Mapping[str, Any], *, low_credits: int) -> Changes:
    """The events of one record of the stream of the Jobs or the Ledger table.

    Parameters
    ----------
    record
        As Lambda passes it, with the new and the old image.
    low_credits
        Below how many available credits an account is low; 0: never.

    Raises
    ------
    AttributeError, LookupError, TypeError, ValueError
        Nothing of the record can be read. For one event of several, see `Changes.unreadable`.
    """
    change = record["dynamodb"]
    new, old = plain(change.get("NewImage", {})), plain(change.get("OldImage", {}))
    if not new:
        return NOTHING
    if "job_id" in change["Keys"]:
        return _of_job(new, old)
    if new["sk"] == "ACCOUNT":
        written_at = datetime.fromtimestamp(int(change["ApproximateCreationDateTime"]), UTC)
        return Changes(tuple(_of_account(new, old, low_credits, clock.iso(written_at))))
    if new.get("kind") == "grant" and not old:
        events, unreadable = _made([partial(_granted, new)])
        return Changes(events, unreadable=unreadable)
    return NOTHING


def plain(image: Mapping[str, Any]) -> dict[str, Any]:
    """An image of an item without type marks. Whole numbers are integers."""
    return {name: _plain(value) for name, value in image.items()}


def _plain(marked: Mapping[str, Any]) -> Any:
    ((kind, value),) = marked.items()
    if kind == "N":
        return float(value) if set(value) & set(".eE") else int(value)
    if kind == "M":
        return plain(value)
    if kind == "L":
        return [_plain(one) for one in value]
    return None if kind == "NULL" else value


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────


def _of_job(new: Plain, old: Plain) -> Changes:
    if not old:
        return NOTHING  # a new job
    makers: list[Callable[[], Event | None]] = [partial(_image_ready, new, old)]
    makers += [partial(_orphan, new, old, one) for one in _orphans_of(new)]
    ended_clip = None
    if "open" in old and "open" not in new and new["status"] in ENDS:
        makers.append(partial(_ended, new))
        if new.get("batch_id"):
            ended_clip = EndedClip(new["user_id"], new["batch_id"])
    events, unreadable = _made(makers)
    return Changes(events, ended_clip, unreadable)


def _made(
    makers: Sequence[Callable[[], Event | None]],
) -> tuple[tuple[Event, ...], tuple[Exception, ...]]:
    """The events that can be made. What is wrong with one, such as an orphan, hides no other."""
    events, unreadable = list[Event](), list[Exception]()
    for make in makers:
        try:
            event = make()
            if event is not None:
                clock.from_iso(event.timestamp)
                events.append(event)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            unreadable.append(error)
    return tuple(events), tuple(unreadable)


def _job_data(job: Plain) -> dict[str, Any]:
    """What each event about a job contains."""
    return {
        "job_id": job["job_id"],
        "user_id": job["user_id"],
        "revision": job["revision"],
        "project_id": job.get("project_id"),
        "scene_id": job.get("scene_id"),
        "batch_id": job.get("batch_id"),
    }


def _ended(job: Plain) -> Event:
    stages = [job[name] for name in STAGES if name in job]
    data = _job_data(job) | {
        "status": job["status"],
        "model_id": job["model_id"],
        "credits_held": sum(stage["credits"] for stage in stages),
        "credits_used": sum(stage["credits"] for stage in stages if has_file(stage)),
        "error_code": job.get("failure"),
    }
    kind = ENDS[job["status"]]
    return Event(end_id(job["job_id"]), kind, job["completed_at"], data)


def has_file(stage: Plain) -> bool:
    """Whether a file of a stage is stored: then the stage is charged."""
    return "asset" in stage or any(one.get("asset") for one in stage.get("earlier", ()))


def _image_ready(new: Plain, old: Plain) -> Event | None:
    """The image of a scene was stored. A job can store a second one."""
    if not new.get("scene_id") or not _has_image(new) or _has_image(old):
        return None
    key = event_id("job", new["job_id"], "image", str(new["revision"]))
    return Event(key, IMAGE_READY, new["updated_at"], _job_data(new))


def _has_image(job: Plain) -> bool:
    return "asset" in job.get(IMAGE, {})


def _orphans_of(job: Plain) -> Sequence[Any]:
    """A job's orphans. What is no list is one that cannot be read."""
    orphans = job.get("orphans", [])
    return orphans if isinstance(orphans, list) else [orphans]


def _orphan(new: Plain, old: Plain, orphan: Any) -> Event | None:
    """An orphan was recorded."""
    before = _orphans_of(old)
    if orphan in before:
        return None
    key = _orphan_key(orphan)
    if any(isinstance(one, dict) and _orphan_key(one) == key for one in before):
        return None
    names = ("stage", "provider", "endpoint", "request_id", "credits")
    return Event(
        orphan_id(new["job_id"], *key),
        ORPHAN_RECORDED,
        orphan["found_at"],
        _job_data(new) | {name: orphan[name] for name in names},
    )


def _orphan_key(orphan: Plain) -> tuple[Any, Any]:
    return orphan.get("provider"), orphan.get("request_id")


def clips_finished(user_id: str, batch_id: str, project_id: str, jobs: Sequence[Plain]) -> Event:
    """All clips of one call have ended.

    Parameters
    ----------
    jobs
        Of each clip, in the order of the call: ``job_id``, ``scene_id``, ``status``,
        ``completed_at`` (text), ``credits_used``.
    """
    named = ("scene_id", "job_id", "status", "credits_used")
    data = {
        "batch_id": batch_id,
        "user_id": user_id,
        "project_id": project_id,
        "clips": [{name: job[name] for name in named} for job in jobs],
        "credits_used": sum(job["credits_used"] for job in jobs),
    }
    ended_at = max(job["completed_at"] for job in jobs)
    return Event(event_id("batch", batch_id, "finished"), CLIPS_FINISHED, ended_at, data)


# ── Credits ──────────────────────────────────────────────────────────────────────────────────────


def _granted(entry: Plain) -> Event:
    data = {
        "user_id": entry["user_id"],
        "credits": entry["credits"],
        "available": entry["balance_after"],
        "held": entry["held_after"],
        "debt": entry.get("debt_after") or 0,
        "kind": entry.get("credit_kind") or "purchased",
        "expires_at": entry.get("expires_at"),
        "reference": entry["reference"],
        "sequence": entry["sequence"],
    }
    key = event_id("entry", entry["user_id"], entry["sk"])
    return Event(key, CREDITS_GRANTED, entry["created_at"], data)


def _of_account(new: Plain, old: Plain, low_credits: int, written_at: str) -> Iterator[Event]:
    """Credits fell below the owner's threshold: once, until there are enough again."""
    available = _available(new)
    if available < low_credits <= (_available(old) if old else 0):
        data = {
            "user_id": new["user_id"],
            "available": available,
            "held": new["held"],
            "threshold": low_credits,
            "sequence": new["last_sequence"],
        }
        key = event_id("account", new["user_id"], "low", str(new["last_sequence"]))
        yield Event(key, CREDITS_LOW, written_at, data)


def _available(account: Plain) -> int:
    """The credits of an account, also those that have ended since its last change."""
    if "available" in account:
        return int(account["available"])
    return int(account["purchased"]) + lots.total(lots.from_json(account["lots"]))
