"""Every scripted fault of the simulated fal, seen from the wire."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from local.fal.faults import FAL_FAULTS, NOT_ACCEPTED
from local.simulator.client import Simulator, start
from tests.support.inbox import PATIENCE_SECONDS, Inbox
from tests.support.plain_http import PLAIN

TEXT = "/fal-ai/veo3.1"
FOX = {"prompt": "a fox", "duration": "4s"}
FAST = {
    "queue_seconds": 0.0,
    "generation_seconds": 0.1,
    "time_factor": 0.01,
    "frames_per_second": 2,
}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.fal", FAST) as simulator:
        yield simulator


@pytest.fixture
def fal(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def http(fal: Simulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Key {fal.key}"}
    with httpx.Client(base_url=fal.url, headers=headers, timeout=5, verify=PLAIN) as client:
        yield client


def submit(http: httpx.Client, webhook: str | None = None, **members: Any) -> dict[str, Any]:
    params = {"fal_webhook": webhook} if webhook else {}
    answer = http.post(TEXT, json={**FOX, **members}, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def finish(http: httpx.Client, request: dict[str, Any]) -> httpx.Response:
    """The result, once the status is COMPLETED."""
    until = time.monotonic() + PATIENCE_SECONDS
    while http.get(request["status_url"]).status_code == 202:
        assert time.monotonic() < until, "never completed"
        time.sleep(0.02)
    return http.get(request["response_url"])


def made_video(http: httpx.Client) -> tuple[dict[str, Any], str]:
    """A finished request and its file's URL."""
    request = submit(http)
    return request, str(finish(http, request).json()["video"]["url"])


class TestASubmissionThatIsTurnedAway:
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("submit_429", 429),
            ("submit_503", 503),
            ("submit_502_html", 502),
            ("submit_locked", 403),
        ],
    )
    def test_has_cost_nothing(
        self, fal: Simulator, http: httpx.Client, kind: str, status: int
    ) -> None:
        fal.arm(kind)
        answer = http.post(TEXT, json=FOX)
        assert answer.status_code == status
        assert fal.submissions() == []
        assert http.post(TEXT, json=FOX).status_code == 200

    def test_by_the_ingress_looks_like_nginx_and_not_like_fal(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        fal.arm("submit_502_html", status=504)
        answer = http.post(TEXT, json=FOX)
        assert (answer.status_code, "nginx" in answer.text) == (504, True)
        assert "x-fal-request-id" not in answer.headers

    def test_by_a_reset_connection_has_cost_nothing_either(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        fal.arm("submit_reset_before")
        with pytest.raises(httpx.ReadError) as reset:
            http.post(TEXT, json=FOX)
        assert "reset" in str(reset.value).lower()
        assert fal.submissions() == []

    def test_leaves_the_faults_of_a_run_for_the_next_one(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        fal.arm("submit_429")
        fal.arm("moderation")
        http.post(TEXT, json=FOX)
        assert finish(http, submit(http)).status_code == 422


class TestASubmissionWhoseAnswerIsLost:
    def test_by_a_reset_is_paid_for_and_still_calls_back(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.arm("submit_reset_after")
        with pytest.raises(httpx.ReadError):
            submit(http, inbox.url)
        reply = json.loads(inbox.wait_for(1)[0].body)
        (paid,) = fal.submissions()
        assert paid["request_id"] == reply["request_id"]
        assert (paid["billed"], paid["faults"]) == (True, ["submit_reset_after"])

    def test_by_silence_is_paid_for(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("submit_timeout_after")
        with pytest.raises(httpx.ReadTimeout):
            http.post(TEXT, json=FOX, timeout=0.5)
        assert len(fal.submissions()) == 1

    def test_half_way_is_paid_for(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("submit_garbled")
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(TEXT, json=FOX)
        assert len(fal.submissions()) == 1

    def test_for_a_while_is_answered_in_the_end(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("submit_slow", seconds=0.6)
        begun = time.monotonic()
        submit(http)
        assert time.monotonic() - begun >= 0.6

    def test_can_also_be_taken_up_without_any_queue(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        fal.arm("submit_in_progress")
        reply = submit(http)
        assert reply["status"] == "IN_PROGRESS"
        assert "queue_position" not in reply


class TestARun:
    @pytest.mark.parametrize(
        ("fault", "status", "expected"),
        [
            ({"kind": "moderation"}, 422, "content_policy_violation"),
            ({"kind": "no_media_generated"}, 422, "no_media_generated"),
            ({"kind": "file_download_error"}, 422, "file_download_error"),
            ({"kind": "generation_timeout"}, 504, "generation_timeout"),
            (
                {"kind": "model_error", "type": "downstream_service_error"},
                400,
                "downstream_service_error",
            ),
        ],
    )
    def test_that_the_model_fails_has_a_list_of_details(
        self,
        fal: Simulator,
        http: httpx.Client,
        fault: dict[str, Any],
        status: int,
        expected: str,
    ) -> None:
        fal.arm(**fault)
        result = finish(http, submit(http))
        assert result.status_code == status
        assert [detail["type"] for detail in result.json()["detail"]] == [expected]
        assert fal.submissions()[0]["billed"] is False

    @pytest.mark.parametrize(
        ("error_type", "status"),
        [
            ("runner_disconnected", 503),
            ("runner_incomplete_response", 502),
            ("internal_error", 500),
        ],
    )
    def test_that_the_runner_fails_has_one_word_for_it(
        self, fal: Simulator, http: httpx.Client, error_type: str, status: int
    ) -> None:
        fal.arm("runner_error", error_type=error_type)
        result = finish(http, submit(http))
        assert (result.status_code, result.json()["error_type"]) == (status, error_type)
        assert result.headers["x-fal-error-type"] == error_type

    def test_can_be_stuck_until_it_is_cancelled(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("stuck")
        request = submit(http)
        time.sleep(0.5)
        assert http.get(request["status_url"]).json()["status"] == "IN_PROGRESS"
        assert http.put(request["cancel_url"]).status_code == 202
        assert finish(http, request).status_code == 499

    def test_can_be_slow(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("slow_generation", seconds=1.0)
        begun = time.monotonic()
        assert finish(http, submit(http)).status_code == 200
        assert time.monotonic() - begun >= 1.0

    def test_can_ignore_its_cancellation(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("cancel_ignored")
        request = submit(http)
        while http.get(request["status_url"]).json()["status"] == "IN_QUEUE":
            time.sleep(0.01)
        http.put(request["cancel_url"])
        assert finish(http, request).status_code == 200

    def test_waits_for_a_free_runner_in_the_order_of_acceptance(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        fal.change(concurrency=1, queue_ahead=0)
        fal.arm("slow_generation", times=None, seconds=0.4)
        requests = [submit(http, prompt=f"number {n}") for n in range(3)]
        positions = [request["queue_position"] for request in requests]
        assert positions == sorted(positions)
        assert positions[-1] >= 1
        for request in requests:
            finish(http, request)
        started = [s["started_at"] for s in fal.submissions()]
        completed = [s["completed_at"] for s in fal.submissions()]
        assert started == sorted(started)
        assert all(begin >= end for begin, end in zip(started[1:], completed, strict=False))


class TestAPoll:
    def test_can_fail_in_passing(self, fal: Simulator, http: httpx.Client) -> None:
        request = submit(http)
        finish(http, request)
        for status in (429, 500, 503):
            fal.arm("poll_error", status=status)
            assert http.get(request["response_url"]).status_code == status
        fal.arm("poll_gone")
        assert http.get(request["status_url"]).status_code == 404
        fal.arm("poll_reset")
        with pytest.raises(httpx.ReadError):
            http.get(request["status_url"])
        fal.arm("poll_timeout")
        with pytest.raises(httpx.ReadTimeout):
            http.get(request["status_url"], timeout=0.3)
        assert http.get(request["response_url"]).status_code == 200
        assert fal.submissions()[0]["calls"]["result"] >= 4

    def test_can_change_its_status(self, fal: Simulator, http: httpx.Client) -> None:
        request = submit(http)
        fal.arm("poll_unknown_status", status="REBALANCING")
        answer = http.get(request["status_url"])
        assert (answer.status_code, answer.json()["status"]) == (202, "REBALANCING")


class TestAWebhook:
    def test_can_be_lost(self, fal: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        fal.arm("webhook_lost")
        finish(http, submit(http, inbox.url))
        time.sleep(0.3)
        assert inbox.calls == []
        assert fal.submissions()[0]["deliveries"] == []

    def test_can_be_late(self, fal: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        fal.arm("webhook_late", seconds=0.7)
        finish(http, submit(http, inbox.url))
        (call,) = inbox.wait_for(1)
        assert call.at - fal.submissions()[0]["completed_at"] >= 0.7

    def test_can_come_twice(self, fal: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        fal.arm("webhook_duplicate", copies=2)
        submit(http, inbox.url)
        first, second = inbox.wait_for(2)
        assert first.body == second.body

    def test_can_be_replayed_byte_for_byte(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.arm("webhook_replayed", copies=3)
        submit(http, inbox.url)
        calls = inbox.wait_for(3)
        signatures = {call.headers["x-fal-webhook-signature"] for call in calls}
        assert (len(signatures), len({call.body for call in calls})) == (1, 1)

    def test_can_be_forged_with_another_result_and_without_any_signature(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        lie = {"status": "ERROR", "payload": {"detail": []}}
        fal.arm("webhook_forged", how="unsigned", members=lie)
        submit(http, inbox.url)
        (call,) = inbox.wait_for(1)
        assert json.loads(call.body)["status"] == "ERROR"
        assert "x-fal-webhook-signature" not in call.headers

    def test_can_come_before_the_submission_is_answered(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.arm("webhook_early")
        submit(http, inbox.url)
        answered = time.time()
        (call,) = inbox.wait_for(1, seconds=0)
        assert call.at < answered

    def test_can_come_without_its_payload(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.arm("webhook_payload_null", payload_error="too large")
        submit(http, inbox.url)
        reply = json.loads(inbox.wait_for(1)[0].body)
        assert (reply["status"], reply["payload"]) == ("OK", None)
        assert reply["payload_error"] == "too large"

    def test_can_carry_another_gateway_request_id(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.arm("webhook_gateway_retry")
        request = submit(http, inbox.url)
        reply = json.loads(inbox.wait_for(1)[0].body)
        assert reply["request_id"] == request["request_id"] != reply["gateway_request_id"]

    def test_is_sent_again_until_it_is_acknowledged(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        inbox.answers = [503, 404, 204]
        submit(http, inbox.url)
        calls = inbox.wait_for(3)
        time.sleep(0.5)
        assert len(inbox.calls) == 3
        pauses = [later.at - call.at for call, later in pairwise(calls)]
        assert pauses[0] >= 0.1
        assert pauses[1] >= 0.15
        tried = fal.submissions()[0]["deliveries"]
        assert [(d["status"], d["acknowledged"]) for d in tried] == [
            (503, False),
            (404, False),
            (204, True),
        ]

    def test_follows_no_redirect_and_takes_it_for_the_end(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        inbox.answers = [307]
        finish(http, submit(http, inbox.url))
        inbox.wait_for(1)
        time.sleep(0.4)
        assert [d["status"] for d in fal.submissions()[0]["deliveries"]] == [307]

    def test_is_given_up_after_the_last_retry(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.change(webhook_retries=2, webhook_backoff=1)
        inbox.answers = [500] * 10
        submit(http, inbox.url)
        inbox.wait_for(3)
        time.sleep(0.3)
        assert len(inbox.calls) == 3

    def test_that_is_not_answered_in_time_is_sent_again(
        self, fal: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        fal.change(webhook_first_timeout=1)
        inbox.pause_seconds = 1.5
        submit(http, inbox.url)
        inbox.wait_for(2)
        assert fal.submissions()[0]["deliveries"][0]["error"] == "ReadTimeout"


class TestAFile:
    def test_can_be_cut_short(self, fal: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        fal.arm("media_truncated", fraction=0.25)
        got: list[bytes] = []
        with httpx.stream("GET", url) as answer, pytest.raises(httpx.RemoteProtocolError):
            got.extend(answer.iter_bytes())
        size = fal.media()["files"][0]["bytes"]
        assert int(answer.headers["content-length"]) == size
        assert sum(map(len, got)) == size // 4
        assert len(httpx.get(url).content) == size

    @pytest.mark.parametrize("kind", ["media_reset", "media_refused"])
    def test_can_be_lost_with_its_connection(
        self, fal: Simulator, http: httpx.Client, kind: str
    ) -> None:
        _, url = made_video(http)
        fal.arm(kind)
        with pytest.raises(httpx.ReadError):
            httpx.get(url)

    def test_can_be_missing_or_unavailable(self, fal: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        fal.arm("media_missing")
        fal.arm("media_error", status=503)
        assert [httpx.get(url).status_code for _ in range(3)] == [404, 503, 200]

    def test_can_arrive_slowly(self, fal: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        size = fal.media()["files"][0]["bytes"]
        fal.arm("media_slow", bytes_per_second=size)
        begun = time.monotonic()
        assert len(httpx.get(url).content) == size
        assert time.monotonic() - begun > 0.7

    def test_can_be_enormous_and_still_play(self, fal: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        fal.arm("media_oversized", bytes=20_000_000)
        answer = httpx.get(url)
        assert len(answer.content) == int(answer.headers["content-length"]) == 20_000_000
        with av.open(io.BytesIO(answer.content), "r") as clip:
            assert len(list(clip.decode(video=0))) == 4 * FAST["frames_per_second"]

    def test_can_expire_until_the_result_is_fetched_again(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        request, url = made_video(http)
        fal.arm("media_expired", status=403)
        assert [httpx.get(url).status_code for _ in range(2)] == [403, 403]
        fresh = http.get(request["response_url"]).json()["video"]["url"]
        assert fresh != url
        assert httpx.get(fresh).status_code == 200
        assert httpx.get(url).status_code == 403

    def test_can_be_something_else_under_its_name(self, fal: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        fal.arm("media_garbage", bytes=5_000)
        answer = httpx.get(url)
        assert answer.headers["content-type"] == "video/mp4"
        with pytest.raises(av.error.InvalidDataError):
            av.open(io.BytesIO(answer.content))

    def test_can_be_another_video_than_was_ordered(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        _, url = made_video(http)
        fal.arm("media_other")
        with av.open(io.BytesIO(httpx.get(url).content), "r") as clip:
            frames = list(clip.decode(video=0))
            assert (frames[0].width, frames[0].height) == (320, 180)
            assert not clip.streams.audio
            assert clip.duration is not None
            assert clip.duration / 1_000_000 == pytest.approx(1, abs=0.1)

    def test_can_redirect_elsewhere(self, fal: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        fal.arm("media_redirect", location="https://example.com/stolen.mp4")
        answer = httpx.get(url)
        assert answer.status_code == 302
        assert answer.headers["location"] == "https://example.com/stolen.mp4"

    def test_is_sent_whole_unless_ranges_are_switched_on(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        _, url = made_video(http)
        whole = httpx.get(url).content
        part = {"range": "bytes=100-199"}
        assert httpx.get(url, headers=part).status_code == 200
        fal.change(media_ranges=True)
        answer = httpx.get(url, headers=part)
        assert (answer.status_code, answer.content) == (206, whole[100:200])
        assert answer.headers["content-range"] == f"bytes 100-199/{len(whole)}"
        assert httpx.get(url, headers={"range": f"bytes={len(whole)}-"}).status_code == 416

    def test_asks_for_no_key_and_reports_a_leaked_one(
        self, fal: Simulator, http: httpx.Client
    ) -> None:
        _, url = made_video(http)
        httpx.get(url)
        assert fal.media()["authorization_seen"] is False
        http.get(url)
        assert fal.media()["authorization_seen"] is True


class TestTheControlEndpoint:
    def test_refuses_a_fault_it_does_not_know(self, fal: Simulator) -> None:
        with pytest.raises(httpx.HTTPStatusError):
            fal.arm("webhook_eaten_by_the_dog")
        with pytest.raises(httpx.HTTPStatusError):
            fal.arm("webhook_late", minutes=5)
        assert fal.faults() == []

    def test_refuses_a_setting_it_does_not_know(self, fal: Simulator) -> None:
        with pytest.raises(httpx.HTTPStatusError):
            fal.change(concurrency=0)
        with pytest.raises(httpx.HTTPStatusError):
            fal.change(colour="blue")

    def test_forgets_everything_when_reset(self, fal: Simulator, http: httpx.Client) -> None:
        request, url = made_video(http)
        fal.arm("submit_429")
        fal.change(locked=True)
        fal.reset()
        assert (fal.submissions(), fal.faults()) == ([], [])
        assert http.get(request["status_url"]).status_code == 404
        assert httpx.get(url).status_code == 404
        assert submit(http)["status"] == "IN_QUEUE"

    def test_disarms_one_fault_or_all(self, fal: Simulator, http: httpx.Client) -> None:
        fal.arm("submit_503", times=None)
        rule_id = fal.arm("submit_429")
        assert httpx.delete(f"{fal.about['control_url']}/faults/{rule_id}").status_code == 204
        assert httpx.delete(f"{fal.about['control_url']}/faults/{rule_id}").status_code == 404
        assert [http.post(TEXT, json=FOX).status_code for _ in range(2)] == [503, 503]
        fal.disarm()
        assert http.post(TEXT, json=FOX).status_code == 200

    def test_lists_every_kind_of_fault_and_each_is_tested_here(self, fal: Simulator) -> None:
        kinds = httpx.get(f"{fal.about['control_url']}/kinds").json()
        assert set(kinds) == set(FAL_FAULTS)
        assert {name for name, kind in kinds.items() if kind["point"] == "submit"} > NOT_ACCEPTED
        tests = Path(__file__).read_text(encoding="utf-8")
        assert [name for name in kinds if f'"{name}"' not in tests] == []


class TestAnInputImage:
    def test_is_taken_unread_from_the_internet_by_default(self, http: httpx.Client) -> None:
        document = {**FOX, "image_url": "https://example.com/in.png"}
        answer = http.post(f"{TEXT}/image-to-video", json=document)
        assert finish(http, answer.json()).status_code == 200

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://127.0.0.1:9/in.png", "file_download_error"),
            ("ftp://example.com/in.png", "file_download_error"),
            ("data:image/png;base64,not base64", "file_download_error"),
            ("data:image/png;base64,AAAA", "image_load_error"),
        ],
    )
    def test_that_cannot_be_read_fails_the_run(
        self, http: httpx.Client, url: str, expected: str
    ) -> None:
        answer = http.post(f"{TEXT}/image-to-video", json={**FOX, "image_url": url})
        result = finish(http, answer.json())
        assert result.status_code == 422
        (detail,) = result.json()["detail"]
        assert (detail["loc"], detail["type"]) == (["body", "image_url"], expected)
