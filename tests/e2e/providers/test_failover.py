"""The first provider is down: the next one delivers, inside the same hold, and one is paid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from local.deploy import ROOT
from local.running import RunningStack
from tests.support.backstage import (
    Owner,
    assert_counted,
    job_item,
    request_ids,
    scan,
    submissions,
    until_execution_ended,
)
from tests.support.catalog import VEO_DRAFT
from tests.support.customer import Customer

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("no_failure_counted")]

HAPPY_PATH = ["Submit", "Migrate", "NextStage", "Settle"]
NOT_STARTED = "Video generation could not be started. Please try again."


@pytest.fixture
def ada(new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for one draft of Veo, and not for two."""
    return new_customer(VEO_DRAFT)


def veo(**members: Any) -> dict[str, Any]:
    return {"model_id": "veo-3.1", "preset": "draft", **members}


def refusals(stack: RunningStack, job_id: str) -> list[tuple[str, str]]:
    """The providers that certainly did not accept, and the reasons, as recorded on the job."""
    noted = job_item(stack, job_id)["video"]["refusals"]
    return [(refusal["provider"], refusal["reason"]) for refusal in noted]


def assert_delivered_once_by(
    stack: RunningStack, customer: Customer, job_id: str, provider: str
) -> None:
    ended = customer.until_ended(job_id)
    assert (ended["status"], ended["credits_used"]) == ("completed", VEO_DRAFT)
    (paid,) = submissions(stack, job_id)
    assert paid["request_id"] in request_ids(stack, provider)
    assert job_item(stack, job_id)["video"]["provider"] == provider
    assert customer.kinds() == ["grant", "hold", "capture"], "one hold, whoever delivers"
    assert customer.credits() == {"available": 0, "held": 0}
    until_execution_ended(stack, job_id)
    # The state machine saw nothing of it. (A model that is polled soon enters Track, per poll.)
    assert [state for state in stack.transitions(job_id) if state != "Track"] == HAPPY_PATH


@pytest.mark.parametrize(
    ("model_id", "fault", "reason"),
    [
        ("veo-3.1", "submit_503", "BUSY"),
        ("veo-3.1", "submit_429", "BUSY"),
        ("veo-3.1", "submit_locked", "OWNER_ACCOUNT"),
        ("veo-3.1-runware-first", "submit_503", "BUSY"),
        ("veo-3.1-runware-first", "submit_402", "OWNER_ACCOUNT"),
        ("veo-3.1-runware-first", "submit_401", "OWNER_ACCOUNT"),
    ],
)
def test_the_second_provider_delivers_what_the_first_did_not_accept(
    stack: RunningStack, ada: Customer, model_id: str, fault: str, reason: str
) -> None:
    first, second = ("runware", "fal") if "runware" in model_id else ("fal", "runware")
    stack.simulators[first].arm(fault, times=None, prompt_contains=ada.word)
    job_id = ada.order(**veo(model_id=model_id))
    assert_delivered_once_by(stack, ada, job_id, second)
    assert_counted(
        stack, "SubmitFunction", "SubmissionRefused", about=job_id, provider=first, reason=reason
    )
    assert refusals(stack, job_id) == [(first, reason)]


def test_a_provider_that_rejects_the_owners_key_is_skipped(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.change(key="another-id:another-secret")
    try:
        job_id = ada.order(**veo())
        assert_delivered_once_by(stack, ada, job_id, "runware")
    finally:
        stack.fal.change(key=stack.fal.key)
    assert refusals(stack, job_id) == [("fal", "OWNER_ACCOUNT")]


def test_when_all_are_busy_all_are_asked_again(stack: RunningStack, ada: Customer) -> None:
    for simulator in (stack.fal, stack.simulators["runware"]):
        simulator.arm("submit_503", prompt_contains=ada.word)
    job_id = ada.order(**veo())
    assert_delivered_once_by(stack, ada, job_id, "fal")
    assert refusals(stack, job_id) == [("fal", "BUSY"), ("runware", "BUSY")]


def test_a_prompt_that_one_provider_declines_is_not_taken_to_another(
    stack: RunningStack, ada: Customer
) -> None:
    runware = stack.simulators["runware"]
    runware.arm("submit_error", status=400, code="invalidProviderContent", prompt_contains=ada.word)
    ended = ada.finish(**veo(model_id="veo-3.1-runware-first"))
    assert (ended["status"], ended["error_code"]) == ("failed", "CONTENT_POLICY")
    assert ada.kinds() == ["grant", "hold", "release"]
    assert not paid_for(stack, ada)


def paid_for(stack: RunningStack, customer: Customer) -> list[tuple[str, str]]:
    """The providers that accepted a task of a customer, by the prompts, and the task ids."""
    return [
        (name, submission["request_id"])
        for name, simulator in stack.simulators.items()
        for submission in simulator.submissions()
        if customer.word in str(submission["input"])
    ]


def test_without_fallback_a_busy_provider_is_waited_for(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("submit_503", prompt_contains=ada.word)
    job_id = ada.order(**veo(fallback=False))
    assert_delivered_once_by(stack, ada, job_id, "fal")
    assert refusals(stack, job_id) == [("fal", "BUSY")]


def test_without_fallback_a_refusal_is_final_and_free(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("submit_locked", prompt_contains=ada.word)
    job_id = ada.order(**veo(fallback=False))
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", "OWNER_ACCOUNT")
    assert refusals(stack, job_id) == [("fal", "OWNER_ACCOUNT")]
    assert ada.kinds() == ["grant", "hold", "release"]
    assert not paid_for(stack, ada)


def test_after_an_answer_is_lost_at_the_first_provider_the_second_is_not_tried(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("submit_reset_after", prompt_contains=ada.word)
    job_id = ada.order(**veo())
    assert_delivered_once_by(stack, ada, job_id, "fal")
    assert refusals(stack, job_id) == []


@pytest.mark.parametrize("fault", ["submit_reset_after", "submit_504_after"])
def test_an_answer_lost_at_runware_is_asked_for_by_sending_the_same_task_again(
    stack: RunningStack, ada: Customer, fault: str
) -> None:
    runware = stack.simulators["runware"]
    runware.arm(fault, prompt_contains=ada.word)
    # Still running when it is polled: only its response to the same task shows that it has it.
    runware.arm("slow_generation", seconds=6, prompt_contains=ada.word)
    calls = completed_once_by_runware(stack, ada)
    assert calls["conflict"] == 1, "the same task was sent again, and not made again"


def test_without_its_webhook_a_task_whose_response_was_lost_is_found_by_polling_and_paid_once(
    stack: RunningStack, ada: Customer
) -> None:
    runware = stack.simulators["runware"]
    runware.arm("submit_reset_after", prompt_contains=ada.word)
    # If the webhook arrived, no poll would be needed.
    runware.arm("webhook_lost", prompt_contains=ada.word)
    calls = completed_once_by_runware(stack, ada)
    # Asked before it is sent again; whether it is depends on who was quicker. Sent again, it is
    # recognised.
    assert calls["getResponse"] >= 1
    assert calls.get("conflict", 0) <= calls["getResponse"]


def completed_once_by_runware(stack: RunningStack, customer: Customer) -> dict[str, int]:
    """A job at Runware from its order to its end; the calls about its task, by kind."""
    job_id = customer.order(model_id="runware-veo-3.1", preset="draft")
    assert customer.until_ended(job_id)["status"] == "completed"
    (paid,) = submissions(stack, job_id)
    submission = job_item(stack, job_id)["video"]["submission"]
    assert submission["state"] == "sent"
    assert submission["task_id"] == submission["request_id"] == paid["request_id"]
    assert paid_for(stack, customer) == [("runware", paid["request_id"])]
    assert customer.kinds() == ["grant", "hold", "capture"]
    calls: dict[str, int] = paid["calls"]
    return calls


def test_what_never_reached_runware_is_sent_again_and_paid_once(
    stack: RunningStack, ada: Customer
) -> None:
    stack.simulators["runware"].arm("submit_reset_before", prompt_contains=ada.word)
    job_id = ada.order(model_id="runware-veo-3.1", preset="draft")
    assert ada.until_ended(job_id)["status"] == "completed"
    (paid,) = submissions(stack, job_id)
    assert "conflict" not in paid["calls"]
    assert job_item(stack, job_id)["video"]["submission"]["task_id"] == paid["request_id"]


@pytest.mark.parametrize("fault", ["submit_reset_after", "submit_504_after"])
def test_an_answer_lost_at_runway_is_never_sent_again_and_the_user_pays_nothing(
    stack: RunningStack, ada: Customer, fault: str
) -> None:
    stack.simulators["runway"].arm(fault, prompt_contains=ada.word)
    job_id = ada.order(model_id="runway-veo-3.1", preset="draft")
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", "SUBMIT_UNKNOWN")
    assert (ended["error_message"], ended["credits_used"]) == (NOT_STARTED, 0)
    assert len(paid_for(stack, ada)) == 1, "Runway may keep what it took, and gets no more"
    assert ada.kinds() == ["grant", "hold", "release"]
    assert ada.credits() == {"available": VEO_DRAFT, "held": 0}


def test_a_provider_that_keeps_failing_is_left_alone_and_then_tried_with_one_job(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    ada = new_customer(8 * VEO_DRAFT)
    stack.fal.arm("submit_503", times=None, prompt_contains=ada.word)

    def delivered() -> tuple[str, list[tuple[str, str]]]:
        job_id = ada.order(**veo())
        assert ada.until_ended(job_id)["status"] == "completed"
        assert len(submissions(stack, job_id)) == 1
        return job_id, refusals(stack, job_id)

    for _ in range(5):
        job_id, refused = delivered()
        assert refused == [("fal", "BUSY")]
    assert_counted(stack, "SubmitFunction", "Circuit", about=job_id, provider="fal", to="OPEN")
    assert times_refused(stack, ada) == 5

    _, refused = delivered()
    assert refused == []
    assert times_refused(stack, ada) == 5, "not even asked"

    ada.withdraw()
    stack.kill_workers("SubmitFunction")  # a new process, which must learn of it from the table
    _, refused = delivered()
    assert refused == []
    assert {name for name, _ in paid_for(stack, ada)} == {"runware"}

    let_a_minute_pass(stack)
    job_id, refused = delivered()
    assert refused == []
    assert_counted(stack, "SubmitFunction", "Circuit", about=job_id, provider="fal", to="CLOSED")
    assert [name for name, _ in paid_for(stack, ada)].count("fal") == 1
    assert ada.credits() == {"available": 0, "held": 0}


def times_refused(stack: RunningStack, customer: Customer) -> int:
    """How often fal has refused a customer, by its rules about them."""
    rules = stack.fal.faults()
    return sum(rule["fired"] for rule in rules if rule["match"]["prompt_contains"] == customer.word)


def let_a_minute_pass(stack: RunningStack) -> None:
    """As if the circuit had been opened long ago, and no process remembered it."""
    table = stack.tables["IdempotencyTable"]
    (circuit,) = [item for item in scan(stack, "IdempotencyTable") if item.get("state") == "OPEN"]
    stack.boto3("dynamodb").update_item(
        TableName=table,
        Key={"id": {"S": circuit["id"]}},
        UpdateExpression="SET opened_at = :then",
        ConditionExpression="attribute_exists(opened_at)",
        ExpressionAttributeValues={":then": {"N": str(int(circuit["opened_at"]) - 60)}},
    )
    stack.kill_workers("SubmitFunction")


def example_of_models_md() -> dict[str, Any]:
    """The complete entry in docs/models.md."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    [example] = (
        json.loads(block)
        for block in re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        if '"model_id"' in block
    )
    return dict(example)


def test_a_model_that_the_owner_adds_with_one_call_is_ordered_and_fails_over(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    # The steps and the entry of docs/models.md; only the polls are sooner.
    entry = example_of_models_md() | {"poll_seconds": [2, 4, 8], "deadline_seconds": 900}
    with closing(Owner(stack)) as owner:
        checked = owner.check_model(**entry)
        assert checked["problems"] == []
        [draft] = (
            order
            for order in checked["orders"]
            if (order["name"], order["kind"]) == ("preset draft", "text")
        )
        assert (draft["credits"], len(draft["requests"])) == (4, 3)
        owner.put_model(**entry)
    customer = new_customer(5)
    order = {"model_id": "my-kling", "preset": "draft"}
    estimate = customer.http.post("/v1/videos/estimate", json=customer.body(**order))
    assert estimate.json()["credits"] == 4
    for name in ("fal", "runway"):
        stack.simulators[name].arm("submit_503", times=None, prompt_contains=customer.word)
    job_id = customer.order(**order, expected_credits=4)
    ended = customer.until_ended(job_id)
    assert (ended["status"], ended["credits_used"]) == ("completed", 4)
    assert ended["settings"]["audio"] is False
    (paid,) = submissions(stack, job_id)
    assert paid["request_id"] in request_ids(stack, "runware")
    assert refusals(stack, job_id) == [("fal", "BUSY"), ("runway", "BUSY")]
    made = job_item(stack, job_id)["video"]["asset"]
    assert (made["width"], made["height"]) == (1920, 1080)
    assert made["duration_seconds"] == pytest.approx(3, abs=0.2)
    assert customer.credits() == {"available": 1, "held": 0}
