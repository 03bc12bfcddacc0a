"""Every scripted fault of the simulated Runway, seen from the wire."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image, UnidentifiedImageError

from local.runway.faults import NOT_ACCEPTED, RUNWAY_FAULTS
from local.simulator.client import Simulator, start
from local.simulator.media import MEDIA_FAULTS
from tests.support.inbox import PATIENCE_SECONDS
from tests.support.plain_http import PLAIN

VIDEO = "/v1/text_to_video"
FOX = {"model": "gen4.5", "promptText": "a fox", "ratio": "1280:720", "duration": 2}
FAST = {"pending_seconds": 0.0, "generation_seconds": 0.1, "frames_per_second": 2}
UNENDED = {"PENDING", "THROTTLED", "RUNNING"}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runway", FAST) as simulator:
        yield simulator


@pytest.fixture
def runway(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def http(runway: Simulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {runway.key}", "X-Runway-Version": "2024-11-06"}
    with httpx.Client(base_url=runway.url, headers=headers, timeout=5, verify=PLAIN) as client:
        yield client


def submit(http: httpx.Client, **members: Any) -> str:
    """The id of a new task."""
    answer = http.post(VIDEO, json={**FOX, **members})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def look(http: httpx.Client, task_id: str) -> dict[str, Any]:
    answer = http.get(f"/v1/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def finish(http: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task, once it has ended."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (task := look(http, task_id))["status"] in UNENDED:
        assert time.monotonic() < until, "never ended"
        time.sleep(0.02)
    return task


def made_video(http: httpx.Client) -> tuple[str, str]:
    """A finished task's id, and a URL of its file."""
    task = finish(http, submit(http))
    return str(task["id"]), str(task["output"][0])


class TestARequest:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer"},
            {"Authorization": "Key key_simulated"},
            {"Authorization": "Bearer key_other"},
        ],
    )
    def test_without_the_right_key_is_refused(
        self, runway: Simulator, http: httpx.Client, headers: dict[str, str]
    ) -> None:
        task_id = submit(http)
        for method, path in (("POST", VIDEO), ("GET", f"/v1/tasks/{task_id}")):
            answer = http.request(method, path, json=FOX, headers=headers)
            assert answer.status_code == 401
            assert set(answer.json()) == {"error"}
        assert http.delete(f"/v1/tasks/{task_id}", headers=headers).status_code == 401
        assert len(runway.submissions()) == 1

    def test_without_a_version_is_refused(self, runway: Simulator, http: httpx.Client) -> None:
        del http.headers["X-Runway-Version"]
        answer = http.post(VIDEO, json=FOX)
        assert answer.status_code == 400
        assert "X-Runway-Version" in answer.json()["error"]
        assert http.get("/v1/organization").status_code == 400
        assert runway.submissions() == []

    @pytest.mark.parametrize("body", [b"", b"{", b'{"duration": NaN}', b"[]", b'"x"', b"null"])
    def test_whose_body_is_no_object_is_refused(
        self, runway: Simulator, http: httpx.Client, body: bytes
    ) -> None:
        assert http.post(VIDEO, content=body).status_code == 400
        assert runway.submissions() == []

    def test_may_write_whole_numbers_as_javascript_reads_them(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        submit(http, duration=2.0)
        assert runway.submissions()[0]["estimated_credits"] == 24
        assert http.post(VIDEO, json={**FOX, "duration": 2.5}).status_code == 400

    def test_to_another_path_or_with_another_method_is_refused_in_json(
        self, http: httpx.Client
    ) -> None:
        assert http.post("/v1/text2video", json=FOX).status_code == 404
        answer = http.get(VIDEO)
        assert (answer.status_code, set(answer.json())) == (405, {"error"})


class TestASubmissionThatIsTurnedAway:
    @pytest.mark.parametrize(
        ("kind", "status", "words"),
        [
            ("submit_429", 429, "Too Many Requests"),
            ("submit_daily_quota", 429, "daily"),
            ("submit_503", 503, "unavailable"),
            ("submit_502_html", 502, "nginx"),
            ("submit_no_credits", 400, "You do not have enough credits to run this task."),
        ],
    )
    def test_has_cost_nothing(
        self, runway: Simulator, http: httpx.Client, kind: str, status: int, words: str
    ) -> None:
        runway.arm(kind)
        answer = http.post(VIDEO, json=FOX)
        assert (answer.status_code, words in answer.text) == (status, True)
        assert runway.submissions() == []
        assert http.post(VIDEO, json=FOX).status_code == 200

    def test_by_the_ingress_may_be_so_for_want_of_time(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_502_html", status=504)
        assert http.post(VIDEO, json=FOX).status_code == 504

    def test_by_a_reset_connection_has_cost_nothing_either(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_reset_before")
        with pytest.raises(httpx.ReadError):
            http.post(VIDEO, json=FOX)
        assert runway.submissions() == []

    def test_leaves_the_faults_of_a_run_for_the_next_one(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_429")
        runway.arm("moderation")
        http.post(VIDEO, json=FOX)
        assert finish(http, submit(http))["failureCode"] == "SAFETY.INPUT.TEXT"

    def test_for_what_is_wrong_with_it_leaves_all_faults_for_the_next_one(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_429")
        assert http.post(VIDEO, json={**FOX, "duration": 99}).status_code == 400
        assert http.post(VIDEO, json=FOX).status_code == 429


class TestASubmissionWhoseAnswerIsLost:
    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("submit_reset_after", httpx.ReadError),
            ("submit_timeout_after", httpx.ReadTimeout),
            ("submit_garbled", httpx.RemoteProtocolError),
        ],
    )
    def test_is_paid_for(
        self, runway: Simulator, http: httpx.Client, kind: str, error: type[Exception]
    ) -> None:
        runway.arm(kind)
        with pytest.raises(error):
            http.post(VIDEO, json=FOX, timeout=0.5)
        (paid,) = runway.submissions()
        assert paid["faults"] == [kind]
        assert finish(http, paid["request_id"])["status"] == "SUCCEEDED"
        assert runway.submissions()[0]["billed"] is True

    def test_behind_a_gateway_is_paid_for(self, runway: Simulator, http: httpx.Client) -> None:
        runway.arm("submit_504_after")
        answer = http.post(VIDEO, json=FOX)
        assert (answer.status_code, "nginx" in answer.text) == (504, True)
        assert len(runway.submissions()) == 1

    def test_for_a_while_is_answered_in_the_end(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_slow", seconds=0.6)
        begun = time.monotonic()
        submit(http)
        assert time.monotonic() - begun >= 0.6

    def test_can_also_be_answered_with_an_id_alone(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_bare")
        assert set(http.post(VIDEO, json=FOX).json()) == {"id"}


class TestATask:
    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            ({"kind": "moderation"}, "SAFETY.INPUT.TEXT"),
            ({"kind": "failure"}, "INTERNAL.BAD_OUTPUT.CODE01"),
            ({"kind": "failure", "failure_code": "ASSET.INVALID"}, "ASSET.INVALID"),
            ({"kind": "failure", "failure_code": "NEW.FAMILY"}, "NEW.FAMILY"),
        ],
    )
    def test_can_fail_for_any_reason(
        self, runway: Simulator, http: httpx.Client, fault: dict[str, Any], code: str
    ) -> None:
        runway.arm(**fault)
        task = finish(http, submit(http))
        assert (task["status"], task["failureCode"]) == ("FAILED", code)
        assert task["failure"]
        assert "output" not in task

    def test_can_fail_for_none(self, runway: Simulator, http: httpx.Client) -> None:
        runway.arm("failure_without_code")
        task = finish(http, submit(http))
        assert task["status"] == "FAILED"
        assert "failureCode" not in task
        assert task["cost"] == {"credits": 0}

    def test_can_be_cancelled_elsewhere(self, runway: Simulator, http: httpx.Client) -> None:
        runway.arm("cancelled_elsewhere")
        task = finish(http, submit(http))
        assert (task["status"], task["cost"]) == ("CANCELLED", {"credits": 0})

    def test_can_be_throttled_though_nothing_else_runs(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("throttled", seconds=0.5)
        begun = time.monotonic()
        task_id = submit(http)
        assert look(http, task_id)["status"] == "THROTTLED"
        assert finish(http, task_id)["status"] == "SUCCEEDED"
        assert time.monotonic() - begun >= 0.5

    def test_can_be_stuck_until_it_is_deleted(self, runway: Simulator, http: httpx.Client) -> None:
        runway.arm("stuck")
        task_id = submit(http)
        time.sleep(0.5)
        task = look(http, task_id)
        assert task["status"] == "RUNNING"
        assert 0 < task["progress"] < 1
        assert http.delete(f"/v1/tasks/{task_id}").status_code == 204
        assert http.get(f"/v1/tasks/{task_id}").status_code == 404

    def test_can_be_slow(self, runway: Simulator, http: httpx.Client) -> None:
        runway.arm("slow_generation", seconds=1.0)
        begun = time.monotonic()
        assert finish(http, submit(http))["status"] == "SUCCEEDED"
        assert time.monotonic() - begun >= 1.0

    def test_can_go_on_unseen_after_it_was_deleted(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("cancel_ignored")
        task_id = submit(http)
        assert http.delete(f"/v1/tasks/{task_id}").status_code == 204
        assert http.get(f"/v1/tasks/{task_id}").status_code == 404
        until = time.monotonic() + PATIENCE_SECONDS
        while not (paid := runway.submissions()[0])["billed"]:
            assert time.monotonic() < until, "never charged"
            time.sleep(0.02)
        assert (paid["state"], paid["deleted"]) == ("SUCCEEDED", True)

    def test_waits_its_turn_in_the_order_of_acceptance(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.change(concurrency=1)
        runway.arm("slow_generation", times=None, seconds=0.3)
        tasks = [submit(http, promptText=f"number {n}") for n in range(3)]
        assert look(http, tasks[-1])["status"] == "THROTTLED"
        for task_id in tasks:
            finish(http, task_id)
        paid = runway.submissions()
        ends = [one["completed_at"] for one in paid]
        begins = [one["started_at"] for one in paid]
        assert all(begin >= end for begin, end in zip(begins[1:], ends[:-1], strict=True))

    def test_leaves_its_place_in_the_line_when_it_is_deleted(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.change(concurrency=1)
        runway.arm("stuck")
        first, second, third = (submit(http) for _ in range(3))
        http.delete(f"/v1/tasks/{second}")
        http.delete(f"/v1/tasks/{first}")
        assert finish(http, third)["status"] == "SUCCEEDED"
        assert runway.submissions()[1]["started_at"] is None

    def test_may_start_at_once_when_the_account_is_given_more_room(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.change(concurrency=1)
        runway.arm("stuck")
        submit(http)
        second = submit(http)
        assert look(http, second)["status"] == "THROTTLED"
        runway.change(concurrency=2)
        assert finish(http, second)["status"] == "SUCCEEDED"


class TestALook:
    def test_can_fail_in_passing(self, runway: Simulator, http: httpx.Client) -> None:
        task_id = submit(http)
        finish(http, task_id)
        path = f"/v1/tasks/{task_id}"
        for status in (429, 500, 503):
            runway.arm("poll_error", status=status)
            assert http.get(path).status_code == status
        runway.arm("poll_gone")
        assert http.get(path).json() == {"error": "Could not find Task"}
        for kind, error in (
            ("poll_reset", httpx.ReadError),
            ("poll_timeout", httpx.ReadTimeout),
            ("poll_garbled", httpx.RemoteProtocolError),
        ):
            runway.arm(kind)
            with pytest.raises(error):
                http.get(path, timeout=0.4)
        assert look(http, task_id)["status"] == "SUCCEEDED"
        assert runway.submissions()[0]["calls"]["retrieve"] >= 8

    def test_can_change_its_status(self, runway: Simulator, http: httpx.Client) -> None:
        task_id = submit(http)
        runway.arm("poll_unknown_status", status="REBALANCING")
        assert look(http, task_id)["status"] == "REBALANCING"


class TestAFile:
    def test_can_be_cut_short(self, runway: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        runway.arm("media_truncated", fraction=0.25)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url)
        assert len(httpx.get(url).content) == runway.media()["files"][0]["bytes"]

    @pytest.mark.parametrize("kind", ["media_reset", "media_refused"])
    def test_can_be_lost_with_its_connection(
        self, runway: Simulator, http: httpx.Client, kind: str
    ) -> None:
        _, url = made_video(http)
        runway.arm(kind)
        with pytest.raises(httpx.ReadError):
            httpx.get(url)

    def test_can_be_missing_or_unavailable(self, runway: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        runway.arm("media_missing")
        runway.arm("media_error", status=503)
        assert [httpx.get(url).status_code for _ in range(3)] == [404, 503, 200]

    def test_can_arrive_slowly(self, runway: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        size = runway.media()["files"][0]["bytes"]
        runway.arm("media_slow", bytes_per_second=size)
        begun = time.monotonic()
        assert len(httpx.get(url).content) == size
        assert time.monotonic() - begun > 0.7

    def test_can_be_enormous_and_still_play(self, runway: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        runway.arm("media_oversized", bytes=20_000_000)
        body = httpx.get(url).content
        assert len(body) == 20_000_000
        with av.open(io.BytesIO(body), "r") as clip:
            assert len(list(clip.decode(video=0))) == 2 * FAST["frames_per_second"]

    def test_can_expire_before_its_time_until_the_task_is_looked_at_again(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        task_id, url = made_video(http)
        runway.arm("media_expired", status=403)
        assert [httpx.get(url).status_code for _ in range(2)] == [403, 403]
        fresh = look(http, task_id)["output"][0]
        assert httpx.get(fresh).status_code == 200
        assert httpx.get(url).status_code == 403
        refused = [get["refused"] for get in runway.media()["files"][0]["gets"]]
        assert refused == [403, 403, None, 403]

    def test_can_be_something_else_under_its_name(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        wish = {"model": "gen4_image", "promptText": "a hill", "ratio": "720:720"}
        created = http.post("/v1/text_to_image", json=wish)
        url = finish(http, created.json()["id"])["output"][0]
        runway.arm("media_garbage", bytes=5_000)
        answer = httpx.get(url)
        assert answer.headers["content-type"] == "image/png"
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(answer.content))

    def test_can_redirect_elsewhere(self, runway: Simulator, http: httpx.Client) -> None:
        _, url = made_video(http)
        runway.arm("media_redirect", location="https://example.com/stolen.mp4")
        answer = httpx.get(url)
        assert answer.headers["location"] == "https://example.com/stolen.mp4"

    def test_is_sent_in_parts_unless_ranges_are_switched_off(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        _, url = made_video(http)
        whole = httpx.get(url).content
        part = {"range": "bytes=100-199"}
        answer = httpx.get(url, headers=part)
        assert (answer.status_code, answer.content) == (206, whole[100:200])
        runway.change(media_ranges=False)
        assert httpx.get(url, headers=part).status_code == 200

    def test_asks_for_no_key_and_reports_a_leaked_one(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        _, url = made_video(http)
        httpx.get(url)
        assert runway.media()["authorization_seen"] is False
        http.get(url)
        assert runway.media()["authorization_seen"] is True


class TestTheControlEndpoint:
    def test_strikes_only_the_model_it_is_set_for(
        self, runway: Simulator, http: httpx.Client
    ) -> None:
        runway.arm("submit_429", endpoint="text_to_video/veo3.1")
        assert http.post(VIDEO, json=FOX).status_code == 200
        veo = {**FOX, "model": "veo3.1", "duration": 4}
        assert http.post(VIDEO, json=veo).status_code == 429

    def test_forgets_everything_when_reset(self, runway: Simulator, http: httpx.Client) -> None:
        task_id, url = made_video(http)
        runway.arm("submit_429")
        runway.change(credits=0)
        runway.reset()
        assert (runway.submissions(), runway.faults()) == ([], [])
        assert http.get(f"/v1/tasks/{task_id}").status_code == 404
        assert httpx.get(url).status_code == 404
        assert http.get("/v1/organization").json()["creditBalance"] == 100_000
        assert submit(http)

    def test_refuses_a_setting_that_makes_no_sense(self, runway: Simulator) -> None:
        for wrong in ({"concurrency": 0}, {"credits": -1}, {"webhook_backoff": 1}):
            with pytest.raises(httpx.HTTPStatusError):
                runway.change(**wrong)

    def test_lists_every_kind_of_fault_and_each_is_tested_here(self, runway: Simulator) -> None:
        kinds = httpx.get(f"{runway.about['control_url']}/kinds").json()
        assert set(kinds) == set(RUNWAY_FAULTS)
        assert {name for name, kind in kinds.items() if kind["point"] == "submit"} > NOT_ACCEPTED
        tests = Path(__file__).read_text(encoding="utf-8")
        # The CDN is the same for every simulator and tested with fal's.
        own = set(kinds) - set(MEDIA_FAULTS)
        assert [name for name in own if f'"{name}"' not in tests] == []
