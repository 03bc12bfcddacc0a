"""Each function of an execution killed while it runs: the next attempt continues, and nothing is
paid twice.

`make proof` kills them before and after every side effect, in one process. These tests show that a
worker killed by SIGKILL, retried by the state machine or by the provider, is the same.
"""

from __future__ import annotations

from local.running import RunningStack
from tests.support.backstage import (
    crashed,
    job_item,
    submissions,
    until_execution_ended,
    until_tracked,
)
from tests.support.customer import Customer
from tests.support.progress import until

KEY = "killed"


def assert_completed_once(stack: RunningStack, customer: Customer, job_id: str) -> None:
    assert customer.until_ended(job_id)["status"] == "completed"
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    assert customer.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1


def test_submit_killed_after_the_provider_accepted_does_not_send_again(
    stack: RunningStack, ada: Customer
) -> None:
    # The second write would be `sent`.
    ada.crash("SubmitFunction", "UpdateItem", key=KEY, moment="before", nth=2)
    # Its webhook must not come before the next attempt, also on a slow machine.
    stack.fal.arm("slow_generation", seconds=10, prompt_contains=ada.word)
    job_id = ada.order(KEY, model_id="patient-t2v")
    assert until_tracked(stack, job_id)["video"]["submission"]["state"] == "unknown"
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "SubmitFunction", job_id) == 1
    (paid,) = submissions(stack, job_id)
    assert job_item(stack, job_id)["video"]["submission"]["request_id"] == paid["request_id"]


def test_webhooks_killed_between_recording_and_waking_is_repeated_by_the_redelivery(
    stack: RunningStack, ada: Customer
) -> None:
    ada.crash("WebhooksFunction", "UpdateItem", key=KEY)
    job_id = ada.order(KEY, model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    (paid,) = submissions(stack, job_id)
    assert [sent["status"] for sent in paid["deliveries"]] == [500, 200]
    assert crashed(stack, "WebhooksFunction", job_id) == 1


def test_track_killed_after_it_recorded_what_it_found_starts_over(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    # Its first write is the token, its second the outcome.
    ada.crash("TrackFunction", "UpdateItem", key=KEY, nth=2)
    job_id = ada.order(KEY)
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "TrackFunction", job_id) == 1


def test_migrate_killed_in_the_middle_of_the_file_starts_over(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("media_slow", bytes_per_second=20_000, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")

    def copying() -> bool:
        outcome = job_item(stack, job_id)["video"].get("outcome")
        return bool(outcome) and any(
            get["fault"] == "media_slow"
            for file in stack.fal.media()["files"]
            if file["url"].endswith(outcome["media_url"].rpartition("/")[2])
            for get in file["gets"]
        )

    until(stack, job_id, copying)
    assert stack.kill_workers("MigrateFunction", about=job_id) == 1
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "MigrateFunction", job_id) == 1


def test_settle_killed_after_its_transaction_captures_once(
    stack: RunningStack, ada: Customer
) -> None:
    ada.crash("SettleFunction", "TransactWriteItems", key=KEY)
    job_id = ada.order(KEY, model_id="patient-t2v")
    assert_completed_once(stack, ada, job_id)
    assert crashed(stack, "SettleFunction", job_id) == 1
