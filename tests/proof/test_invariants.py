"""The invariants see what they are for: each is broken once, and each says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.proof.invariants import Snapshot, left_behind, unfinished, violations

Job = dict[str, Any]


def entry(sequence: int, kind: str, credits_: int, after: tuple[int, int], **more: Any) -> Job:
    return {
        "sequence": sequence,
        "kind": kind,
        "credits": credits_,
        "balance_after": after[0],
        "held_after": after[1],
        **more,
    }


def job(job_id: str, status: str, *, image: bool, video: bool) -> Job:
    made: Job = {"job_id": job_id, "status": status}
    for name, credits_, there in (("image", 1, image), ("video", 10, video)):
        made[name] = {"credits": credits_}
        if there:
            made[name]["asset"] = {
                "bucket": "videos",
                "key": f"videos/u-ada/{job_id}/a/{name}",
                "sha256": f"digest of {name}",
                "thumbnail_key": None,
            }
    return made | ({"open": "1"} if status == "processing" else {"completed_at": "now"})


def sound() -> Snapshot:
    """One job completed, one whose video failed, one under way: 100 credits, 12 used, 11 held."""
    return Snapshot(
        user_id="ada",
        account={"available": 77, "held": 11, "last_sequence": 11, "open_jobs": 1},
        entries=[
            entry(1, "grant", 100, (100, 0)),
            entry(2, "hold", 1, (99, 1), job_id="done", stage="image"),
            entry(3, "hold", 10, (89, 11), job_id="done", stage="video"),
            entry(4, "capture", 1, (89, 10), job_id="done", stage="image"),
            entry(5, "capture", 10, (89, 0), job_id="done", stage="video"),
            entry(6, "hold", 1, (88, 1), job_id="half", stage="image"),
            entry(7, "hold", 10, (78, 11), job_id="half", stage="video"),
            entry(8, "capture", 1, (78, 10), job_id="half", stage="image"),
            entry(9, "release", 10, (88, 0), job_id="half", stage="video"),
            entry(10, "hold", 1, (87, 1), job_id="open", stage="image"),
            entry(11, "hold", 10, (77, 11), job_id="open", stage="video"),
        ],
        jobs=[
            job("done", "completed", image=True, video=True),
            job("half", "failed", image=True, video=False),
            job("open", "processing", image=True, video=False),
        ],
        objects={
            ("videos", f"videos/u-ada/{job_id}/a/{name}"): f"digest of {name}"
            for job_id, name in (
                ("done", "image"),
                ("done", "video"),
                ("half", "image"),
                ("open", "image"),
            )
        },
        paid={
            ("done", "image"): 1,
            ("done", "video"): 1,
            ("half", "image"): 1,
            ("half", "video"): 1,
            ("open", "image"): 1,
        },
    )


def test_sound_books_have_no_violation() -> None:
    assert violations(sound()) == []
    assert violations(sound(), sound()) == []
    assert violations(Snapshot("nobody", None, [], [])) == []


Breakage = Callable[[Any], None]


def entries(number: int, **changes: Any) -> Breakage:
    return lambda now: now.entries[number - 1].update(changes)


def account(**changes: Any) -> Breakage:
    return lambda now: now.account.update(changes)


def of_job(number: int, **changes: Any) -> Breakage:
    return lambda now: now.jobs[number].update(changes)


def again(number: int, kind: str, sequence: int) -> Breakage:
    """A line that repeats another, as another kind."""
    return lambda now: now.entries.append(
        now.entries[number - 1] | {"kind": kind, "sequence": sequence}
    )


VIDEO = ("videos", "videos/u-ada/done/a/video")


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (account(available=-1), "-1 credits are available"),
        (account(held=10), "10 credits are held, but open holds are 11"),
        (account(available=78), "the account says 78 + 11, its journal 77 + 11"),
        (account(available=78), "78 + 11 credits are there, 88 were given and not used"),
        (account(last_sequence=12), "last_sequence is 12 of 11 lines"),
        (account(open_jobs=2), "open_jobs is 2, and 1 jobs are open"),
        (entries(1, credits=101), "line 1 of the journal (grant) says 100 available after it"),
        (entries(1, credits=0), "line 1 of the journal (grant) moves 0 credits"),
        (entries(3, held_after=12), "line 3 of the journal (hold) says 12 held after it"),
        (entries(11, sequence=12), "line 12 of the journal (hold) should be line 11"),
        (entries(1, kind="gift"), "is of no kind we know"),
        (entries(3, credits=200), "leaves -101 credits available"),
        (entries(4, credits=2), "resolves 2 of the 1 credits held for ('done', 'image')"),
        (entries(4, stage="sound"), "resolves a hold of ('done', 'sound') that never was"),
        (again(9, "capture", 12), "resolves the hold of ('half', 'video') again, which was a"),
        (again(9, "release", 12), "resolves the hold of ('half', 'video') again, which was a"),
        (again(9, "hold", 12), "holds for ('half', 'video') a second time"),
        (lambda now: now.jobs.pop(), "credits were held for image of open, which there is not"),
        (of_job(2, status="failed"), "(failed): the hold of image is still open"),
        (of_job(2, status="failed"), "but the index of open jobs disagrees"),
        (of_job(2, status="failed"), "completed_at disagrees"),
        (of_job(1, status="processing"), "(processing): the hold of image is resolved already"),
        (of_job(2, image={"credits": 2}), "image costs 2, and 1 are held for it"),
        (of_job(1, status="completed"), "(completed): there is no file of video"),
        (of_job(0, video={"credits": 10}), "is a capture, its file is there: False"),
        (
            lambda now: now.jobs[1]["video"].update(asset=now.jobs[0]["video"]["asset"]),
            "is a release, its file is there: True",
        ),
        (of_job(0, job_id="other"), "(completed): nothing was ever held for image"),
        (lambda now: now.objects.pop(VIDEO), "the file of video is not in the bucket"),
        (lambda now: now.objects.update({VIDEO: "?"}), "is another than was recorded"),
        (
            lambda now: now.jobs[0]["video"]["asset"].update(thumbnail_key="thumb"),
            "the thumbnail of video is not in the bucket",
        ),
        (lambda now: now.paid.update({("half", "video"): 2}), "video of job half was paid for 2"),
        (lambda now: now.paid.pop(("done", "video")), "has a file that no provider made"),
    ],
)
def test_what_is_broken_is_named(breakage: Breakage, sentence: str) -> None:
    now = copy.deepcopy(sound())
    breakage(now)
    assert any(sentence in found for found in violations(now)), violations(now)


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (entries(1, created_at="later"), "a line of the journal was changed or removed"),
        (lambda now: now.jobs.pop(0), "job done is gone"),
        (of_job(0, status="failed"), "job done had ended as completed and is failed now"),
    ],
)
def test_what_was_written_stays_written(breakage: Breakage, sentence: str) -> None:
    now = copy.deepcopy(sound())
    breakage(now)
    assert any(sentence in found for found in violations(now, sound())), violations(now, sound())


def test_money_and_jobs_without_an_account_are_named() -> None:
    assert "11 entries and 3 jobs, but no account" in violations(replace(sound(), account=None))[0]


def test_what_a_deletion_leaves_is_named() -> None:
    now = copy.deepcopy(sound())
    now.jobs[0]["deleted"] = True  # type: ignore[index]
    assert violations(now) == []
    assert len(left_behind(now)) == 2
    assert left_behind(sound()) == []


def test_a_job_that_never_ends_is_named() -> None:
    assert unfinished(sound()) == ["ada: job open is processing for ever"]
