"""A job's progress and its end, as functions of what has been recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clipmint.catalog.model import Settings
from clipmint.catalog.route import Route
from clipmint.jobs.job import (
    TERMINAL,
    Asset,
    Earlier,
    Job,
    JobStatus,
    Stage,
    Submission,
    SubmissionState,
)
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Succeeded
from clipmint.jobs.progress import progress
from clipmint.jobs.verdict import Verdict, verdict

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
DECLINED = Failed(FailureCode.CONTENT_POLICY, "flagged")
TASK_ID = "17f20503-6c24-4c16-946b-35dbbce2af2f"
ROUTE = Route(provider="fal", endpoint="fal-ai/veo3.1")
ASSET = Asset("bucket", "key", "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.0)


def job(*names: str) -> Job:
    stages = tuple(
        Stage(name, (ROUTE,), ROUTE.provider, ROUTE.endpoint, 10 + n, (90,), 1_800)
        for n, name in enumerate(names)
    )
    return Job(
        job_id="5a9c1a4e-0f0f-5f60-9b8f-3a3f6d5a2b10",
        user_id="user-1",
        status=JobStatus.PENDING,
        model_id="veo-3.1",
        model_name="Veo 3.1",
        prompt="a fox",
        settings=Settings(),
        fingerprint="f" * 64,
        stages=stages,
        deadline=1_800_000_000,
        created_at=NOW,
        updated_at=NOW,
    )


def with_stage(job: Job, stage: Stage) -> Job:
    stages = tuple(stage if old.name == stage.name else old for old in job.stages)
    return replace(job, status=JobStatus.PROCESSING, stages=stages)


def submitted(
    state: SubmissionState, outcome: Finished | None = None, asset: Asset | None = None
) -> Job:
    one = job("video")
    submission = Submission(state, "token", TASK_ID)
    return with_stage(
        one, replace(one.stages[0], submission=submission, outcome=outcome, asset=asset)
    )


# Which submission states the conditional writes allow after each other; tests/integration/core
# checks the writes.
FOLLOWS: dict[SubmissionState | None, set[SubmissionState]] = {
    None: {SubmissionState.SENDING},
    SubmissionState.SENDING: {
        SubmissionState.REFUSED,
        SubmissionState.UNKNOWN,
        SubmissionState.SENT,
    },
    SubmissionState.REFUSED: {SubmissionState.SENDING, SubmissionState.SENT},
    SubmissionState.UNKNOWN: {SubmissionState.SENT},
    SubmissionState.SENT: set(),
}


def made_again(one: Job) -> Job:
    """As `job_store.make_image_again` records it; tests/integration checks that."""

    def put_aside(stage: Stage) -> Stage:
        earlier = Earlier(stage.provider, TASK_ID, None, stage.outcome, stage.asset)
        return replace(stage, earlier=(earlier,), submission=None, outcome=None, asset=None)

    return replace(one, stages=tuple(map(put_aside, one.stages)))


def nexts(one: Job) -> Iterator[Job]:
    """Every job that one more recorded fact can make of this one."""
    if one.is_terminal:
        return
    if one.may_make_image_again:
        yield made_again(one)
    stage = one.current_stage
    if stage is None:
        yield replace(one, status=JobStatus.COMPLETED)
        return
    yield replace(one, status=JobStatus.FAILED)
    yield replace(one, status=JobStatus.CANCELLED)
    state = stage.submission.state if stage.submission else None
    if not isinstance(stage.outcome, Failed):
        for following in FOLLOWS[state]:
            yield with_stage(
                one, replace(stage, submission=Submission(following, "token", TASK_ID))
            )
    if stage.submission and stage.outcome is None:
        for outcome in (VIDEO, DECLINED):
            yield with_stage(one, replace(stage, outcome=outcome))
    if isinstance(stage.outcome, Succeeded):
        yield with_stage(one, replace(stage, asset=ASSET))


@pytest.mark.parametrize("stages", [("video",), ("image", "video")], ids="-".join)
def test_progress_never_goes_backwards_in_any_order_of_facts(stages: tuple[str, ...]) -> None:
    """Every job that can be reached, and every step from it: the space is small enough."""
    seen: set[str] = set()
    waiting = [job(*stages)]
    ends = set()
    while waiting:
        before = waiting.pop()
        if repr(before) in seen:
            continue
        seen.add(repr(before))
        for after in nexts(before):
            assert progress(after)[0] >= progress(before)[0], (before, after)
            assert (progress(after)[0] == 100) == (after.status is JobStatus.COMPLETED)
            waiting.append(after)
            if after.is_terminal:
                ends.add(after.status)
    assert ends == TERMINAL
    assert len(seen) > 30


def test_a_one_stage_job_shows_the_documented_numbers_without_the_image_steps() -> None:
    one = job("video")
    [stage] = one.stages
    shown = [progress(one)]
    for state in (SubmissionState.SENDING, SubmissionState.SENT):
        stage = replace(stage, submission=Submission(state, "token", TASK_ID))
        shown.append(progress(with_stage(one, stage)))
    stage = replace(stage, outcome=VIDEO)
    shown.append(progress(with_stage(one, stage)))
    stored = with_stage(one, replace(stage, asset=ASSET))
    shown += [progress(stored), progress(replace(stored, status=JobStatus.COMPLETED))]
    assert shown == [
        (5, "Initializing"),
        (15, "Submitting"),
        (70, "Generating video"),
        (75, "Storing video"),
        (95, "Finalizing"),
        (100, "Completed"),
    ]


def test_a_two_stage_job_shows_the_image_steps_as_well() -> None:
    one = replace(job("image", "video"), project_id="project", scene_id="scene")
    shown = [progress(one)]
    for name in ("image", "video"):
        for change in (
            {"submission": Submission(SubmissionState.SENDING, "token", TASK_ID)},
            {"submission": Submission(SubmissionState.SENT, "token", TASK_ID)},
            {"outcome": VIDEO},
            {"asset": ASSET},
        ):
            stage = one.stage(name)
            assert stage
            one = with_stage(one, replace(stage, **change))
            shown.append(progress(one))
    assert shown == [
        (5, "Initializing"),
        (15, "Fetching scene configuration"),
        (35, "Generating image"),
        (40, "Storing image"),
        (40, "Storing image"),  # stored, and nothing sent yet
        (70, "Generating video"),
        (70, "Generating video"),
        (75, "Storing video"),
        (95, "Finalizing"),
    ]


@pytest.mark.parametrize(
    ("status", "word"), [(JobStatus.FAILED, "Failed"), (JobStatus.CANCELLED, "Cancelled")]
)
def test_a_job_that_ended_early_keeps_its_progress(status: JobStatus, word: str) -> None:
    sent = submitted(SubmissionState.SENT)
    assert progress(replace(sent, status=status)) == (progress(sent)[0], word)


SENDING, SENT = submitted(SubmissionState.SENDING), submitted(SubmissionState.SENT)
UNKNOWN = submitted(SubmissionState.UNKNOWN)
REFUSED = submitted(SubmissionState.REFUSED)
FINISHED = submitted(SubmissionState.SENT, VIDEO)
STORED = submitted(SubmissionState.SENT, VIDEO, ASSET)
DECLINED_JOB = submitted(SubmissionState.SENT, DECLINED)
WITHDRAWN = submitted(SubmissionState.SENT, Failed(FailureCode.CANCELLED))


@pytest.mark.parametrize(
    ("found", "error", "expected"),
    [
        # What is in the bucket is the user's, even if something went wrong afterwards.
        (STORED, None, Verdict(JobStatus.COMPLETED)),
        (STORED, "DeadlineExceeded", Verdict(JobStatus.COMPLETED)),
        (STORED, "ABORTED", Verdict(JobStatus.COMPLETED)),
        # The provider's outcome counts more than how the execution ended.
        (DECLINED_JOB, "GenerationFailed", FailureCode.CONTENT_POLICY),
        (DECLINED_JOB, "DeadlineExceeded", FailureCode.CONTENT_POLICY),
        (DECLINED_JOB, None, FailureCode.CONTENT_POLICY),
        (WITHDRAWN, "GenerationFailed", Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED)),
        # A finished video that never arrived.
        (FINISHED, "MediaInvalid", FailureCode.MEDIA_INVALID),
        (FINISHED, "SourceExpired", FailureCode.MEDIA_UNAVAILABLE),
        (FINISHED, "SourceUnavailable", FailureCode.MEDIA_UNAVAILABLE),
        (FINISHED, "SourceNotAllowed", FailureCode.MEDIA_UNAVAILABLE),
        (FINISHED, "DeadlineExceeded", FailureCode.MEDIA_UNAVAILABLE),
        (FINISHED, "ProviderNotConfigured", FailureCode.OWNER_ACCOUNT),
        (FINISHED, "TIMED_OUT", FailureCode.MEDIA_UNAVAILABLE),
        (FINISHED, None, FailureCode.MEDIA_UNAVAILABLE),
        # No outcome from the provider, and no certainty that it received the task.
        (UNKNOWN, "DeadlineExceeded", FailureCode.SUBMIT_UNKNOWN),
        (UNKNOWN, "ABORTED", FailureCode.SUBMIT_UNKNOWN),
        (SENDING, "SubmissionInDoubt", FailureCode.SUBMIT_UNKNOWN),
        (UNKNOWN, "SubmissionInDoubt", FailureCode.SUBMIT_UNKNOWN),
        # No outcome from the provider.
        (SENT, "DeadlineExceeded", FailureCode.DEADLINE_EXCEEDED),
        (REFUSED, "ProviderBusy", FailureCode.PROVIDER_UNAVAILABLE),
        (REFUSED, "DeadlineExceeded", FailureCode.DEADLINE_EXCEEDED),
        (job("video"), "ProviderNotConfigured", FailureCode.OWNER_ACCOUNT),
        (job("video"), "ExecutionEnded", FailureCode.INTERNAL),
        (SENT, "TIMED_OUT", FailureCode.INTERNAL),
        (SENT, "SomethingNobodyThoughtOf", FailureCode.INTERNAL),
        (SENT, None, FailureCode.INTERNAL),
    ],
)
def test_how_a_job_ends_follows_from_what_is_recorded(
    found: Job, error: str | None, expected: Verdict | FailureCode
) -> None:
    if isinstance(expected, FailureCode):
        expected = Verdict(JobStatus.FAILED, expected)
    assert verdict(found, error) == expected


def test_an_image_that_was_stored_is_paid_even_if_its_video_fails() -> None:
    one = job("image", "video")
    image, video = one.stages
    sent = Submission(SubmissionState.SENT, "token", TASK_ID)
    one = with_stage(one, replace(image, submission=sent, outcome=VIDEO, asset=ASSET))
    one = with_stage(one, replace(video, submission=sent, outcome=DECLINED))
    assert verdict(one, "GenerationFailed") == Verdict(JobStatus.FAILED, FailureCode.CONTENT_POLICY)
    assert one.captured_stages == {"image"}
    assert one.credits_used == 21
    assert replace(one, status=JobStatus.FAILED).credits_used == 10


def declined_after_its_image(failure: Failed = DECLINED) -> Job:
    one = job("image", "video")
    image, video = one.stages
    sent = Submission(SubmissionState.SENT, "token", TASK_ID)
    one = with_stage(one, replace(image, submission=sent, outcome=VIDEO, asset=ASSET))
    return with_stage(one, replace(video, submission=sent, outcome=failure))


def test_an_image_is_made_again_once_if_its_video_is_declined() -> None:
    one = declined_after_its_image()
    assert one.may_make_image_again
    again = made_again(one)
    assert again.current_stage is again.stages[0]
    image, video = declined_after_its_image().stages
    declined_twice = replace(
        again,
        stages=(
            replace(image, earlier=again.stages[0].earlier),
            replace(video, earlier=again.stages[1].earlier),
        ),
    )
    assert not declined_twice.may_make_image_again


@pytest.mark.parametrize(
    "one",
    [
        declined_after_its_image(Failed(FailureCode.PROVIDER_ERROR)),
        replace(declined_after_its_image(), status=JobStatus.FAILED),
        DECLINED_JOB,  # its image is the user's own
        with_stage(
            job("image", "video"),
            replace(
                job("image").stages[0],
                submission=Submission(SubmissionState.SENT, "token", TASK_ID),
                outcome=DECLINED,
            ),
        ),
    ],
    ids=["another failure", "has ended", "no image stage", "the picture itself declined"],
)
def test_an_image_is_made_again_for_no_other_reason(one: Job) -> None:
    assert not one.may_make_image_again


def test_an_image_that_was_made_is_charged_and_kept_without_a_successor() -> None:
    again = made_again(declined_after_its_image())
    failed = with_stage(
        again,
        replace(
            again.stages[0],
            submission=Submission(SubmissionState.SENT, "token", TASK_ID),
            outcome=Failed(FailureCode.PROVIDER_ERROR),
        ),
    )
    assert failed.made_image
    assert replace(failed, status=JobStatus.FAILED).credits_used == 10


def test_the_progress_does_not_move_while_the_image_is_made_again() -> None:
    one = declined_after_its_image()
    assert progress(one)[0] == 70
    assert progress(made_again(one)) == (70, "Initializing")


def test_what_a_job_costs_is_its_hold_until_it_ends_and_then_what_was_captured() -> None:
    assert STORED.credits_used == 10
    assert replace(STORED, status=JobStatus.COMPLETED).credits_used == 10
    assert SENT.credits_used == 10
    assert replace(SENT, status=JobStatus.FAILED).credits_used == 0
