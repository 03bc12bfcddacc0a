"""The generation state machine, from its own file, with scripted functions.

What it must do with any functions: `Submit (→ Track ⟲) → Migrate → (Submit again?) → Settle`.
"""

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.stack import Stack, wait_for


def plan(stage: str = "video", polls: tuple[int, ...] = (30,), left: int = 3_600) -> dict[str, Any]:
    """What Submit hands over to Track, for a job with so many seconds left."""
    return {"stage": stage, "poll_seconds": [*polls], "deadline": int(time.time()) + left}


IMPATIENT = plan(polls=(1, 2))
DONE = {"return": {"more": False}}


@dataclass
class Play:
    """One job with scripted functions."""

    stack: Stack
    job_id: str

    def write(self, **parts: list[dict[str, Any]]) -> None:
        for state, steps in parts.items():
            self.put(f"{self.job_id}/{state}", steps={"S": json.dumps(steps)})

    def put(self, name: str, **attributes: dict[str, str]) -> None:
        self.stack.boto3("dynamodb").put_item(
            TableName=self.stack.tables["Table"], Item={"id": {"S": name}, **attributes}
        )

    def event(self, name: str) -> Any:
        """What a function or the witness left under a name; None if nothing yet."""
        item = self.stack.boto3("dynamodb").get_item(
            TableName=self.stack.tables["Table"], Key={"id": {"S": name}}, ConsistentRead=True
        )
        return json.loads(item["Item"]["event"]["S"]) if "Item" in item else None

    def turn(self, state: str, number: int, seconds: float = 15) -> Any:
        """The event of a state's turn, as soon as it has one."""
        return wait_for(lambda: self.event(f"{self.job_id}/{state}/{number}"), seconds)

    def start(self) -> None:
        self.stack.boto3("stepfunctions").start_execution(
            stateMachineArn=self.stack.state_machine_arn,
            name=self.job_id,
            input=json.dumps({"job_id": self.job_id}),
        )

    def wake(self, turn: int = 1, state: str = "Track", stage: str = "video") -> None:
        self.stack.boto3("stepfunctions").send_task_success(
            taskToken=self.turn(state, turn)["task_token"], output=json.dumps({"stage": stage})
        )

    def fail(self, turn: int = 1, state: str = "Track") -> None:
        """The generation that the state waits for fails."""
        self.stack.boto3("stepfunctions").send_task_failure(
            taskToken=self.turn(state, turn)["task_token"],
            error="GenerationFailed",
            cause="declined",
        )

    def hand_over(self, to_track: dict[str, Any] | None = None, turn: int = 1) -> None:
        """Let Submit end its wait, so that Track polls."""
        self.stack.boto3("stepfunctions").send_task_failure(
            taskToken=self.turn("Submit", turn)["task_token"],
            error="PollNeeded",
            cause=json.dumps(to_track or plan()),
        )

    def status(self) -> str:
        described = self.stack.boto3("stepfunctions").describe_execution(
            executionArn=self.stack.execution_arn(self.job_id)
        )
        return str(described["status"])

    def finish(self, seconds: float = 20) -> str:
        """The execution's final status."""
        wait_for(lambda: self.status() != "RUNNING", seconds)
        return self.status()


@pytest.fixture
def play(stack: Stack) -> Play:
    play = Play(stack, uuid.uuid4().hex)
    play.write(Submit=[{}], Track=[{}], Migrate=[DONE], Settle=[{}])
    return play


def test_a_webhook_carries_a_job_through_in_four_transitions(play: Play) -> None:
    play.start()
    play.wake(state="Submit")
    assert play.finish() == "SUCCEEDED"
    assert play.stack.transitions(play.job_id) == ["Submit", "Migrate", "NextStage", "Settle"]
    assert play.turn("Migrate", 1) == {"job_id": play.job_id, "stage": "video"}
    assert play.turn("Settle", 1) == {"job_id": play.job_id, "error": ""}


def test_what_must_be_polled_soon_is_handed_over_to_track(play: Play) -> None:
    play.start()
    to_track = plan()
    play.hand_over(to_track)
    found = play.turn("Track", 1)
    assert found.pop("task_token") != play.turn("Submit", 1)["task_token"]
    assert found == {"job_id": play.job_id, "stage": "video", "turn": 0}
    play.wake()
    assert play.finish() == "SUCCEEDED"
    assert play.stack.transitions(play.job_id) == [
        "Submit",
        "Track",
        "Migrate",
        "NextStage",
        "Settle",
    ]


def test_without_a_webhook_track_is_entered_again_each_time_its_interval_is_over(
    play: Play,
) -> None:
    play.start()
    play.hand_over(IMPATIENT)
    tracked = [play.turn("Track", number) for number in (1, 2, 3)]
    assert [event["turn"] for event in tracked] == [0, 1, 2]
    assert len({event["task_token"] for event in tracked}) == 3
    timed_out = [e for e in play.stack.history(play.job_id) if e["type"] == "TaskTimedOut"]
    waited = [
        (later["timestamp"] - earlier["timestamp"]).total_seconds()
        for earlier, later in zip(
            [e for e in play.stack.history(play.job_id) if e["type"] == "TaskStarted"][1:],
            timed_out,
            strict=False,
        )
    ]
    assert 1 <= waited[0] + 0.05 < 3  # however late a busy machine is
    assert 2 <= waited[1] + 0.05 < 4  # and from then on the last interval repeats
    play.wake(turn=3)
    assert play.finish() == "SUCCEEDED"


def test_track_is_entered_once_more_right_after_the_deadline(play: Play) -> None:
    play.start()
    to_track = plan(polls=(3_600,), left=4)
    play.hand_over(to_track)
    assert play.turn("Track", 2)["turn"] == 1
    entered = [e for e in play.stack.history(play.job_id) if e["type"] == "TaskStateEntered"]
    last = entered[-1]["timestamp"].timestamp()
    # Past it in whole seconds, which is how Track looks at it.
    assert to_track["deadline"] <= int(last + 0.05) < to_track["deadline"] + 5
    play.wake(turn=2)
    assert play.finish() == "SUCCEEDED"


def test_the_token_of_an_earlier_turn_wakes_no_execution(play: Play) -> None:
    play.start()
    play.hand_over(IMPATIENT)
    play.turn("Track", 2)
    with pytest.raises(ClientError, match="TaskTimedOut"):
        play.wake(turn=1)
    play.wake(turn=2)
    assert play.finish() == "SUCCEEDED"


@pytest.mark.parametrize("state", ["Submit", "Track"])
def test_a_failed_generation_goes_by_submit_and_is_settled(play: Play, state: str) -> None:
    play.write(Submit=[{}, {"raise": "SubmissionRejected"}])
    play.start()
    if state == "Track":
        play.hand_over()
    play.fail(state=state)
    assert play.finish() == "SUCCEEDED"
    assert play.turn("Settle", 1)["error"] == "SubmissionRejected"
    waited = ["Submit"] if state == "Submit" else ["Submit", "Track"]
    assert play.stack.transitions(play.job_id) == [*waited, "Submit", "Settle"]


def test_a_failed_generation_that_is_sent_again_goes_on(play: Play) -> None:
    play.start()
    play.fail(state="Submit")
    play.wake(turn=2, state="Submit", stage="image")
    assert play.turn("Migrate", 1)["stage"] == "image"
    assert play.finish() == "SUCCEEDED"
    assert play.turn("Settle", 1)["error"] == ""


def test_a_rejected_submission_is_not_tried_again(play: Play) -> None:
    play.write(Submit=[{"raise": "SubmissionRejected"}])
    play.start()
    assert play.finish() == "SUCCEEDED"
    assert play.turn("Settle", 1)["error"] == "SubmissionRejected"
    assert play.event(f"{play.job_id}/Submit/2") is None


def test_a_failing_track_does_not_end_the_job_while_the_provider_may_deliver(play: Play) -> None:
    play.write(Track=[{"raise": "RuntimeError"}, {}])
    play.start()
    play.hand_over()
    play.wake(turn=2)
    assert play.finish() == "SUCCEEDED"
    assert play.turn("Settle", 1)["error"] == ""


def test_a_job_of_two_stages_submits_twice(play: Play) -> None:
    play.write(Migrate=[{"return": {"more": True}}, DONE])
    play.start()
    play.wake(state="Submit", stage="image")
    play.hand_over(turn=2)
    play.wake()
    assert play.finish() == "SUCCEEDED"
    assert [play.turn("Migrate", n)["stage"] for n in (1, 2)] == ["image", "video"]
    assert play.turn("Track", 1)["turn"] == 0
    assert play.stack.transitions(play.job_id).count("NextStage") == 2


def test_a_callback_that_comes_before_submit_returns_counts(play: Play) -> None:
    play.write(Submit=[{"sleep": 4}])
    play.start()
    play.wake(state="Submit")
    play.turn("Settle", 1)
    (submit,) = play.stack.invocations(function="PlaySubmit", about=play.job_id)
    assert not submit.ended
    assert play.finish() == "SUCCEEDED"


def test_an_aborted_execution_stops_waiting_and_its_event_is_delivered(play: Play) -> None:
    play.start()
    token = play.turn("Submit", 1)["task_token"]
    client = play.stack.boto3("stepfunctions")
    client.stop_execution(executionArn=play.stack.execution_arn(play.job_id))
    detail = wait_for(lambda: play.event(f"witness/{play.job_id}"), 120)
    assert (detail["status"], detail["name"]) == ("ABORTED", play.job_id)
    with pytest.raises(ClientError, match="TaskTimedOut"):
        client.send_task_success(taskToken=token, output="{}")
    assert play.status() == "ABORTED"


def test_a_settle_that_cannot_settle_keeps_trying(play: Play) -> None:
    play.write(Settle=[{"raise": "RuntimeError"}, {}])
    play.start()
    play.wake(state="Submit")
    assert play.finish() == "SUCCEEDED"
    assert play.turn("Settle", 2)["job_id"] == play.job_id
