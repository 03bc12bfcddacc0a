"""How long generations take is learned from polls, decides when to poll, and is shown."""

from __future__ import annotations

from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.durations import Estimate, intervals
from clipmint.catalog.model import Model
from clipmint.credits import grants
from clipmint.jobs import job_store
from clipmint.jobs.job import Job
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from functions.generate.app import handler as generate
from functions.status.app import handler as status
from functions.track.app import handler as track
from tests.support.clock import Clock
from tests.support.gateway import Caller, Context
from tests.support.jobs import TASK_ID, begin_sending
from tests.support.moto_aws import Aws, client_of, hooked
from tests.support.scripted_provider import HANDLE, ScriptedProvider

SIZES: dict[str, Any] = {"resolution": ["720p"], "duration": [4, 8]}
POLLED: dict[str, Any] = {
    "model_id": "polled",
    "name": "Polled",
    "allowed": SIZES,
    "defaults": {"resolution": "720p", "duration": 4},
    "price": {"kind": "fixed", "credits": 4},
    "routes": [{"provider": "runway", "endpoint": "text_to_video/a-model", "body": {}}],
    "poll_seconds": [15, 10, 10, 15],
}
URL = "https://d1.cloudfront.net/video.mp4"


@pytest.fixture(autouse=True)
def _offered(aws: Aws, providers: dict[str, ScriptedProvider]) -> None:
    offer()
    grants.grant("user-1", 100, "a-grant")


def offer(**changes: Any) -> None:
    model_store.put(Model.model_validate(POLLED | changes))


def order(key: str = "the-key-of-one-order", **settings: Any) -> Job:
    body = {"model_id": "polled", "prompt": "a fox", "settings": settings}
    answer = Caller(generate)("POST", "/v1/videos", body=body, headers={"Idempotency-Key": key})
    found = job_store.get(answer.body["job_id"])
    assert found
    return found


def generation(
    hands: Clock, provider: ScriptedProvider, outcome: Any, *, after: int, turn: int = 2
) -> Job:
    """A job whose poll finds this outcome so many seconds after its submission."""
    job = begin_sending(order(f"the-key-of-order-{after}"), provider="runway")
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    hands.forward(seconds=after)
    provider.polls = [outcome]
    track({"job_id": job.job_id, "stage": "video", "turn": turn, "task_token": "t"}, Context())
    model_store.forget()
    return job


def test_without_an_estimate_nothing_changes() -> None:
    [stage] = order().stages
    assert (stage.poll_seconds, stage.expected_seconds) == ((15, 10, 10, 15), None)


def test_the_owners_estimate_decides_until_one_is_learned(
    hands: Clock, providers: dict[str, ScriptedProvider]
) -> None:
    offer(expected_seconds=60)
    [stage] = order().stages
    assert stage.poll_seconds == intervals((15, 10, 10, 15), Estimate.stated(60))
    assert stage.expected_seconds == 60
    generation(hands, providers["runway"], Succeeded(URL), after=45, turn=3)
    [learned] = order("the-key-of-another-order").stages
    assert learned.expected_seconds == 42  # between the polls after 40 and after 45 seconds
    # Another length takes another time, which is not known yet.
    [longer] = order("the-key-of-a-longer-order", duration=8).stages
    assert longer.expected_seconds == 60


def test_a_model_with_several_routes_is_polled_at_its_own_intervals() -> None:
    """The estimate is of one provider, and another one may make the video."""
    other = {"provider": "fal", "endpoint": "x/y", "body": {}}
    offer(expected_seconds=60, routes=[*POLLED["routes"], other])
    assert order().stages[0].poll_seconds == (15, 10, 10, 15)


@pytest.mark.parametrize(
    ("outcome", "turn"),
    [(Failed(FailureCode.PROVIDER_ERROR), 2), (Running(), 2), (Succeeded(URL), 0)],
)
def test_only_a_video_that_a_poll_has_found_teaches_anything(
    hands: Clock, providers: dict[str, ScriptedProvider], outcome: Any, turn: int
) -> None:
    generation(hands, providers["runway"], outcome, after=40, turn=turn)
    assert order().stages[0].expected_seconds is None


def test_a_first_poll_that_finds_it_gives_half_of_the_time(
    hands: Clock, providers: dict[str, ScriptedProvider]
) -> None:
    generation(hands, providers["runway"], Succeeded(URL), after=15, turn=1)
    assert order().stages[0].expected_seconds == 8


def test_a_repeated_turn_learns_nothing_more(
    hands: Clock, providers: dict[str, ScriptedProvider]
) -> None:
    job = generation(hands, providers["runway"], Succeeded(URL), after=40)
    state = model_store.state_item()
    assert state
    before = state.durations
    hands.forward(seconds=100)
    track({"job_id": job.job_id, "stage": "video", "turn": 3, "task_token": "t"}, Context())
    again = model_store.state_item()
    assert again
    assert again.durations == before


def test_a_job_goes_on_if_its_duration_cannot_be_recorded(
    aws: Aws, hands: Clock, providers: dict[str, ScriptedProvider]
) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("no answer")

    job = begin_sending(order(), provider="runway")
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    hands.forward(seconds=40)
    providers["runway"].polls = [Succeeded(URL)]
    aws.executions.sleeping.add("t")
    event = {"job_id": job.job_id, "stage": "video", "turn": 2, "task_token": "t"}
    with hooked(client_of(model_store.CatalogItem), {"before-call.dynamodb.GetItem": broken}):
        assert track(event, Context()) == {"woken": True}


def test_the_estimate_is_shown_and_decides_how_often_to_poll(hands: Clock) -> None:
    offer(expected_seconds=60)
    model_store.forget()
    call, job = Caller(status), order()
    for path in ("/v1/models/polled", f"/v1/videos/{job.job_id}"):
        assert call("GET", path).body["expected_seconds"] == 60
    [listed] = [
        one for one in call("GET", "/v1/models").body["models"] if one["model_id"] == "polled"
    ]
    assert listed["expected_seconds"] == 60
    pauses = []
    for _ in range(4):
        pauses.append(call("GET", f"/v1/videos/{job.job_id}").headers["retry-after"])
        hands.forward(seconds=25)
    assert pauses == ["30", "17", "5", "2"]
