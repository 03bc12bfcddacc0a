"""The functions of the states killed at work: the next attempt goes on, and pays nothing twice."""

from __future__ import annotations

import pytest

from local.stack import Stack, wait_for
from tests.support.backstage import (
    crashed,
    job_item,
    pass_the_deadline,
    submissions,
    until_execution_ended,
)
from tests.support.customer import Customer


def assert_completed_once(stack: Stack, customer: Customer, job_id: str) -> None:
    assert customer.until_ended(job_id)["status"] == "completed"
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    assert customer.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1


def test_submit_killed_before_the_provider_was_called_is_not_sent_blindly(
    stack: Stack, ada: Customer
) -> None:
    # Dead before the record of the attempt was written: nothing was sent, the retry may.
    stack.crash("SubmitFunction", "UpdateItem", moment="before")
    job_id = ada.order(model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "SubmitFunction", job_id) == 1
    assert job_item(stack, job_id)["video"]["refusals"] == []


def test_submit_killed_after_the_provider_accepted_does_not_send_again(
    stack: Stack, ada: Customer
) -> None:
    # The second write would be `sent`.
    stack.crash("SubmitFunction", "UpdateItem", moment="before", nth=2)
    stack.fal.arm("slow_generation", seconds=3, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    unsure = wait_for(
        lambda: (item := job_item(stack, job_id))["video"].get("task_token") and item, 20
    )
    assert unsure["video"]["submission"]["state"] == "unknown"
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "SubmitFunction", job_id) == 1
    (paid,) = submissions(stack, job_id)
    assert job_item(stack, job_id)["video"]["submission"]["request_id"] == paid["request_id"]


@pytest.mark.parametrize("operation", ["UpdateItem", "Return"])
def test_submit_killed_with_its_attempt_on_record_never_guesses(
    stack: Stack, ada: Customer, operation: str
) -> None:
    # After `sending` (was it sent? nobody knows), and after everything was done.
    stack.crash("SubmitFunction", operation)
    job_id = ada.order()
    wait_for(lambda: crashed(stack, "SubmitFunction", job_id), 60)
    if operation == "Return":
        assert_completed_once(stack, ada, job_id)
        return
    sent = wait_for(lambda: job_item(stack, job_id)["video"].get("submission"), 60)
    assert sent["state"] in {"sending", "unknown"}
    pass_the_deadline(stack, job_id)
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["credits_used"]) == ("failed", 0)
    assert submissions(stack, job_id) == []
    assert ada.kinds() == ["grant", "hold", "release"]


def test_webhooks_killed_between_recording_and_waking_is_mended_by_the_redelivery(
    stack: Stack, ada: Customer
) -> None:
    stack.crash("WebhooksFunction", "UpdateItem")
    job_id = ada.order(model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    (paid,) = submissions(stack, job_id)
    assert [sent["status"] for sent in paid["deliveries"]] == [500, 200]
    assert crashed(stack, "WebhooksFunction", job_id) == 1


def test_webhooks_killed_between_recording_and_waking_is_mended_by_track(
    stack: Stack, ada: Customer
) -> None:
    # Redeliveries come minutes apart; Track's next turn finds the outcome on the job.
    stack.fal.change(webhook_backoff=3600)
    stack.crash("WebhooksFunction", "UpdateItem")
    try:
        job_id = ada.order()
        assert_completed_once(stack, ada, job_id)
    finally:
        stack.fal.change(webhook_backoff=10)
    (paid,) = submissions(stack, job_id)
    assert paid["calls"] == {}, "nobody had to ask the provider"


@pytest.mark.parametrize(
    ("operation", "moment"), [("UpdateItem", "before"), ("UpdateItem", "after")]
)
def test_track_killed_around_its_token_starts_over(
    stack: Stack, ada: Customer, operation: str, moment: str
) -> None:
    stack.crash("TrackFunction", operation, moment=moment)
    job_id = ada.order(model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "TrackFunction", job_id) == 1


def test_track_killed_after_it_recorded_what_it_found_starts_over(
    stack: Stack, ada: Customer
) -> None:
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    # Its first write is the token, its second the outcome.
    stack.crash("TrackFunction", "UpdateItem", nth=2)
    job_id = ada.order()
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "TrackFunction", job_id) == 1


@pytest.mark.parametrize(
    ("operation", "moment", "nth"),
    [
        ("PutObject", "before", 1),
        ("PutObject", "after", 1),
        ("PutObject", "after", 2),
        ("UpdateItem", "before", 1),
        ("UpdateItem", "after", 1),
    ],
    ids=[
        "before the video",
        "after the video",
        "after the thumbnail",
        "before its record",
        "after its record",
    ],
)
def test_migrate_killed(stack: Stack, ada: Customer, operation: str, moment: str, nth: int) -> None:
    stack.crash("MigrateFunction", operation, moment=moment, nth=nth)
    job_id = ada.order(model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "MigrateFunction", job_id) == 1
    # A killed attempt may leave its files behind, but not beyond the life of the video.
    assert ada.http.delete(f"/v1/videos/{job_id}").status_code == 204
    left = stack.boto3("s3").list_objects_v2(
        Bucket=stack.buckets["VideosBucket"], Prefix=f"videos/u-{ada.user_id}/"
    )
    assert left["KeyCount"] == 0


def test_migrate_killed_in_the_middle_of_the_file_starts_over(stack: Stack, ada: Customer) -> None:
    stack.fal.arm("media_slow", bytes_per_second=20_000, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")

    def copying() -> bool:
        files = stack.fal.media()["files"]
        return any(get["fault"] == "media_slow" for get in files[-1]["gets"]) if files else False

    wait_for(copying, 60)
    stack.kill_workers("MigrateFunction")
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "MigrateFunction", job_id) == 1


@pytest.mark.parametrize(
    ("operation", "moment"),
    [("TransactWriteItems", "before"), ("TransactWriteItems", "after"), ("Return", "before")],
)
def test_settle_killed_around_its_transaction_captures_once(
    stack: Stack, ada: Customer, operation: str, moment: str
) -> None:
    stack.crash("SettleFunction", operation, moment=moment)
    job_id = ada.order(model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "SettleFunction", job_id) == 1


def test_settle_killed_after_its_transaction_releases_once(stack: Stack, ada: Customer) -> None:
    stack.fal.arm("runner_error", prompt_contains=ada.word)
    stack.crash("SettleFunction", "TransactWriteItems")
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "failed"
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    assert ada.kinds() == ["grant", "hold", "release"]
    assert crashed(stack, "SettleFunction", job_id) == 1
