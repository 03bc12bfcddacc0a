"""What is true of every user at every moment, after any crash, race or forgery.

`violations` reads the items in the tables and buckets, not our code's view of them, and shares no
code with the code it checks. The crash matrix, the stateful model, the end-to-end tests and the
soak all use it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.lot_invariants import LotBooks, parts_of

Item = Mapping[str, Any]
"""A DynamoDB item without its type marks."""

STAGES = ("image", "video")
"""Members of a job's item that are stages, in the order they run."""

TERMINAL = frozenset({"completed", "failed", "cancelled"})

_FREE = {
    "grant": 1,
    "hold": -1,
    "capture": 0,
    "release": 1,
    "expire": -1,
    "clawback": -1,
    "adjust": 1,
}
"""What a line does to the credits that are available, less the debt."""
_HELD = {"hold": 1, "capture": -1, "release": -1}


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
    projects
        The user's items of the Projects table: projects, scenes, images, calls for clips. None
        where they were not read.
    """

    user_id: str
    account: Item | None
    entries: Sequence[Item]
    jobs: Sequence[Item]
    objects: Mapping[tuple[str, str], str] = field(default_factory=dict)
    paid: Mapping[tuple[str, str], int] | None = None
    projects: Sequence[Item] | None = None

    @property
    def journal(self) -> list[Item]:
        """The entries, oldest first."""
        return sorted(self.entries, key=lambda entry: int(entry["sequence"]))


def violations(now: Snapshot, before: Snapshot | None = None) -> list[str]:
    """Everything that is not as it must be, one sentence each; empty when all is well.

    Parameters
    ----------
    before
        The same user, earlier: entries that the journal had then must not have changed.
    """
    holds, books = _read_books(now.journal)
    found = [
        *books,
        *_account_violations(now, holds),
        *(_history_violations(now, before) if before else ()),
        *_job_violations(now, holds),
        *_file_violations(now),
        *_payment_violations(now),
        *_project_violations(now),
    ]
    return [f"{now.user_id}: {sentence}" for sentence in found]


def overdue_at(job: Item) -> int:
    """When a job may be given up, in epoch seconds: at its deadline, or a day later if the file of
    its current stage exists and has to be stored."""
    current = next((stage for stage in stages_of(job).values() if not stage.get("asset")), {})
    storing = "media_url" in (current.get("outcome") or {})
    return int(job["deadline"]) + (24 * 3_600 if storing else 0)


def stages_of(job: Item) -> dict[str, Item]:
    """The stages of a job's item, in the order they run."""
    return {name: job[name] for name in STAGES if job.get(name) is not None}


def tries_of(stage: Item) -> list[Item]:
    """How often a stage was made or attempted: attempts put aside for another one, and the last
    one.

    Each has an ``asset`` if its file was kept, and the ``request_id`` that identifies it at its
    provider.
    """
    last = {
        "asset": stage.get("asset"),
        "request_id": (stage.get("submission") or {}).get("request_id"),
    }
    return [*stage.get("earlier", ()), last]


def has_file(stage: Item) -> bool:
    """Whether any attempt of a stage has stored a file: then it is charged."""
    return any(one.get("asset") for one in tries_of(stage))


@dataclass
class _Holds:
    """The state of every hold in the journal: its credits while open, and how it was resolved."""

    available: int = 0
    held: int = 0
    lots: LotBooks = field(default_factory=LotBooks)
    open: dict[tuple[str, str], int] = field(default_factory=dict)
    resolved: dict[tuple[str, str], str] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)


def _read_books(journal: Sequence[Item]) -> tuple[_Holds, list[str]]:
    """The journal added up from its first entry on."""
    holds, found = _Holds(), []
    for number, entry in enumerate(journal, start=1):
        kind, credits_, sequence = entry["kind"], int(entry["credits"]), int(entry["sequence"])
        line = f"line {sequence} of the journal ({kind})"
        if sequence != number:
            found.append(f"{line} should be line {number}")
        if kind not in _FREE:
            found.append(f"{line} is of no kind we know")
            continue
        if credits_ <= 0 and (kind != "adjust" or not credits_):
            found.append(f"{line} moves {credits_} credits")
        owed = holds.lots.debt
        found += [f"{line} {what}" for what in holds.lots.move(entry)]
        holds.available += _FREE[kind] * credits_ + holds.lots.debt - owed
        holds.held += _HELD.get(kind, 0) * credits_
        holds.totals[kind] += credits_
        found += [f"{line} {what}" for what in _balances(holds, entry)]
        if kind in {"hold", "capture", "release"}:
            found += [f"{line} {what}" for what in _move_hold(holds, entry)]
    return holds, found


def _balances(holds: _Holds, entry: Item) -> Iterator[str]:
    if (recorded := int(entry["balance_after"])) != holds.available:
        yield f"says {recorded} available after it, and it is {holds.available}"
    if (recorded := int(entry["held_after"])) != holds.held:
        yield f"says {recorded} held after it, and it is {holds.held}"
    if holds.available < 0:
        yield f"leaves {holds.available} credits available"
    elif holds.available < sum(holds.lots.left.values()):
        yield f"leaves {holds.available} credits available, and {holds.lots.left} in lots"


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
    lots, plain = parts_of(now.account), "lots" not in now.account
    purchased = int(now.account["available" if plain else "purchased"])
    available, held = purchased + sum(lots.values()), int(now.account["held"])
    debt = int(now.account.get("debt") or 0)
    if min(purchased, held, debt, *lots.values(), 0) < 0:
        yield f"there are {purchased} purchased, {held} held, {lots} in lots, {debt} owed"
    yield from _debt_and_lots(now.account, holds, available, debt)
    if held != sum(holds.open.values()):
        yield f"{held} credits are held, but open holds are {sum(holds.open.values())}"
    if (available, held) != (holds.available, holds.held):
        yield (
            f"the account says {available} + {held}, its journal {holds.available} + {holds.held}"
        )
    given = holds.totals["grant"] + holds.totals["adjust"]
    owned = given - sum(holds.totals[kind] for kind in ("capture", "expire", "clawback"))
    if available + held - debt != owned:
        yield f"{available} + {held} - {debt} credits are there, {owned} were given and not used"
    if int(now.account["last_sequence"]) != len(now.entries):
        yield f"last_sequence is {now.account['last_sequence']} of {len(now.entries)} lines"
    clips = [job.get("batch_id") is not None for job in now.jobs if job["status"] not in TERMINAL]
    for counter, open_ in (("open_jobs", clips.count(False)), ("open_clips", clips.count(True))):
        if (recorded := int(now.account.get(counter) or 0)) != open_:
            yield f"{counter} is {recorded}, and {open_} are open"


def _debt_and_lots(account: Item, holds: _Holds, available: int, debt: int) -> Iterator[str]:
    if "lots" not in account and (debt or holds.lots.terms or holds.totals["clawback"]):
        yield "an earlier release could write this account without its lots or debt"
    if debt and available:
        yield f"{available} are available beside a debt of {debt}"
    if parts_of(account) != holds.lots.left:
        yield f"the account's lots are {parts_of(account)}, and its journal's {holds.lots.left}"
    if debt != holds.lots.debt:
        yield f"the account has a debt of {debt}, and its journal of {holds.lots.debt}"


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
    key, yielded = (job["job_id"], name), has_file(stage)
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
    elif holds.resolved[key] != ("capture" if yielded else "release"):
        yield f"the hold of {name} is a {holds.resolved[key]}, its file is there: {yielded}"
    if job["status"] == "completed" and not stage.get("asset"):
        yield f"there is no file of {name}"


def _file_violations(now: Snapshot) -> Iterator[str]:
    for job in now.jobs:
        if job.get("deleted"):
            continue
        for name, stage in stages_of(job).items():
            for asset in (one["asset"] for one in tries_of(stage) if one.get("asset")):
                here = now.objects.get((asset["bucket"], asset["key"]))
                if here is None:
                    yield f"job {job['job_id']}: the file of {name} is not in the bucket"
                elif here != asset["sha256"]:
                    yield f"job {job['job_id']}: the file of {name} is another than was recorded"
                thumbnail = asset.get("thumbnail_key")
                if thumbnail and (asset["bucket"], thumbnail) not in now.objects:
                    yield f"job {job['job_id']}: the thumbnail of {name} is not in the bucket"


def _payment_violations(now: Snapshot) -> Iterator[str]:
    """A stage is paid for once, and once more for each attempt that its job has put aside."""
    if now.paid is None:
        return
    stages = {
        (job["job_id"], name): stage for job in now.jobs for name, stage in stages_of(job).items()
    }
    for (job_id, name), times in sorted(now.paid.items()):
        aside = stages.get((job_id, name), {}).get("earlier", ())
        if times > 1 + sum(one.get("request_id") is not None for one in aside):
            yield f"{name} of job {job_id} was paid for {times} times"
    sources = {job["job_id"]: job.get("source_job_id") for job in now.jobs}
    for (job_id, name), stage in stages.items():
        if source := sources[job_id]:
            theirs = stages.get((source, name), {}).get("asset")
            if stage.get("asset") not in (None, theirs):
                yield f"{name} of job {job_id} is not the file of its source"
            continue
        files = sum(one.get("asset") is not None for one in tries_of(stage))
        if files > (paid := now.paid.get((job_id, name), 0)):
            yield f"{name} of job {job_id} has a file that no provider made: {files}, {paid} paid"


def _project_violations(now: Snapshot) -> Iterator[str]:
    if now.projects is None:
        return
    jobs = {job["job_id"]: job for job in now.jobs}
    for item in now.projects:
        kind, _, item_id = item["sk"].partition("#")
        if kind == "BATCH":
            found = _batch_violations(item_id, item, jobs)
        elif "renders" in item:
            found = _render_violations(item, jobs)
        else:
            continue
        for sentence in found:
            yield f"{kind.lower()} {item_id}: {sentence}"
    newest = {
        render["job_id"]
        for item in now.projects
        if "renders" in item
        for render in json.loads(item["renders"]).values()
    }
    rendering = [job for job in now.jobs if job.get("scene_id") and job["status"] not in TERMINAL]
    for scene_id, times in Counter(job["scene_id"] for job in rendering).items():
        if times > 1:
            yield f"scene {scene_id} is rendered by {times} jobs at once"
    for job_id in sorted({job["job_id"] for job in rendering} - newest):
        yield f"job {job_id} renders a scene, and its project does not know"


def _batch_violations(batch_id: str, item: Item, jobs: Mapping[str, Item]) -> Iterator[str]:
    for scene_id, job_id, credits_ in json.loads(item["clips"]):
        job = jobs.get(job_id)
        if job is None:
            yield f"{job_id} was started, which there is not"
        elif (job.get("scene_id"), job.get("batch_id")) != (scene_id, batch_id):
            yield f"{job_id} was started, which is no clip of its"
        elif int(job["video"]["credits"]) != int(credits_):
            yield f"{credits_} credits for {job_id}, which costs {job['video']['credits']}"


def _render_violations(project: Item, jobs: Mapping[str, Item]) -> Iterator[str]:
    for scene_id, render in json.loads(project["renders"]).items():
        if scene_id not in project["scene_ids"]:
            yield f"{scene_id} was rendered, which is no scene of its"
        for role, job_id in render.items():
            job = jobs.get(job_id)
            if job is None:
                yield f"{role} of {scene_id} is {job_id}, which there is not"
            elif job.get("scene_id") != scene_id:
                yield f"{role} of {scene_id} is {job_id}, which renders another"
            elif role == "image_job_id" and not has_file(job.get("image") or {}):
                yield f"{role} of {scene_id} is {job_id}, which has no picture"
            elif role == "video_job_id" and job["status"] != "completed":
                yield f"{role} of {scene_id} is {job_id}, which is {job['status']}"


def left_behind(now: Snapshot) -> list[str]:
    """Files of deleted jobs. A deletion that crashed half-way leaves some until it is repeated, so
    this holds once every user has a final response.
    """
    deleted = {job["job_id"] for job in now.jobs if job.get("deleted")}
    shown = {
        stage["asset"]["key"].rpartition("/")[0]
        for job in now.jobs
        if not job.get("deleted")
        for stage in (job.get(name, {}) for name in STAGES)
        if "asset" in stage
    }
    return [
        f"{now.user_id}: {key} is still there, though its job was deleted"
        for _, key in sorted(now.objects)
        if deleted & set(key.split("/")) and key.rpartition("/")[0] not in shown
    ]


def unfinished(now: Snapshot) -> list[str]:
    """Jobs that have not ended: for use after all deadlines and a sweep."""
    return [
        f"{now.user_id}: job {job['job_id']} is {job['status']} for ever"
        for job in now.jobs
        if job["status"] not in TERMINAL
    ]
