"""The invariants find what they are for: each is broken once, and each reports it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.invariants import Snapshot, left_behind, unfinished, violations

Job = dict[str, Any]
Breakage = Callable[[Any], None]


def at(minute: int) -> str:
    return f"2026-11-20T10:{minute:02}:00.000Z"


def entry(sequence: int, kind: str, credits_: int, after: tuple[int, int], **more: Any) -> Job:
    return {
        "sequence": sequence,
        "kind": kind,
        "credits": credits_,
        "balance_after": after[0],
        "held_after": after[1],
        "created_at": at(sequence),
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
    more: Job = {"scene_id": f"scene of {job_id}", "batch_id": None}
    return made | more | ({"open": "1"} if status == "processing" else {"completed_at": "now"})


def clip(job_id: str) -> Job:
    """A job of one stage, a clip of a batch, and still under way."""
    found = job(job_id, "processing", image=False, video=False) | {"batch_id": "batch-1"}
    del found["image"]
    return found


def project() -> Job:
    """The project of all scenes, as its item holds it."""
    renders = {
        "scene of done": {"job_id": "done"},
        "scene of half": {"job_id": "half", "image_job_id": "half"},
        "scene of open": {"job_id": "open"},
        "scene of clip": {"job_id": "clip"},
    }
    return {"sk": "PROJECT#p", "scene_ids": list(renders), "renders": json.dumps(renders)}


def sound() -> Snapshot:
    """One job completed, one whose video failed, one under way, and a clip: of 100 credits 12 are
    used and 21 held."""
    return Snapshot(
        user_id="ada",
        account={
            "available": 67,
            "held": 21,
            "last_sequence": 12,
            "open_jobs": 1,
            "open_clips": 1,
        },
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
            entry(12, "hold", 10, (67, 21), job_id="clip", stage="video"),
        ],
        jobs=[
            job("done", "completed", image=True, video=True),
            job("half", "failed", image=True, video=False),
            job("open", "processing", image=True, video=False),
            clip("clip"),
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
        projects=[
            project(),
            {"sk": "PROJECT#p#SCENE#scene of done", "scene_id": "scene of done"},
            {"sk": "BATCH#batch-1", "clips": json.dumps([["scene of clip", "clip", 10]])},
        ],
    )


def put_aside(asset: Job | None, request_id: str | None = "one") -> Breakage:
    """The image of the job under way was made before."""

    def breakage(now: Any) -> None:
        now.jobs[2]["image"]["earlier"] = [{"request_id": request_id, "asset": asset}]
        if asset:
            now.objects[asset["bucket"], asset["key"]] = asset["sha256"]

    return breakage


ASIDE: Job = {"bucket": "images", "key": "generated_images/x/open/1.png", "sha256": "first"}


def test_consistent_records_have_no_violation() -> None:
    assert violations(sound()) == []
    assert violations(sound(), sound()) == []
    assert violations(Snapshot("nobody", None, [], [])) == []


def entries(number: int, **changes: Any) -> Breakage:
    return lambda now: now.entries[number - 1].update(changes)


def account(**changes: Any) -> Breakage:
    return lambda now: now.account.update(changes)


def of_job(number: int, **changes: Any) -> Breakage:
    return lambda now: now.jobs[number].update(changes)


def again(number: int, kind: str, sequence: int) -> Breakage:
    """A line that repeats another, with another kind."""
    return lambda now: now.entries.append(
        now.entries[number - 1] | {"kind": kind, "sequence": sequence}
    )


def render(name: str, **changes: str) -> Breakage:
    """The project's record about the scene of a job differs."""

    def breakage(now: Any) -> None:
        renders = json.loads(now.projects[0]["renders"])
        renders[f"scene of {name}"].update(changes)
        now.projects[0]["renders"] = json.dumps(renders)

    return breakage


VIDEO = ("videos", "videos/u-ada/done/a/video")


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (account(available=-1), "there are -1 purchased, 21 held, {} in lots, 0 owed"),
        (account(held=10), "10 credits are held, but open holds are 21"),
        (account(available=68), "the account says 68 + 21, its journal 67 + 21"),
        (account(available=68), "68 + 21 - 0 credits are there, 88 were given and not used"),
        (account(last_sequence=13), "last_sequence is 13 of 12 lines"),
        (account(open_jobs=2), "open_jobs is 2, and 1 are open"),
        (account(open_clips=0), "open_clips is 0, and 1 are open"),
        (of_job(3, batch_id=None), "open_jobs is 1, and 2 are open"),
        (entries(1, credits=101), "line 1 of the journal (grant) says 100 available after it"),
        (entries(1, credits=0), "line 1 of the journal (grant) moves 0 credits"),
        (entries(3, held_after=12), "line 3 of the journal (hold) says 12 held after it"),
        (entries(12, sequence=13), "line 13 of the journal (hold) should be line 12"),
        (entries(1, kind="gift"), "is of no kind we know"),
        (entries(3, credits=200), "leaves -101 credits available"),
        (entries(4, credits=2), "resolves 2 of the 1 credits held for ('done', 'image')"),
        (entries(4, stage="sound"), "resolves a hold of ('done', 'sound') that never was"),
        (again(9, "capture", 13), "resolves the hold of ('half', 'video') again, which was a"),
        (again(9, "release", 13), "resolves the hold of ('half', 'video') again, which was a"),
        (again(9, "hold", 13), "holds for ('half', 'video') a second time"),
        (lambda now: now.jobs.pop(2), "credits were held for image of open, which there is not"),
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
        (put_aside(ASIDE), "image of job open has a file that no provider made: 2, 1 paid"),
        (
            render("done", job_id="gone"),
            "project p: job_id of scene of done is gone, which there is not",
        ),
        (render("done", job_id="half"), "is half, which renders another"),
        (render("half", image_job_id="clip"), "is clip, which renders another"),
        (render("clip", image_job_id="clip"), "is clip, which has no picture"),
        (render("half", video_job_id="half"), "is half, which is failed"),
        (render("open", job_id="done"), "job open renders a scene, and its project does not know"),
        (
            lambda now: now.projects[0]["scene_ids"].pop(),
            "scene of clip was rendered, which is no scene of its",
        ),
        (of_job(3, scene_id="scene of open"), "scene scene of open is rendered by 2 jobs at once"),
        (of_job(3, scene_id="another"), "batch batch-1: clip was started, which is no clip of its"),
        (of_job(3, job_id="other"), "batch batch-1: clip was started, which there is not"),
        (of_job(3, video={"credits": 9}), "batch batch-1: 10 credits for clip, which costs 9"),
    ],
)
def test_each_broken_invariant_is_reported(breakage: Breakage, sentence: str) -> None:
    now = copy.deepcopy(sound())
    breakage(now)
    assert any(sentence in found for found in violations(now)), violations(now)


def twice(now: Any) -> None:
    now.paid["open", "image"] = 2


@pytest.mark.parametrize(
    ("breakage", "expected"),
    [
        (put_aside(ASIDE), []),
        (put_aside(None), []),
        (put_aside(None, request_id=None), ["ada: image of job open was paid for 2 times"]),
        (lambda _: None, ["ada: image of job open was paid for 2 times"]),
    ],
    ids=["it was kept", "it was declined", "nobody took it", "there was none"],
)
def test_a_stage_is_paid_twice_only_if_its_job_records_a_first_run(
    breakage: Breakage, expected: list[str]
) -> None:
    now = copy.deepcopy(sound())
    twice(now)
    breakage(now)
    assert violations(now) == expected


def test_the_image_of_a_first_run_is_charged_and_kept() -> None:
    now = copy.deepcopy(sound())
    twice(now)
    put_aside(ASIDE)(now)
    del now.jobs[2]["image"]["asset"]
    now.jobs[2].update(status="failed", completed_at="now")  # type: ignore[attr-defined]
    del now.jobs[2]["open"]  # type: ignore[attr-defined]
    now.account.update(available=77, held=10, last_sequence=14, open_jobs=0)  # type: ignore[union-attr]
    now.entries.extend(  # type: ignore[attr-defined]
        [
            entry(13, "capture", 1, (67, 20), job_id="open", stage="image"),
            entry(14, "release", 10, (77, 10), job_id="open", stage="video"),
        ]
    )
    assert violations(now) == []
    del now.objects["images", ASIDE["key"]]  # type: ignore[attr-defined]
    assert violations(now) == ["ada: job open: the file of image is not in the bucket"]


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (entries(1, created_at="later"), "a line of the journal was changed or removed"),
        (lambda now: now.jobs.pop(0), "job done is gone"),
        (of_job(0, status="failed"), "job done had ended as completed and is failed now"),
    ],
)
def test_a_journal_that_was_changed_is_reported(breakage: Breakage, sentence: str) -> None:
    now = copy.deepcopy(sound())
    breakage(now)
    assert any(sentence in found for found in violations(now, sound())), violations(now, sound())


def test_entries_and_jobs_without_an_account_are_reported() -> None:
    assert "12 entries and 4 jobs, but no account" in violations(replace(sound(), account=None))[0]


def test_files_that_a_deletion_leaves_are_reported() -> None:
    now = copy.deepcopy(sound())
    now.jobs[0]["deleted"] = True  # type: ignore[index]
    assert violations(now) == []
    assert len(left_behind(now)) == 2
    assert left_behind(sound()) == []


def test_a_job_that_never_ends_is_reported() -> None:
    assert unfinished(sound()) == [
        "ada: job open is processing for ever",
        "ada: job clip is processing for ever",
    ]


def lot(number: int, kind: str, credits_: int, ends: str | None = None) -> Job:
    found: Job = {"lot": number, "kind": kind, "credits": credits_}
    return found | ({"expires_at": ends} if ends else {})


def lots(*found: Job) -> Job:
    return {"lots": json.dumps(found)}


def with_lots() -> Snapshot:
    """A promotion that ends in the eighth minute and an allowance. A job took from both; it failed
    after the promotion had ended. Then a refund took more than there was."""
    promo, allowance = lot(1, "promo", 10, at(8)), lot(2, "allowance", 20)
    job_ = {"job_id": "gone", "stage": "video"}
    return Snapshot(
        user_id="bob",
        account={
            "purchased": 0,
            "held": 0,
            "debt": 5,
            "last_sequence": 7,
            "open_jobs": 0,
            **lots(),
        },
        entries=[
            entry(1, "grant", 10, (10, 0), **lots(promo)),
            entry(2, "grant", 20, (30, 0), **lots(allowance)),
            entry(3, "hold", 12, (18, 12), **job_, **lots(promo, lot(2, "allowance", 2))),
            entry(4, "adjust", -1, (17, 12), reason="?", **lots(lot(2, "allowance", 1))),
            entry(9, "release", 12, (29, 0), **job_, **lots(promo, lot(2, "allowance", 2)))
            | {"sequence": 5},
            entry(9, "expire", 10, (19, 0), **lots(promo)) | {"sequence": 6},
            entry(10, "clawback", 24, (0, 0), debt_after=5, **lots(lot(2, "allowance", 19)))
            | {"sequence": 7},
        ],
        jobs=[
            {
                "job_id": "gone",
                "status": "failed",
                "completed_at": "now",
                "video": {"credits": 12},
            }
        ],
    )


def as_plain(now: Any) -> None:
    """The account as an account without lots is written."""
    now.account["available"] = now.account.pop("purchased")
    del now.account["lots"]


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (account(debt=4), "the account has a debt of 4, and its journal of 5"),
        (account(debt=4), "0 + 0 - 4 credits are there, -5 were given and not used"),
        (account(purchased=1), "1 are available beside a debt of 5"),
        (account(**lots(lot(2, "allowance", 1))), "the account's lots are {2: 1}, and its journal"),
        (as_plain, "an earlier release could write this account"),
        (entries(1, lots="[]"), "takes more from lot 1 than it had"),
        (entries(2, **lots(lot(2, "allowance", 21))), "which is more than its credits"),
        (entries(2, **lots(lot(2, "purchased", 20))), "has a lot of purchased credits"),
        (
            entries(2, **lots(lot(1, "promo", 10, at(8)) | {"own": True})),
            "adds credits of  to lot 1 of None",
        ),
        (entries(3, **lots(lot(2, "allowance", 12))), "spends {2: 12} of lots, and not {1: 10, 2:"),
        (entries(3, created_at=at(9)), "spends while {1: 10} have ended"),
        (entries(2, debt_after=1), "begins a job with a debt of 1"),
        (entries(5, **lots(lot(2, "allowance", 2))), "returns only {2: 2} of {1: 10, 2: 2}"),
        (entries(5, **lots(lot(2, "allowance", 12))), "returns {2: 12} of {1: 10, 2: 2}"),
        (
            entries(5, **lots(lot(1, "promo", 10, at(9)))),
            "has lot 1 as ('promo', '2026",
        ),
        (entries(6, created_at=at(7)), "expires {1: 10}, and {} have ended"),
        (entries(6, credits=9), "expires 9 credits, which are not those of {1: 10}"),
        (entries(7, debt_after=-1), "leaves a debt of -1"),
        (entries(7, **lots(lot(2, "allowance", 0))), "moves [{'lot': 2"),
    ],
)
def test_errors_of_lots_are_reported(breakage: Breakage, sentence: str) -> None:
    now = copy.deepcopy(with_lots())
    assert violations(now) == []
    breakage(now)
    assert any(sentence in found for found in violations(now)), violations(now)
