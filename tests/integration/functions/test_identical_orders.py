"""Identical orders of one user: one generation, one file, and a job for each order."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from clipmint import clock
from clipmint.aws import s3
from clipmint.catalog import model_store
from clipmint.catalog.model import Model
from clipmint.credits import grants, holds
from clipmint.errors import TemporarilyUnavailable
from clipmint.execution.identical import SourceFailed, SourceRunning
from clipmint.execution.sending import DeadlineExceeded
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.media import storage
from clipmint.orders import identical_orders
from functions.cancel.app import handler as cancel
from functions.generate.app import handler as generate
from functions.migrate.app import handler as migrate
from functions.settle.app import handler as settle
from functions.status.app import handler as status
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import TASK_ID, assert_adds_up, begin_sending
from tests.support.moto_aws import BUCKET, IMAGES_BUCKET, IMAGES_URL, Aws
from tests.support.scripted_provider import HANDLE, ScriptedProvider

MODEL: dict[str, Any] = {
    "model_id": "a-model",
    "name": "A model",
    "image": "optional",
    "allowed": {"resolution": ["720p"], "duration": [4, 8]},
    "defaults": {"resolution": "720p", "duration": 4},
    "parameters": {"seed": {"type": "integer", "minimum": 0, "maximum": 9}},
    "price": {"kind": "fixed", "credits": 10},
    "routes": [{"provider": "fal", "endpoint": "x/y", "body": {}}],
    "identical": {"credits": 2},
}


@pytest.fixture(autouse=True)
def _offered(aws: Aws, providers: dict[str, ScriptedProvider]) -> None:
    offer()
    for user in ("user-1", "user-2"):
        grants.grant(user, 100, f"a-grant-for-{user}")


def offer(**changes: Any) -> None:
    model_store.put(Model.model_validate(MODEL | changes))


def place(user: str = "user-1", *, path: str = "", **body: Any) -> Answer:
    asked = {"model_id": "a-model", "prompt": "a fox"} | body
    headers = {} if path else {"Idempotency-Key": str(uuid.uuid4())}
    call = Caller(generate, user=user)
    return call("POST", f"/v1/videos{path}", body=asked, headers=headers)


def order(user: str = "user-1", **body: Any) -> Job:
    answer = place(user, **body)
    assert answer.status == 202, answer.body
    job = now(answer.body["job_id"])
    assert answer.body.get("cached", False) is (job.source_job_id is not None)
    return job


def now(job_id: str) -> Job:
    found = job_store.get(job_id)
    assert found
    return found


def complete(job: Job) -> Job:
    """As Submit, Migrate and Settle do for a job that a provider makes."""
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    key = storage.video_key(job.user_id, job.job_id, "attempt")
    thumbnail = storage.thumbnail_key(job.user_id, job.job_id, "attempt")
    for name in (key, thumbnail):
        s3().put_object(Bucket=BUCKET, Key=name, Body=b"a file")
    asset = Asset(BUCKET, key, "video/mp4", 6, "0" * 64, 1_280, 720, 4.0, thumbnail)
    job_store.record_asset(job.job_id, "video", asset)
    return holds.settle(job.job_id, lambda found: verdict(found, None))


def send(job: Job) -> Any:
    return submit({"job_id": job.job_id, "task_token": "a-token"}, Context(remaining_ms=170_000))


def finish(job: Job) -> Job:
    """As the execution does for a job with a source."""
    send(job)
    assert migrate({"job_id": job.job_id, "stage": "video"}, Context()) == {"more": False}
    assert settle({"job_id": job.job_id, "error": ""}, Context()) == {"status": "completed"}
    return now(job.job_id)


def files() -> int:
    return len(s3().list_objects_v2(Bucket=BUCKET).get("Contents", []))


def delete(job: Job) -> None:
    assert Caller(cancel)("DELETE", f"/v1/videos/{job.job_id}").status == 204


# ── Which orders are identical ───────────────────────────────────────────────────────────────────


def test_without_the_owners_permission_no_order_answers_another() -> None:
    offer(identical=None)
    complete(order())
    assert order().source_job_id is None


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "a wolf"},
        {"settings": {"seed": 1}},
        {"settings": {"duration": 8}},
        {"image_url": "https://example.com/a.png"},
    ],
)
def test_another_content_is_made(other: dict[str, Any]) -> None:
    complete(order())
    assert order(**other).source_job_id is None


def test_the_same_settings_are_identical_however_they_are_stated() -> None:
    first = complete(order())
    assert order(settings={"duration": 4, "resolution": "720p"}).source_job_id == first.job_id


def test_an_image_elsewhere_has_no_known_content() -> None:
    complete(order(image_url="https://example.com/a.png"))
    assert order(image_url="https://example.com/a.png").source_job_id is None


def test_another_users_video_answers_nothing() -> None:
    complete(order("user-2"))
    assert order().source_job_id is None


def test_a_changed_route_makes_the_video_again() -> None:
    complete(order())
    offer(routes=[{"provider": "fal", "endpoint": "x/z", "body": {}}])
    assert order().source_job_id is None


def test_an_old_video_is_made_again(hands: Clock) -> None:
    complete(order())
    hands.forward(days=8)
    assert order().source_job_id is None


@pytest.mark.parametrize(("days", "answered"), [(1, True), (2, False), (4, False)])
def test_a_video_that_is_deleted_within_a_day_answers_nothing(
    monkeypatch: pytest.MonkeyPatch, hands: Clock, days: int, *, answered: bool
) -> None:
    monkeypatch.setenv("VIDEO_RETENTION_DAYS", "3")
    complete(order())
    hands.forward(days=days)
    assert (order().source_job_id is not None) is answered


def test_a_user_can_order_a_new_video() -> None:
    first = complete(order())
    assert place(path="/estimate", allow_cached=False).body["credits"] == 10
    assert order(allow_cached=False).source_job_id is None
    assert order(allow_cached=True).source_job_id == first.job_id


def test_an_order_for_the_first_provider_only_is_made() -> None:
    complete(order())
    assert order(fallback=False).source_job_id is None


def test_a_source_answers_a_limited_number_of_orders() -> None:
    first = complete(order())
    ids = [f"job-{number}" for number in range(identical_orders.MOST_COPIES)]
    JobItem(first.job_id).update([JobItem.shared_with.set(ids[1:])])
    assert order().source_job_id == first.job_id
    JobItem(first.job_id).update([JobItem.shared_with.set(ids)])
    second = order()
    assert second.source_job_id is None
    assert order().source_job_id == second.job_id


@pytest.mark.parametrize("failure", [FailureCode.PROVIDER_ERROR, FailureCode.CANCELLED])
def test_after_a_failure_it_is_made_again(failure: FailureCode) -> None:
    first = order()
    status_ = JobStatus.CANCELLED if failure is FailureCode.CANCELLED else JobStatus.FAILED
    holds.settle(first.job_id, lambda _: Verdict(status_, failure))
    second = order()
    assert second.source_job_id is None
    complete(second)
    assert order().source_job_id == second.job_id


def test_uploads_are_compared_by_their_content() -> None:
    from io import BytesIO

    from PIL import Image

    from clipmint.projects import project_store
    from clipmint.projects.project_requests import NewProject

    project, _ = project_store.create("user-1", NewProject())

    def upload(colour: str) -> str:
        key = storage.upload_key("user-1", project.project_id, str(uuid.uuid4()), "image/png")
        content = BytesIO()
        Image.new("RGB", (320, 320), colour).save(content, "PNG")
        s3().put_object(
            Bucket=IMAGES_BUCKET, Key=key, Body=content.getvalue(), ContentType="image/png"
        )
        return f"{IMAGES_URL}/{key}"

    first = complete(order(image_url=upload("red")))
    assert order(image_url=upload("red")).source_job_id == first.job_id
    assert order(image_url=upload("blue")).source_job_id is None


# ── Price and answers ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("price", [2, 0])
def test_the_owners_price_is_estimated_held_and_charged(price: int) -> None:
    offer(identical={"credits": price})
    estimate = place(path="/estimate").body
    assert (estimate["credits"], estimate.get("cached")) == (10, None)
    complete(order())
    assert assert_adds_up("user-1").available == 90
    estimate = place(path="/estimate").body
    assert (estimate["credits"], estimate["cached"]) == (price, True)
    second = order(expected_credits=price)
    assert assert_adds_up("user-1").held == price
    assert finish(second).status is JobStatus.COMPLETED
    account = assert_adds_up("user-1")
    assert (account.held, account.available) == (0, 90 - price)


def test_a_copy_never_costs_more_than_a_new_video() -> None:
    offer(identical={"credits": 50})
    complete(order())
    assert order().credits == 10


def test_users_see_that_a_model_answers_identical_orders() -> None:
    shown = Caller(status)("GET", "/v1/models/a-model").body
    assert shown["identical"] == {"credits": 2, "days": 7}


def test_an_order_that_expects_the_full_price_learns_the_new_one() -> None:
    complete(order())
    refused = place(expected_credits=10)
    assert (refused.status, refused.code, refused.body["credits"]) == (409, "PRICE_CHANGED", 2)


def test_the_second_job_shows_the_same_file_and_is_marked_as_cached() -> None:
    first = complete(order())
    second = finish(order())
    assert second.stages[0].asset == first.stages[0].asset
    call = Caller(status)
    shown = [call("GET", f"/v1/videos/{job.job_id}").body for job in (first, second)]
    assert [one["cached"] for one in shown] == [False, True]
    assert [one["credits_used"] for one in shown] == [10, 2]
    assert shown[0]["video_url"].partition("?")[0] == shown[1]["video_url"].partition("?")[0]


def test_the_retention_is_that_of_the_file(monkeypatch: pytest.MonkeyPatch, hands: Clock) -> None:
    monkeypatch.setenv("VIDEO_RETENTION_DAYS", "30")
    first = complete(order())
    hands.forward(days=5)
    second = finish(order())
    shown = Caller(status)("GET", f"/v1/videos/{second.job_id}").body
    assert shown["video_expires_at"] == clock.iso(first.created_at + timedelta(days=30))


# ── The execution ────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_sent_and_the_execution_goes_on(
    aws: Aws, providers: dict[str, ScriptedProvider]
) -> None:
    complete(order())
    second = order()
    aws.executions.sleeping.add("a-token")
    assert send(second)["stage"] == "video"
    assert [token for token, _ in aws.executions.responses] == ["a-token"]
    assert [task for one in providers.values() for task in one.tasks] == []
    assert now(second.job_id).stages[0].submission is None


def test_it_waits_for_a_source_that_still_runs(aws: Aws) -> None:
    first, second = order(), order()
    assert second.source_job_id == first.job_id
    aws.executions.sleeping.add("a-token")
    send(second)  # ends the attempt without an error of the function
    assert aws.executions.responses == [("a-token", {"error": "SourceRunning"})]
    with pytest.raises(SourceRunning):
        submit({"job_id": second.job_id}, Context(remaining_ms=170_000))
    complete(first)
    assert finish(second).status is JobStatus.COMPLETED


def test_it_waits_no_longer_than_its_deadline(hands: Clock) -> None:
    order()
    second = order()
    hands.forward(seconds=second.deadline - clock.epoch(clock.now()))
    with pytest.raises(DeadlineExceeded):
        send(second)
    # An execution of an earlier version ends with the other error.
    for error in ("DeadlineExceeded", "SourceRunning"):
        assert verdict(second, error).failure is FailureCode.DEADLINE_EXCEEDED


def test_a_file_that_is_gone_answers_nothing_and_is_free() -> None:
    first = complete(order())
    second = order()
    asset = first.stages[0].asset
    assert asset
    s3().delete_object(Bucket=BUCKET, Key=asset.key)
    with pytest.raises(SourceFailed):
        send(second)
    assert now(first.job_id).shared_with == ()


def test_it_fails_and_is_free_if_its_source_fails() -> None:
    first, second = order(), order()
    holds.settle(first.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR))
    for _ in range(2):
        with pytest.raises(SourceFailed):
            send(second)
    settle({"job_id": second.job_id, "error": "SourceFailed"}, Context())
    assert now(second.job_id).failure is FailureCode.PROVIDER_ERROR
    assert (assert_adds_up("user-1").held, assert_adds_up("user-1").available) == (0, 100)


def test_a_source_that_is_deleted_first_answers_nothing() -> None:
    first = complete(order())
    second = order()
    delete(first)
    with pytest.raises(SourceFailed):
        send(second)
    assert files() == 0


def test_track_ends_a_wait_for_a_file_that_is_there(aws: Aws) -> None:
    """Submit ran out of time between the two."""
    complete(order())
    second = order()
    submit({"job_id": second.job_id}, Context(remaining_ms=170_000))
    aws.executions.sleeping.add("a-token")
    event = {"job_id": second.job_id, "stage": "video", "turn": 1, "task_token": "a-token"}
    assert track(event, Context()) == {"woken": True}


def test_a_user_can_cancel_while_it_waits() -> None:
    order()
    second = order()
    answer = Caller(cancel)("POST", f"/v1/videos/{second.job_id}/cancel")
    assert (answer.body["status"], answer.body["credits_released"]) == ("cancelled", 2)


def test_two_simultaneous_orders_are_one_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    real, others = identical_orders.find, list[Job]()

    def with_another(*args: Any) -> Any:
        found = real(*args)
        if not others:
            monkeypatch.setattr(identical_orders, "find", real)
            others.append(order())
        return found

    monkeypatch.setattr(identical_orders, "find", with_another)
    job = order()
    assert (job.source_job_id, others[0].source_job_id) == (others[0].job_id, None)


def test_an_order_that_always_meets_a_faster_one_gets_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stale = identical_orders.Identical("identical#6:user-1#0", 7, seen="another-job")
    monkeypatch.setattr(identical_orders, "find", lambda *_: stale)
    answer = place()
    assert (answer.status, answer.code) == (503, TemporarilyUnavailable.code)
    assert assert_adds_up("user-1").held == 0


# ── Deletion ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first_to_go", [0, 1, 2])
def test_the_file_is_deleted_with_the_last_job_that_shows_it(first_to_go: int) -> None:
    jobs = [complete(order())]
    jobs += [finish(order()) for _ in range(2)]
    deleted = jobs[first_to_go:] + jobs[:first_to_go]
    for job in deleted[:-1]:
        delete(job)
        assert files() == 2  # the video and its thumbnail
    delete(deleted[-1])
    assert files() == 0


def test_a_job_that_waits_keeps_the_file_and_one_that_ended_without_it_does_not() -> None:
    first = complete(order())
    second = order()
    assert job_store.share(first.job_id, second.job_id)  # and a crash before the job's own record
    delete(first)
    assert files() == 2
    holds.settle(second.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.INTERNAL))
    delete(second)
    assert files() == 0


def test_a_job_whose_source_was_deleted_meanwhile_still_gets_its_file() -> None:
    first = complete(order())
    second = order()
    assert job_store.share(first.job_id, second.job_id)  # and a crash before the job's own record
    assert job_store.share(first.job_id, second.job_id)
    delete(first)
    assert finish(second).stages[0].asset == first.stages[0].asset
    assert now(first.job_id).shared_with == (second.job_id,)
    assert files() == 2
    delete(second)
    assert files() == 0


def test_a_cancelled_job_does_not_keep_the_file_of_a_deleted_one() -> None:
    first = complete(order())
    second = order()
    assert job_store.share(first.job_id, second.job_id)
    delete(first)
    assert Caller(cancel)("POST", f"/v1/videos/{second.job_id}/cancel").status == 200
    assert files() == 0
