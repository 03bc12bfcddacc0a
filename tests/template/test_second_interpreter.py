"""The state machine behaves in a second interpreter as it does in the emulator."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.reading import DEFINITION
from tests.support.second_interpreter import Answer, Failed, Payload, interpreter, run

pytestmark = pytest.mark.slow

JOB = {"job_id": "job-1"}
FUNCTIONS = ("Submit", "Track", "Migrate", "Settle")
AN_HOUR = 3_600
AGAIN = "Again"


def definition() -> dict[str, Any]:
    """The definition as deployed, with retries after a second and a short wait in Submit."""
    text = DEFINITION.read_text().replace("${Partition}", "aws")
    for name in FUNCTIONS:
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live"
        text = text.replace(f"${{{name}FunctionArn}}", arn)
    found: dict[str, Any] = copy.deepcopy(yaml.safe_load(text))
    for state in found["States"].values():
        for retrier in state.get("Retry", []):
            if retrier.get("MaxAttempts") != 0:
                retrier |= {"IntervalSeconds": 1, "BackoffRate": 1.0, "MaxDelaySeconds": 2}
    found["States"]["Submit"]["TimeoutSeconds"] = 2
    return without_loops(found)


def without_loops(machine: dict[str, Any]) -> dict[str, Any]:
    """The same machine with a state between each state and itself.

    A catcher that leads to its own state continues with the state's `Next` in this interpreter.
    """
    for name, state in list(machine["States"].items()):
        for catcher in state.get("Catch", []):
            if catcher["Next"] == name:
                catcher["Next"] = f"{name}{AGAIN}"
                machine["States"][f"{name}{AGAIN}"] = {"Type": "Pass", "Next": name}
    return machine


def executed(answer: Answer) -> tuple[str, list[str], list[tuple[str, Payload]]]:
    """An execution's status, the states it entered, and the calls it made."""
    with interpreter(answer) as (client, functions):

        def with_client(name: str, event: Payload) -> Any:
            result = answer(name, event)
            if callable(result):
                token = event["task_token"]
                threading.Timer(0.2, result, args=(client, token)).start()
                return None
            return result

        functions.answer = with_client
        status, entered = run(client, definition(), JOB)
        return status, [name for name in entered if not name.endswith(AGAIN)], functions.calls


def made(stage: str = "video") -> Callable[[Any, str], None]:
    """The webhook has come: the file is ready."""

    def report(client: Any, token: str) -> None:
        client.send_task_success(taskToken=token, output=json.dumps({"stage": stage}))

    return report


def not_made(error: str, cause: Any = None) -> Callable[[Any, str], None]:
    def report(client: Any, token: str) -> None:
        client.send_task_failure(taskToken=token, error=error, cause=json.dumps(cause or {}))

    return report


def poll_needed(*poll_seconds: int, left: int = AN_HOUR) -> Callable[[Any, str], None]:
    deadline = int(time.time()) + left
    plan = {"stage": "video", "poll_seconds": list(poll_seconds), "deadline": deadline}
    return not_made("PollNeeded", plan)


def scripted(**answers: list[Any]) -> Answer:
    """Answers of each function in turn; the last one repeats."""
    counts = Counter[str]()

    def answer(name: str, _event: Payload) -> Any:
        counts[name] += 1
        turns = answers.get(name, [None])
        return turns[min(counts[name], len(turns)) - 1]

    return answer


STORED = {"more": False}


def test_a_job_whose_webhook_comes_while_submit_waits() -> None:
    status, entered, calls = executed(scripted(Submit=[made()], Migrate=[STORED]))
    assert (status, entered) == ("SUCCEEDED", ["Submit", "Migrate", "NextStage", "Settle"])
    assert calls == [
        ("Submit", JOB),
        ("Migrate", JOB | {"stage": "video"}),
        ("Settle", JOB | {"error": ""}),
    ]


def test_a_job_of_two_stages() -> None:
    status, entered, calls = executed(
        scripted(Submit=[made("image"), made()], Migrate=[{"more": True}, STORED])
    )
    assert status == "SUCCEEDED"
    assert entered == [*["Submit", "Migrate", "NextStage"] * 2, "Settle"]
    assert [call[1]["stage"] for call in calls if call[0] == "Migrate"] == ["image", "video"]


def test_a_job_that_must_be_polled_is_polled_until_it_is_made() -> None:
    status, entered, calls = executed(
        scripted(Submit=[poll_needed(1, 1)], Track=[None, None, made()], Migrate=[STORED])
    )
    assert status == "SUCCEEDED"
    assert entered == ["Submit", *["Track"] * 3, "Migrate", "NextStage", "Settle"]
    turns = [event["turn"] for name, event in calls if name == "Track"]
    assert turns == [0, 1, 2]


def test_a_wait_without_a_webhook_leads_to_polling() -> None:
    plan = {"stage": "video", "poll_seconds": [60], "deadline": int(time.time()) + AN_HOUR}
    status, entered, calls = executed(
        scripted(Submit=[None, plan], Track=[made()], Migrate=[STORED])
    )
    assert status == "SUCCEEDED"
    assert entered == ["Submit", "StartPolling", "Track", "Migrate", "NextStage", "Settle"]
    assert ("Track", JOB | {"stage": "video", "turn": 1}) in calls


def test_a_declined_video_goes_back_to_submit_which_gives_it_up() -> None:
    status, entered, calls = executed(
        scripted(
            Submit=[poll_needed(60), Failed("SubmissionRejected")],
            Track=[not_made("GenerationFailed")],
        )
    )
    assert (status, entered) == ("SUCCEEDED", ["Submit", "Track", "Submit", "Settle"])
    assert calls[-1] == ("Settle", JOB | {"error": "SubmissionRejected"})


def test_a_file_on_a_foreign_host_is_not_fetched_again() -> None:
    status, _, calls = executed(scripted(Submit=[made()], Migrate=[Failed("SourceNotAllowed")]))
    assert status == "SUCCEEDED"
    assert [name for name, _ in calls] == ["Submit", "Migrate", "Settle"]
    assert calls[-1] == ("Settle", JOB | {"error": "SourceNotAllowed"})


@pytest.mark.parametrize(
    "error", ["Lambda.TooManyRequestsException", "ProviderBusy", "Sandbox.Timedout"]
)
def test_a_retry_of_submit_has_a_token_of_its_own(error: str) -> None:
    status, entered, calls = executed(
        scripted(Submit=[Failed(error), Failed(error), made()], Migrate=[STORED])
    )
    assert (status, entered) == ("SUCCEEDED", ["Submit", "Migrate", "NextStage", "Settle"])
    assert [name for name, _ in calls] == ["Submit"] * 3 + ["Migrate", "Settle"]


def test_after_the_deadline_track_waits_for_the_whole_time_of_its_function() -> None:
    # Not for the poll interval of a second: the turn would end while the poll is running.
    began = time.monotonic()
    status, _, calls = executed(
        scripted(
            Submit=[poll_needed(1, left=-10)],
            Track=[lambda client, token: threading.Timer(3, made(), (client, token)).start()],
            Migrate=[STORED],
        )
    )
    assert status == "SUCCEEDED"
    assert [name for name, _ in calls].count("Track") == 1
    assert time.monotonic() - began > 3
