"""What is true of every user at every moment, whatever crashed, raced or was forged.

`violations` looks at records as they lie in the tables and buckets, not at what our code makes of
them, and shares no code with what it judges. The crash matrix, the stateful model, the end-to-end
tests and the soak all ask it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]
"""A DynamoDB item without its type marks."""

STAGES = ("image", "video")
"""Members of a job's item that are stages, in the order they run."""

TERMINAL = frozenset({"completed", "failed", "cancelled"})

_AVAILABLE = {"grant": 1, "hold": -1, "capture": 0, "release": 1, "adjust": 1}
_HELD = {"grant": 0, "hold": 1, "capture": -1, "release": -1, "adjust": 0}


@dataclass(frozen=True)
class Snapshot:
    """Everything there is about one user, at one moment.

    Attributes
    ----------
    account
        The account's item; None for a user who never had credits.
    entries
        The journal's items, in any order.
    jobs
        The items of all of the user's jobs, also the deleted ones.
    objects
        SHA-256 in hex of every file that belongs to the user, by bucket and key.
    paid
        Submissions that a provider took, and the owner pays for, by job and stage, as the providers
        count them. None where no provider is there to ask.
    """

    user_id: str
    account: Item | None
    entries: Sequence[Item]
    jobs: Sequence[Item]
    objects: Mapping[tuple[str, str], str] = field(default_factory=dict)
    paid: Mapping[tuple[str, str], int] | None = None

    @property
    def journal(self) -> list[Item]:
        """The entries, oldest first."""
        return sorted(self.entries, key=lambda entry: int(entry["sequence"]))


def violations(now: Snapshot, before: Snapshot | None = None) -> list[str]:
    """Everything that is not as it must be, one sentence each; empty when all is well.

    Parameters
    ----------
    before
        The same user, earlier: whatever the journal said then, it must still say.
    """
    holds, books = _read_books(now.journal)
    found = [
        *books,
        *_account_violations(now, holds),
        *(_history_violations(now, before) if before else ()),
        *_job_violations(now, holds),
        *_file_violations(now),
        *_payment_violations(now),
    ]
    return [f"{now.user_id}: {sentence}" for sentence in found]


def stages_of(job: Item) -> dict[str, Item]:
    """The stages of a job's item, in the order they run."""
    return {name: job[name] for name in STAGES if job.get(name) is not None}


@dataclass
class _Holds:
    """What the journal says of every hold: its credits while open, and how it was resolved."""

    available: int = 0
    held: int = 0
    open: dict[tuple[str, str], int] = field(default_factory=dict)
    resolved: dict[tuple[str, str], str] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)


def _read_books(journal: Sequence[Item]) -> tuple[_Holds, list[str]]:
    """The journal added up from its first line on."""
    holds, found = _Holds(), []
    for number, entry in enumerate(journal, start=1):
        kind, credits_, sequence = entry["kind"], int(entry["credits"]), int(entry["sequence"])
        line = f"line {sequence} of the journal ({kind})"
        if sequence != number:
            found.append(f"{line} should be line {number}")
        if kind not in _AVAILABLE:
            found.append(f"{line} is of no kind we know")
            continue
        if credits_ <= 0 and kind != "adjust":
            found.append(f"{line} moves {credits_} credits")
        holds.available += _AVAILABLE[kind] * credits_
        holds.held += _HELD[kind] * credits_
        holds.totals[kind] += credits_
        if (said := int(entry["balance_after"])) != holds.available:
            found.append(f"{line} says {said} available after it, and it is {holds.available}")
        if (said := int(entry["held_after"])) != holds.held:
            found.append(f"{line} says {said} held after it, and it is {holds.held}")
        if holds.available < 0:
            found.append(f"{line} leaves {holds.available} credits available")
        if kind in {"hold", "capture", "release"}:
            found += [f"{line} {what}" for what in _move_hold(holds, entry)]
    return holds, found


def _move_hold(holds: _Holds, entry: Item) -> Iterator[str]:
    key, kind, credits_ = (entry["job_id"], entry["stage"]), entry["kind"], int(entry["credits"])
    if kind == "hold":
        if key in holds.open or key in holds.resolved:
            yield f"holds for {key} a second time"
        holds.open[key] = credits_
        return
    if key in holds.resolved:
        yield f"resolves the hold of {key} again, which was a {holds.resolved[key]}"
    elif key not in holds.open:
        yield f"resolves a hold of {key} that never was"
    elif holds.open[key] != credits_:
        yield f"resolves {credits_} of the {holds.open[key]} credits held for {key}"
    holds.open.pop(key, None)
    holds.resolved[key] = kind


def _account_violations(now: Snapshot, holds: _Holds) -> Iterator[str]:
    if now.account is None:
        if now.entries or now.jobs:
            yield f"{len(now.entries)} entries and {len(now.jobs)} jobs, but no account"
        return
    available, held = int(now.account["available"]), int(now.account["held"])
    if available < 0:
        yield f"{available} credits are available"
    if held != sum(holds.open.values()):
        yield f"{held} credits are held, but open holds are {sum(holds.open.values())}"
    if (available, held) != (holds.available, holds.held):
        yield (
            f"the account says {available} + {held}, its journal {holds.available} + {holds.held}"
        )
    owned = holds.totals["grant"] + holds.totals["adjust"] - holds.totals["capture"]
    if available + held != owned:
        yield f"{available} + {held} credits are there, {owned} were given and not used"
    if int(now.account["last_sequence"]) != len(now.entries):
        yield f"last_sequence is {now.account['last_sequence']} of {len(now.entries)} lines"
    unfinished = sum(job["status"] not in TERMINAL for job in now.jobs)
    if int(now.account["open_jobs"]) != unfinished:
        yield f"open_jobs is {now.account['open_jobs']}, and {unfinished} jobs are open"


def _history_violations(now: Snapshot, before: Snapshot) -> Iterator[str]:
    if now.journal[: len(before.entries)] != before.journal:
        yield "a line of the journal was changed or removed"
    ended = {job["job_id"]: job["status"] for job in before.jobs if job["status"] in TERMINAL}
    statuses = {job["job_id"]: job["status"] for job in now.jobs}
    for job in before.jobs:
        if job["job_id"] not in statuses:
            yield f"job {job['job_id']} is gone"
    for job_id, status in ended.items():
        if statuses.get(job_id, status) != status:
            yield f"job {job_id} had ended as {status} and is {statuses[job_id]} now"


def _job_violations(now: Snapshot, holds: _Holds) -> Iterator[str]:
    known = {(job["job_id"], name) for job in now.jobs for name in stages_of(job)}
    for job_id, name in sorted({*holds.open, *holds.resolved} - known):
        yield f"credits were held for {name} of {job_id}, which there is not"
    for job in now.jobs:
        for name, stage in stages_of(job).items():
            for sentence in _hold_violations(job, name, stage, holds):
                yield f"job {job['job_id']} ({job['status']}): {sentence}"
        terminal = job["status"] in TERMINAL
        if ("open" in job) == terminal:
            yield f"job {job['job_id']} is {job['status']}, but the index of open jobs disagrees"
        if (job.get("completed_at") is not None) != terminal:
            yield f"job {job['job_id']} is {job['status']}, completed_at disagrees"


def _hold_violations(job: Item, name: str, stage: Item, holds: _Holds) -> Iterator[str]:
    key, has_file = (job["job_id"], name), stage.get("asset") is not None
    if job["status"] not in TERMINAL:
        if key in holds.resolved:
            yield f"the hold of {name} is resolved already"
        elif holds.open.get(key) != int(stage["credits"]):
            yield f"{name} costs {stage['credits']}, and {holds.open.get(key)} are held for it"
        return
    if key in holds.open:
        yield f"the hold of {name} is still open"
    elif key not in holds.resolved:
        yield f"nothing was ever held for {name}"
    elif holds.resolved[key] != ("capture" if has_file else "release"):
        yield f"the hold of {name} is a {holds.resolved[key]}, its file is there: {has_file}"
    if job["status"] == "completed" and not has_file:
        yield f"there is no file of {name}"


def _file_violations(now: Snapshot) -> Iterator[str]:
    for job in now.jobs:
        assets = {
            name: stage["asset"] for name, stage in stages_of(job).items() if stage.get("asset")
        }
        if job.get("deleted"):
            continue
        for name, asset in assets.items():
            here = now.objects.get((asset["bucket"], asset["key"]))
            if here is None:
                yield f"job {job['job_id']}: the file of {name} is not in the bucket"
            elif here != asset["sha256"]:
                yield f"job {job['job_id']}: the file of {name} is another than was recorded"
            thumbnail = asset.get("thumbnail_key")
            if thumbnail and (asset["bucket"], thumbnail) not in now.objects:
                yield f"job {job['job_id']}: the thumbnail of {name} is not in the bucket"


def _payment_violations(now: Snapshot) -> Iterator[str]:
    if now.paid is None:
        return
    for (job_id, paid_stage), times in sorted(now.paid.items()):
        if times > 1:
            yield f"{paid_stage} of job {job_id} was paid for {times} times"
    for job in now.jobs:
        for name, stage in stages_of(job).items():
            if stage.get("asset") and not now.paid.get((job["job_id"], name)):
                yield f"{name} of job {job['job_id']} has a file that no provider made"


def left_behind(now: Snapshot) -> list[str]:
    """Files of deleted jobs. A deletion that died half-way leaves some, until it is repeated, so
    this holds once everybody has had their answer."""
    deleted = {job["job_id"] for job in now.jobs if job.get("deleted")}
    return [
        f"{now.user_id}: {key} is still there, though its job was deleted"
        for _, key in sorted(now.objects)
        if deleted & set(key.split("/"))
    ]


def unfinished(now: Snapshot) -> list[str]:
    """Jobs that have not ended: for when everybody has had all the time there is."""
    return [
        f"{now.user_id}: job {job['job_id']} is {job['status']} for ever"
        for job in now.jobs
        if job["status"] not in TERMINAL
    ]
