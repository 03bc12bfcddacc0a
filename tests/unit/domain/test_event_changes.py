"""Which records of the streams are events: for any change, and with the filters of the template."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint import lots
from clipmint.events import changes
from clipmint.events.changes import Changes, changes_in, event_id, plain
from clipmint.lots import CreditKind, Lot
from docs.openapi_webhooks import DATA, schema_of
from tests.support import streams

KEY = {"job_id": {"S": "job-1"}}
ENDED = ("completed", "failed", "cancelled")


def marked(value: Any) -> dict[str, Any]:
    """A value with DynamoDB's type marks."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": str(value)}
    if isinstance(value, dict):
        return {"M": {name: marked(one) for name, one in value.items()}}
    if isinstance(value, list):
        return {"L": [marked(one) for one in value]}
    return {"NULL": True} if value is None else {"S": value}


def record(
    keys: dict[str, Any], new: dict[str, Any] | None, old: dict[str, Any] | None
) -> dict[str, Any]:
    kind = "MODIFY" if new and old else "INSERT" if new else "REMOVE"
    images = {"NewImage": new, "OldImage": old}
    return {
        "eventName": kind,
        "dynamodb": {
            "Keys": {name: marked(value) for name, value in keys.items()},
            "ApproximateCreationDateTime": 1_795_168_870,
            "SequenceNumber": "1",
            **{name: marked(image)["M"] for name, image in images.items() if image},
        },
    }


ASSETS = st.sampled_from([{}, {"asset": {"key": "k"}}])
ORPHANS = st.lists(st.sampled_from(["r1", "r2", "r3"]), unique=True, max_size=3)


def orphan(request_id: str) -> dict[str, Any]:
    return {
        "stage": "video",
        "provider": "fal",
        "endpoint": "e",
        "request_id": request_id,
        "credits": 16,
        "found_at": "2026-11-20T10:01:10.000Z",
    }


@st.composite
def job_changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """The old and the new item of a job, as one of our writes could leave them."""
    job: dict[str, Any] = {
        "job_id": "job-1",
        "user_id": "ada",
        "status": "pending",
        "open": "1",
        "revision": draw(st.integers(1, 50)),
        "model_id": "veo-3.1",
        "prompt": "a fox",
        "updated_at": "2026-11-20T10:01:10.000Z",
        "video": {"credits": 16, **draw(ASSETS)},
    }
    if draw(st.booleans()):
        job["scene_id"] = "scene-1"
    if draw(st.booleans()):
        job["batch_id"] = "batch-1"
    if draw(st.booleans()):
        job["image"] = {"credits": 1, **draw(ASSETS)}
    recorded = draw(ORPHANS)
    before = draw(st.integers(0, len(recorded)))
    if recorded[:before]:
        job["orphans"] = [orphan(one) for one in recorded[:before]]
        job["newest_orphan"] = recorded[before - 1]
    if draw(st.booleans()):
        _end(job, draw(st.sampled_from(ENDED)))
    new = copy.deepcopy(job)
    what = draw(st.sampled_from(["end", "image", "orphan", "other"]))
    if what == "end" and "open" in new:
        new["revision"] += 1
        _end(new, draw(st.sampled_from(ENDED)))
    elif what == "image" and "image" in new:
        new["revision"] += 1
        new["image"]["asset"] = {"key": "k2"}
    elif what == "orphan" and recorded[before:]:
        new["orphans"] = [orphan(one) for one in recorded]
        new["newest_orphan"] = recorded[-1]
    else:
        new["deleted"] = True
    return job, new


def _end(job: dict[str, Any], status: str) -> None:
    del job["open"]
    job |= {"status": status, "completed_at": "2026-11-20T10:01:10.000Z"}
    if status != "completed":
        job["failure"] = "INTERNAL"


def expected(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The types of events, in any order, computed in another way."""
    kinds = []
    if "open" in old and "open" not in new:
        kinds.append(f"video.{new['status']}")
    had, has = ("asset" in job.get("image", {}) for job in (old, new))
    if "scene_id" in new and has and not had:
        kinds.append("scene.image_ready")
    more = len(new.get("orphans", [])) - len(old.get("orphans", []))
    return kinds + ["orphan.recorded"] * more


@given(job_changes())
def test_each_change_of_a_job_is_the_events_it_must_be_and_passes_the_filter(
    change: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    old, new = change
    found = record({"job_id": "job-1"}, new, old)
    made = changes_in(found, low_credits=0)
    assert sorted(event.type for event in made.events) == sorted(expected(old, new))
    assert len({event.event_id for event in made.events}) == len(made.events)
    if made != Changes():
        # Lambda passes only what a filter accepts.
        assert streams.passes(found, streams.filters("JobsTable"))
    assert changes_in(json.loads(json.dumps(found)), low_credits=0) == made
    ended = "open" in old and "open" not in new
    assert (made.ended_clip is not None) is (ended and "batch_id" in new)
    for event in made.events:
        assert "fox" not in event.body()
        _check_schema(event.payload())


def _check_schema(payload: dict[str, Any]) -> None:
    import jsonschema_rs

    schema = schema_of(payload["type"])
    # Ids of these tests are no UUIDs, so formats are not checked.
    assert list(jsonschema_rs.validator_for(schema).iter_errors(payload)) == []
    assert payload["data"].keys() == DATA[payload["type"]][1].keys()


@given(
    before=st.none() | st.integers(0, 200),
    after=st.integers(0, 200),
    threshold=st.integers(0, 200),
)
def test_low_credits_are_an_event_at_a_crossing_alone(
    before: int | None, after: int, threshold: int
) -> None:
    keys = {"user_id": "ada", "sk": "ACCOUNT"}
    new = {**keys, "available": after, "held": 0, "last_sequence": 7}
    old = None if before is None else {**new, "available": before, "last_sequence": 6}
    found = record(keys, new, old)
    made = changes_in(found, low_credits=threshold)
    crossed = before is not None and after < threshold <= before
    assert [event.type for event in made.events] == ["credits.low"] * crossed
    if crossed:
        assert streams.passes(found, streams.filters("LedgerTable", threshold))
        _check_schema(made.events[0].payload())


@pytest.mark.parametrize("plain_before", [True, False])
def test_credits_in_lots_count(plain_before: bool) -> None:
    keys = {"user_id": "ada", "sk": "ACCOUNT"}
    promo = (Lot(2, CreditKind.PROMO, 30, None),)
    old: dict[str, Any] = {**keys, "available": 60, "last_sequence": 6, "held": 0}
    if not plain_before:
        old |= {"purchased": 30, "lots": lots.to_json(promo)}
        del old["available"]
    new = {**keys, "purchased": 10, "lots": lots.to_json(promo), "last_sequence": 7, "held": 20}
    [low] = changes_in(record(keys, new, old), low_credits=50).events
    assert (low.type, low.data["available"]) == ("credits.low", 40)
    assert changes_in(record(keys, new, old), low_credits=40).events == ()


@pytest.mark.parametrize("kind", ["hold", "capture", "release", "adjust", "of a newer version"])
def test_no_entry_but_a_grant_is_an_event(kind: str) -> None:
    keys = {"user_id": "ada", "sk": "ENTRY#1"}
    made = changes_in(record(keys, {**keys, "kind": kind}, None), low_credits=10)
    assert made == Changes()


def test_a_deleted_item_is_no_event() -> None:
    keys = {"user_id": "ada", "sk": "ACCOUNT"}
    assert changes_in(record(keys, None, {**keys, "available": 5}), low_credits=9) == Changes()


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_no_two_events_have_one_id(one: list[str], other: list[str]) -> None:
    assert (event_id(*one) == event_id(*other)) is (one == other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_an_item_is_read_as_it_was_written(item: dict[str, Any]) -> None:
    assert plain(marked(item)["M"]) == item


def test_the_types_are_those_of_the_document_and_of_the_requests() -> None:
    from typing import get_args

    from clipmint.events.endpoint_requests import EventType

    assert set(changes.TYPES) == set(DATA) == set(get_args(EventType))


def test_the_largest_event_is_below_twenty_kilobytes() -> None:
    from clipmint.orders.order_requests import MAX_CLIPS

    uuid = "5f2c7c8e-93a4-5b8e-8f0d-2a1f0c6d9e11"
    job = {
        "job_id": uuid,
        "scene_id": uuid,
        "status": "cancelled",
        "completed_at": "2026-11-20T10:01:10.000Z",
        "credits_used": 100_000_000,
    }
    event = changes.clips_finished("u" * 1_024, uuid, uuid, [job] * MAX_CLIPS)
    assert len(event.body().encode()) < 20_000
