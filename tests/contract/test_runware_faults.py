"""The simulated Runware from the wire: what it refuses, remembers and sends, and every fault."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from local.runware.faults import NOT_ACCEPTED, RUNWARE_FAULTS
from local.runware.models import VIDEO_MODELS
from local.simulator.client import Simulator, start
from local.simulator.media import MEDIA_FAULTS
from tests.support.inbox import PATIENCE_SECONDS, Inbox
from tests.support.plain_http import PLAIN

FAST = {
    "generation_seconds": 0.1,
    "image_seconds": 0.05,
    "time_factor": 0.01,
    "frames_per_second": 2,
}
A, B = "https://example.com/a.png", "https://example.com/b.png"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runware", FAST) as simulator:
        yield simulator


@pytest.fixture
def runware(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def http(runware: Simulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {runware.key}"}
    with httpx.Client(
        base_url=runware.url.removesuffix("/v1"), headers=headers, timeout=5, verify=PLAIN
    ) as client:
        yield client


def fox(**members: Any) -> dict[str, Any]:
    """A small image task: quick to make, and the protocol is the same. None leaves a member out."""
    task = {
        "taskType": "imageInference",
        "taskUUID": str(uuid.uuid4()),
        "model": "runware:101@1",
        "positivePrompt": "a fox",
        "width": 256,
        "height": 128,
        "deliveryMethod": "async",
        **members,
    }
    return {name: value for name, value in task.items() if value is not None}


def clip(**members: Any) -> dict[str, Any]:
    video = {"taskType": "videoInference", "model": "google:3@2", "width": 1280, "height": 720}
    return fox(**{**video, "duration": 4, **members})


def post(http: httpx.Client, *tasks: dict[str, Any], **headers: str) -> httpx.Response:
    return http.post("/v1", json=tasks, headers=headers)


def submit(http: httpx.Client, task: dict[str, Any]) -> dict[str, Any]:
    answer = post(http, task)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"data": [{"taskType": task["taskType"], "taskUUID": task["taskUUID"]}]}
    return task


def ask(http: httpx.Client, task: dict[str, Any]) -> httpx.Response:
    return post(http, {"taskType": "getResponse", "taskUUID": task["taskUUID"]})


def finish(http: httpx.Client, task: dict[str, Any]) -> dict[str, Any]:
    """The answer once the task is not processing any more."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = dict(ask(http, task).json())
        if not any(item.get("status") == "processing" for item in answer["data"]):
            return answer
        assert time.monotonic() < until, "never finished"
        time.sleep(0.02)


def made(http: httpx.Client, **members: Any) -> tuple[dict[str, Any], str]:
    """A finished task and the URL of its one result."""
    task = submit(http, fox(**members))
    return task, str(finish(http, task)["data"][0]["imageURL"])


def refusal(answer: httpx.Response) -> tuple[int, str, Any]:
    (error,) = answer.json()["errors"]
    return answer.status_code, error["code"], error.get("parameter")


class TestARequest:
    def test_is_an_array_and_nothing_else(self, runware: Simulator, http: httpx.Client) -> None:
        for body in (json.dumps(fox()), "3", "[3]", "[{", ""):
            answer = http.post("/v1", content=body)
            assert answer.status_code == 400
            assert answer.json()["data"] == []
        assert runware.submissions() == []

    def test_brings_its_key_in_the_header_or_as_its_first_element(self, runware: Simulator) -> None:
        login = {"taskType": "authentication", "apiKey": runware.key}
        assert httpx.post(runware.url, json=[login, fox()]).status_code == 200
        assert len(runware.submissions()) == 1

    def test_without_the_right_key_is_refused_in_the_services_words(
        self, runware: Simulator
    ) -> None:
        wrong = [{"taskType": "authentication", "apiKey": "guessed"}, fox()]
        for body, headers in ((wrong, {}), ([fox()], {"Authorization": "Bearer guessed"})):
            answer = httpx.post(runware.url, json=body, headers=headers)
            assert refusal(answer) == (401, "invalidApiKey", "apiKey")
            (error,) = answer.json()["errors"]
            assert error["taskType"] == "authentication"
            assert error["message"].endswith("https://my.runware.ai/signup")
        assert httpx.post(runware.url, json=[fox()]).status_code == 401

    def test_with_several_tasks_fails_for_each_alone(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        good, bad, other = fox(), fox(width=100), fox(model="runware:0@0")
        answer = post(http, good, bad, {"taskType": "getResponse", "taskUUID": "x"}, other)
        reply = answer.json()
        assert answer.status_code == 200
        assert [item["taskUUID"] for item in reply["data"]] == [good["taskUUID"]]
        reported = [(error["taskUUID"], error["code"]) for error in reply["errors"]]
        assert reported == [
            (bad["taskUUID"], "invalidWidth"),
            (other["taskUUID"], "invalidModel"),
        ]
        assert len(runware.submissions()) == 1

    def test_may_have_its_errors_inside_a_200(self, runware: Simulator, http: httpx.Client) -> None:
        runware.change(errors_in_200=True)
        assert refusal(post(http, fox(width=100))) == (200, "invalidWidth", "width")

    def test_may_only_want_to_know_the_price(self, runware: Simulator, http: httpx.Client) -> None:
        task = clip(numberResults=2)
        answer = post(http, task, clip(duration=5), **{"X-Runware-Dry-Run": "1"})
        reply = answer.json()
        assert reply["data"][0]["cost"] == pytest.approx(2 * 4 * 0.20)
        assert reply["errors"][0]["code"] == "invalidDuration"
        assert runware.submissions() == []
        assert ask(http, task).json() == {"data": []}


class TestATaskUUID:
    def test_is_taken_for_as_long_as_its_task_is_known(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        task = submit(http, fox())
        assert refusal(post(http, task)) == (400, "conflictTaskUUID", "taskUUID")
        finish(http, task)
        assert refusal(post(http, task))[1] == "conflictTaskUUID"
        (paid,) = runware.submissions()
        assert paid["calls"]["conflict"] == 2

    def test_is_free_again_when_its_task_is_forgotten(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        task, _ = made(http)
        runware.change(known_seconds=0.001)
        assert ask(http, task).json() == {"data": []}
        submit(http, task)
        assert len(runware.submissions()) == 2

    def test_conflicts_within_one_request_as_well(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        task = fox()
        reply = post(http, task, task).json()
        assert (len(reply["data"]), reply["errors"][0]["code"]) == (1, "conflictTaskUUID")
        assert len(runware.submissions()) == 1

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            (None, "missingTaskUUID"),
            ("job-1", "invalidTaskUUID"),
            (str(uuid.uuid5(uuid.NAMESPACE_URL, "x")), "invalidTaskUUID"),
        ],
    )
    def test_is_a_random_uuid(self, http: httpx.Client, given: str | None, code: str) -> None:
        assert refusal(post(http, fox(taskUUID=given)))[:2] == (400, code)


FRAMED: dict[str, Any] = {"width": None, "height": None}


def png(colour: str, size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


class TestAVideoTask:
    @pytest.mark.parametrize(
        ("members", "code", "parameter"),
        [
            ({"duration": 5}, "invalidDuration", "duration"),
            ({"duration": "8"}, "invalidDuration", "duration"),
            ({"duration": 7}, "invalidDuration", "duration"),
            ({"width": 1000}, "invalidDimensions", ["width", "height"]),
            ({"height": None}, "missingHeight", "height"),
            ({**FRAMED}, "missingWidth", "width"),
            ({**FRAMED, "resolution": "720p"}, "missingWidth", "width"),
            (
                {"resolution": "720p"},
                "incompatibleParameters",
                ["resolution", "width", "height"],
            ),
            (
                {"inputs": {"frameImages": [A]}},
                "incompatibleParameters",
                ["inputs.frameImages", "width", "height"],
            ),
            (
                {**FRAMED, "inputs": {"frameImages": [A], "referenceImages": [B]}, "duration": 8},
                "incompatibleParameters",
                ["inputs.frameImages", "inputs.referenceImages"],
            ),
            ({**FRAMED, "frameImages": [A]}, "unsupportedParameter", "frameImages"),
            (
                {**FRAMED, "inputs": {"frameImages": [A, B, A]}},
                "invalidFrameImages",
                "inputs.frameImages",
            ),
            (
                {**FRAMED, "inputs": {"frameImages": [{"image": A, "frame": "last"}]}},
                "invalidFrameImages",
                "inputs.frameImages",
            ),
            (
                {**FRAMED, "inputs": {"frameImages": [A]}, "resolution": "8K"},
                "invalidResolution",
                "resolution",
            ),
            ({"inputs": {"referenceImages": [A]}}, "invalidDuration", "duration"),
            ({"inputs": {"seedImage": A}}, "unsupportedParameter", "inputs.seedImage"),
            ({"aspectRatio": "16:9"}, "unsupportedParameter", "aspectRatio"),
            ({"negativePrompt": "rain"}, "unsupportedParameter", "negativePrompt"),
            ({"model": "google:3@9"}, "invalidModel", "model"),
            ({"model": "runware:101@1"}, "invalidModel", "model"),
            ({"positivePrompt": None}, "missingPositivePrompt", "positivePrompt"),
            ({"positivePrompt": " "}, "invalidPositivePrompt", "positivePrompt"),
            ({"deliveryMethod": "sync"}, "invalidDeliveryMethod", "deliveryMethod"),
            ({"outputType": "base64Data"}, "invalidOutputType", "outputType"),
            ({"outputFormat": "MOV"}, "invalidOutputFormat", "outputFormat"),
            ({"outputQuality": 100}, "invalidOutputQuality", "outputQuality"),
            ({"ttl": 59}, "invalidTtl", "ttl"),
            ({"webhookURL": "ftp://example.com"}, "invalidWebhookURL", "webhookURL"),
            ({"includeCost": "yes"}, "invalidIncludeCost", "includeCost"),
            ({"safety": {"mode": "slow"}}, "invalidSafety", "safety"),
            (
                {"providerSettings": {"klingai": {}}},
                "mismatchProviderSettingsProvider",
                "providerSettings",
            ),
            (
                {"providerSettings": {"google": {"sound": True}}},
                "unsupportedParameter",
                "providerSettings.google.sound",
            ),
            (
                {"providerSettings": {"google": {"generateAudio": "yes"}}},
                "invalidGenerateAudio",
                "providerSettings.google.generateAudio",
            ),
        ],
    )
    def test_that_is_wrong_is_refused_and_named(
        self,
        runware: Simulator,
        http: httpx.Client,
        members: dict[str, Any],
        code: str,
        parameter: str | list[str],
    ) -> None:
        answer = post(http, clip(**members))
        assert refusal(answer) == (400, code, parameter)
        assert runware.submissions() == []

    @pytest.mark.parametrize(
        "members",
        [
            *[
                {"model": air, "width": width, "height": height}
                for air, model in VIDEO_MODELS.items()
                for width, height in sorted(model.sizes)
            ],
            {**FRAMED, "inputs": {"frameImages": [A]}},
            {**FRAMED, "resolution": "1080p", "inputs": {"frameImages": [A, B]}},
            {**FRAMED, "inputs": {"frameImages": [{"image": A, "frame": 0}, {"image": B}]}},
            {"inputs": {"referenceImages": [A]}, "duration": 8},
            {"inputs": {"video": "https://example.com/v.mp4"}, "duration": 7},
            {"seed": 42, "routing": {}, "safety": {"checkContent": True, "mode": "fast"}},
            {"providerSettings": {"google": {"enhancePrompt": True, "resizeMode": "pad"}}},
        ],
    )
    def test_of_any_documented_form_is_accepted(
        self, http: httpx.Client, members: dict[str, Any]
    ) -> None:
        # As a dry run: each is checked like any other, and a laptop is spared the encoding.
        answer = post(http, clip(**members), **{"X-Runware-Dry-Run": "1"})
        assert "errors" not in answer.json()

    def test_costs_by_the_second_by_size_and_more_with_sound(self, http: httpx.Client) -> None:
        loud: dict[str, Any] = {"providerSettings": {"google": {"generateAudio": True}}}
        uhd: dict[str, Any] = {"width": 3840, "height": 2160, "duration": 8}
        lite = {"model": "google:veo@3.1-lite", "width": 1080, "height": 1920}
        wishes: list[dict[str, Any]] = [
            {},
            loud,
            uhd,
            {**uhd, **loud},
            {**uhd, "model": "google:3@3"},
            lite,
        ]
        tasks = [clip(**wish) for wish in wishes]
        reply = post(http, *tasks, **{"X-Runware-Dry-Run": "1"}).json()
        costs = [item["cost"] for item in reply["data"]]
        assert costs == pytest.approx([0.80, 1.60, 3.20, 4.80, 2.40, 0.20])

    def test_is_an_mp4_and_has_the_sound_it_asks_for(self, http: httpx.Client) -> None:
        loud = {"google": {"generateAudio": True}}
        task = submit(http, clip(outputFormat="MP4", providerSettings=loud))
        answer = httpx.get(finish(http, task)["data"][0]["videoURL"])
        assert answer.headers["content-type"] == "video/mp4"
        with av.open(io.BytesIO(answer.content), "r") as found:
            assert {stream.codec_context.name for stream in found.streams} == {"h264", "aac"}
            assert (found.duration or 0) / av.time_base == pytest.approx(4, abs=0.1)
            assert len(list(found.decode(video=0))) == 4 * FAST["frames_per_second"]

    def test_is_silent_unless_it_asks_for_sound(self, http: httpx.Client) -> None:
        task = submit(http, clip())
        body = httpx.get(finish(http, task)["data"][0]["videoURL"]).content
        with av.open(io.BytesIO(body), "r") as found:
            assert [stream.type for stream in found.streams] == ["video"]

    @pytest.mark.parametrize(
        ("frame", "expected"), [((64, 128), (720, 1280)), ((128, 64), (1280, 720))]
    )
    def test_has_the_shape_of_its_first_frame(
        self, http: httpx.Client, frame: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        uri = f"data:image/png;base64,{base64.b64encode(png('red', frame)).decode()}"
        task = clip(**FRAMED, resolution="720p", inputs={"frameImages": [uri]})
        body = httpx.get(finish(http, submit(http, task))["data"][0]["videoURL"]).content
        with av.open(io.BytesIO(body), "r") as found:
            opened = found.streams.video[0]
            assert (opened.width, opened.height) == expected


class TestAnImageTask:
    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"width": 100}, "invalidWidth"),
            ({"height": None}, "missingHeight"),
            ({"outputFormat": "MP4"}, "invalidOutputFormat"),
            ({"duration": 4}, "unsupportedParameter"),
            ({"resolution": "1K"}, "unsupportedParameter"),
            ({"inputs": {"referenceImages": [A]}}, "unsupportedParameter"),
            ({"numberResults": 0}, "invalidNumberResults"),
        ],
    )
    def test_that_is_wrong_is_refused(
        self, http: httpx.Client, members: dict[str, Any], code: str
    ) -> None:
        assert refusal(post(http, fox(**members)))[:2] == (400, code)

    def test_is_answered_when_done_unless_it_wants_to_be_asked(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        runware.change(image_seconds=0.4)
        begun = time.monotonic()
        (item,) = post(http, fox(deliveryMethod=None, includeCost=True)).json()["data"]
        assert time.monotonic() - begun >= 0.4
        members = {"taskType", "taskUUID", "imageUUID", "imageURL", "seed", "cost"}
        assert set(item) == members

    def test_fails_at_once_too(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("provider_timeout")
        answer = post(http, fox(deliveryMethod="sync"))
        assert refusal(answer) == (504, "timeoutProvider", None)

    def test_may_come_as_text(self, http: httpx.Client) -> None:
        types = ["base64Data", "dataURI"]
        task = fox(deliveryMethod="sync", outputType=types, outputFormat="WEBP")
        (item,) = post(http, task).json()["data"]
        assert "imageURL" not in item
        assert item["imageDataURI"] == f"data:image/webp;base64,{item['imageBase64Data']}"
        with Image.open(io.BytesIO(base64.b64decode(item["imageBase64Data"]))) as opened:
            assert (opened.format, opened.size) == ("WEBP", (256, 128))

    @pytest.mark.parametrize("form", ["data URI", "base64"])
    def test_is_made_from_the_image_it_starts_from(self, http: httpx.Client, form: str) -> None:
        text = base64.b64encode(png("red")).decode()
        seed = f"data:image/png;base64,{text}" if form == "data URI" else text
        task = fox(inputs={"seedImage": seed}, outputFormat="PNG", deliveryMethod="sync")
        url = post(http, task).json()["data"][0]["imageURL"]
        with Image.open(io.BytesIO(httpx.get(url).content)) as opened:
            assert opened.convert("RGB").getpixel((255, 127)) == (255, 0, 0)

    @pytest.mark.parametrize(
        ("opened", "code"),
        [
            ("http://127.0.0.1:9/in.png", "downloadFailed"),
            ("data:image/png;base64,AAAA", "invalidInputs"),
            ("not base64!", "invalidInputs"),
            ("2f0d7a52-6c5e-4d0a-9f0e-0c7a9a0b6f11", "invalidInputs"),
        ],
    )
    def test_fails_when_an_image_cannot_be_read(
        self, http: httpx.Client, opened: str, code: str
    ) -> None:
        task = submit(http, fox(inputs={"seedImage": opened}))
        assert finish(http, task)["errors"][0]["code"] == code

    def test_of_an_editing_model_shows_its_references(self, http: httpx.Client) -> None:
        uri = f"data:image/png;base64,{base64.b64encode(png('lime')).decode()}"
        inputs = {"referenceImages": [uri, A]}
        task = fox(model="runware:106@1", width=512, height=512, inputs=inputs, outputFormat="PNG")
        url = finish(http, submit(http, task))["data"][0]["imageURL"]
        with Image.open(io.BytesIO(httpx.get(url).content)) as opened:
            colours = opened.convert("RGB").getcolors(1 << 20) or []
        assert sum(count for count, colour in colours if colour == (0, 255, 0)) > 1000


class TestGetResponse:
    def test_reports_progress_then_everything_each_time(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        runware.change(image_seconds=0.8)
        task = submit(http, fox(numberResults=3, includeCost=True, seed=7))
        (item,) = ask(http, task).json()["data"]
        assert (item["status"], type(item["progress"])) == ("processing", int)
        first, second = finish(http, task), ask(http, task).json()
        assert first == second
        items = first["data"]
        assert len({item["imageUUID"] for item in items}) == len(items) == 3
        assert [item["seed"] for item in items] == [7, 8, 9]
        assert {item["status"] for item in items} == {"success"}
        (paid,) = runware.submissions()
        assert paid["cost"] == pytest.approx(sum(item["cost"] for item in items))

    def test_names_no_cost_unless_asked_to(self, http: httpx.Client) -> None:
        task, _ = made(http)
        assert "cost" not in ask(http, task).json()["data"][0]

    def test_may_leave_out_the_status_of_success(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        runware.change(success_status=False)
        task = submit(http, fox())
        assert "status" not in finish(http, task)["data"][0]

    def test_returns_nothing_about_an_unknown_task(self, http: httpx.Client) -> None:
        answer = ask(http, fox())
        assert (answer.status_code, answer.json()) == (200, {"data": []})

    def test_has_a_failure_among_the_errors_of_a_200_or_as_an_item(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        task = submit(http, fox(positivePrompt="a #moderated fox"))
        (error,) = finish(http, task)["errors"]
        assert (error["status"], error["code"]) == ("error", "invalidProviderContent")
        assert (error["taskUUID"], error["taskType"]) == (task["taskUUID"], "imageInference")
        assert ask(http, task).status_code == 200
        runware.change(failures_as="item")
        (item,) = ask(http, task).json()["data"]
        assert (item["status"], item["error"]["code"]) == ("error", "invalidProviderContent")
        assert runware.submissions()[0]["billed"] is False


class TestATaskThatIsTurnedAway:
    @pytest.mark.parametrize(
        ("kind", "status", "code"),
        [
            ("submit_401", 401, "invalidApiKey"),
            ("submit_402", 402, "insufficientCredits"),
            ("submit_429", 429, "rateLimitExceeded"),
            ("submit_503", 503, "noAvailableServer"),
            ("submit_504", 504, "timeoutProvider"),
            ("submit_error", 400, "invalidModel"),
        ],
    )
    def test_has_cost_nothing_and_may_come_again(
        self, runware: Simulator, http: httpx.Client, kind: str, status: int, code: str
    ) -> None:
        runware.arm(kind)
        task = fox()
        assert refusal(post(http, task))[:2] == (status, code)
        assert runware.submissions() == []
        submit(http, task)

    def test_with_any_status_even_200(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("submit_error", status=200, code="modelUnavailable")
        assert refusal(post(http, fox()))[:2] == (200, "modelUnavailable")

    def test_leaves_the_others_of_its_request_alone(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        runware.arm("submit_503", prompt_contains="second")
        reply = post(http, fox(), fox(positivePrompt="second"), fox()).json()
        assert (len(reply["data"]), len(reply["errors"])) == (2, 1)

    def test_by_the_ingress_looks_like_nginx(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("submit_502_html", status=504)
        answer = post(http, fox(), fox())
        assert (answer.status_code, "nginx" in answer.text) == (504, True)
        assert runware.submissions() == []

    def test_by_a_reset_connection(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("submit_reset_before")
        with pytest.raises(httpx.ReadError):
            post(http, fox())
        assert runware.submissions() == []

    def test_for_want_of_credits_or_room(self, runware: Simulator, http: httpx.Client) -> None:
        runware.change(out_of_credits=True)
        assert refusal(post(http, fox()))[:2] == (402, "insufficientCredits")
        runware.change(out_of_credits=False, capacity=1)
        runware.arm("stuck")
        submit(http, fox())
        assert refusal(post(http, fox()))[:2] == (429, "rateLimitExceeded")
        assert len(runware.submissions()) == 1


class TestALostAnswer:
    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("submit_reset_after", httpx.ReadError),
            ("submit_timeout_after", httpx.ReadTimeout),
            ("submit_garbled", httpx.RemoteProtocolError),
        ],
    )
    def test_is_paid_for_once_however_often_it_is_sent(
        self, runware: Simulator, http: httpx.Client, kind: str, error: type[Exception]
    ) -> None:
        runware.arm(kind)
        task = fox()
        with pytest.raises(error):
            http.post("/v1", json=[task], timeout=0.5)
        assert refusal(post(http, task))[1] == "conflictTaskUUID"
        assert finish(http, task)["data"][0]["status"] == "success"
        (paid,) = runware.submissions()
        assert (paid["billed"], paid["faults"]) == (True, [kind])

    def test_may_look_like_a_refusal(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("submit_504_after")
        task = fox()
        answer = post(http, task)
        assert (answer.status_code, "nginx" in answer.text) == (504, True)
        assert finish(http, task)["data"][0]["status"] == "success"

    def test_may_arrive_late(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("submit_slow", seconds=0.6)
        begun = time.monotonic()
        submit(http, fox())
        assert time.monotonic() - begun >= 0.6


class TestARunningTask:
    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            ({"kind": "moderation"}, "invalidProviderContent"),
            ({"kind": "moderation", "code": "promptBlocked"}, "promptBlocked"),
            ({"kind": "provider_timeout"}, "timeoutProvider"),
            ({"kind": "task_error", "code": "downloadFailed"}, "downloadFailed"),
        ],
    )
    def test_can_fail(
        self, runware: Simulator, http: httpx.Client, fault: dict[str, Any], code: str
    ) -> None:
        runware.arm(**fault)
        task = submit(http, fox())
        answer = finish(http, task)
        assert (answer["data"], answer["errors"][0]["code"]) == ([], code)
        assert runware.submissions()[0]["billed"] is False

    def test_can_go_on_for_ever(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("stuck")
        task = submit(http, fox())
        time.sleep(0.4)
        assert ask(http, task).json()["data"][0]["status"] == "processing"

    def test_can_be_slow(self, runware: Simulator, http: httpx.Client) -> None:
        runware.arm("slow_generation", seconds=0.7)
        begun = time.monotonic()
        assert finish(http, submit(http, fox()))["data"][0]["status"] == "success"
        assert time.monotonic() - begun >= 0.7

    def test_can_be_paid_for_and_never_report_a_result(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        runware.arm("forgotten")
        task = submit(http, fox())
        assert ask(http, task).json() == {"data": []}
        assert refusal(post(http, task))[1] == "conflictTaskUUID"
        until = time.monotonic() + PATIENCE_SECONDS
        while not runware.submissions()[0]["billed"]:
            assert time.monotonic() < until, "never made"
        assert ask(http, task).json() == {"data": []}


class TestAPoll:
    def test_can_fail_in_passing(self, runware: Simulator, http: httpx.Client) -> None:
        task, _ = made(http)
        for status, code in ((429, "rateLimitExceeded"), (503, "serviceUnavailable")):
            runware.arm("poll_error", status=status, code=code)
            assert refusal(ask(http, task))[:2] == (status, code)
        runware.arm("poll_error", status=200)
        assert refusal(ask(http, task))[:2] == (200, "serviceUnavailable")
        runware.arm("poll_502_html", status=503)
        answer = ask(http, task)
        assert (answer.status_code, "nginx" in answer.text) == (503, True)
        runware.arm("poll_gone")
        assert ask(http, task).json() == {"data": []}
        for kind, error in (
            ("poll_reset", httpx.ReadError),
            ("poll_garbled", httpx.RemoteProtocolError),
        ):
            runware.arm(kind)
            with pytest.raises(error):
                ask(http, task)
        runware.arm("poll_timeout")
        question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1", json=[question], timeout=0.3)
        assert ask(http, task).json()["data"][0]["status"] == "success"

    def test_can_change_its_status(self, runware: Simulator, http: httpx.Client) -> None:
        task, _ = made(http)
        runware.arm("poll_unknown_status", status="rebalancing")
        assert ask(http, task).json()["data"][0]["status"] == "rebalancing"


def bodies(inbox: Inbox, count: int) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in inbox.wait_for(count)]


class TestAWebhook:
    def test_brings_each_result_alone_unsigned_and_without_the_key(
        self, http: httpx.Client, inbox: Inbox
    ) -> None:
        task = submit(http, fox(webhookURL=inbox.url, numberResults=2, includeCost=True))
        reported = bodies(inbox, 2)
        items = finish(http, task)["data"]
        expected = [{n: v for n, v in item.items() if n != "status"} for item in items]
        assert sorted(reported, key=str) == sorted(expected, key=str)
        for call in inbox.calls:
            assert call.headers["content-type"] == "application/json"
            assert "authorization" not in call.headers
            assert not [name for name in call.headers if "signature" in name]
        time.sleep(0.1)
        assert len(inbox.calls) == 2

    def test_may_be_wrapped_like_an_answer(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        runware.change(webhook_form="wrapped")
        task = submit(http, fox(webhookURL=inbox.url))
        (reported,) = bodies(inbox, 1)
        assert [item["taskUUID"] for item in reported["data"]] == [task["taskUUID"]]
        submit(http, fox(webhookURL=inbox.url, positivePrompt="#moderated"))
        reported = bodies(inbox, 2)[1]
        assert [error["code"] for error in reported["errors"]] == ["invalidProviderContent"]

    def test_reports_a_failure_too(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        runware.arm("provider_timeout")
        task = submit(http, fox(webhookURL=inbox.url))
        (reported,) = bodies(inbox, 1)
        assert (reported["status"], reported["code"]) == ("error", "timeoutProvider")
        assert reported["taskUUID"] == task["taskUUID"]

    def test_is_repeated_with_doubling_pauses_until_it_is_acknowledged(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        runware.change(webhook_backoff=24, webhook_backoff_limit=96, webhook_jitter=0)
        inbox.answers = [500, 404, 302, 500, 204]
        submit(http, fox(webhookURL=inbox.url))
        calls = inbox.wait_for(5)
        pauses = [later.at - earlier.at for earlier, later in pairwise(calls)]
        expected = [0.24, 0.48, 0.96, 0.96]
        assert all(p >= e - 0.01 for p, e in zip(pauses, expected, strict=True)), pauses
        # A busy machine makes any of them longer.
        assert pauses[0] < pauses[2]
        time.sleep(0.2)
        statuses = [sent["status"] for sent in runware.submissions()[0]["deliveries"]]
        assert statuses == [500, 404, 302, 500, 204]
        assert len({call.body for call in calls}) == 1

    def test_is_given_up_in_the_end(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        runware.change(webhook_retries=2)
        inbox.answers = [500] * 10
        submit(http, fox(webhookURL=inbox.url))
        inbox.wait_for(3)
        time.sleep(0.3)
        assert len(inbox.calls) == 3

    def test_that_is_not_answered_in_time_is_sent_again(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        runware.change(webhook_timeout=1)
        inbox.pause_seconds = 1.5
        submit(http, fox(webhookURL=inbox.url))
        inbox.wait_for(2)
        assert runware.submissions()[0]["deliveries"][0]["error"] == "ReadTimeout"

    def test_can_be_lost(self, runware: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        runware.arm("webhook_lost")
        task = submit(http, fox(webhookURL=inbox.url))
        assert finish(http, task)["data"][0]["status"] == "success"
        time.sleep(0.2)
        assert inbox.calls == []

    def test_can_be_late(self, runware: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        runware.arm("webhook_late", seconds=0.6)
        submit(http, fox(webhookURL=inbox.url))
        inbox.wait_for(1)
        (paid,) = runware.submissions()
        assert paid["deliveries"][0]["sent_at"] - paid["completed_at"] >= 0.6

    def test_can_come_twice(self, runware: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        runware.arm("webhook_duplicate", copies=3)
        submit(http, fox(webhookURL=inbox.url))
        assert len({call.body for call in inbox.wait_for(3)}) == 1

    def test_can_be_forged_with_another_result(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        lie = {"imageURL": "https://example.com/not-ours.png"}
        runware.arm("webhook_forged", members=lie, then_genuine=True)
        submit(http, fox(webhookURL=inbox.url))
        forged, genuine = bodies(inbox, 2)
        assert forged == {**genuine, **lie}
        runware.arm("webhook_forged", members=lie)
        runware.change(webhook_form="wrapped")
        submit(http, fox(webhookURL=inbox.url))
        assert bodies(inbox, 3)[2]["data"][0]["imageURL"] == lie["imageURL"]
        time.sleep(0.2)
        assert len(inbox.calls) == 3

    def test_can_be_first(self, runware: Simulator, http: httpx.Client, inbox: Inbox) -> None:
        runware.arm("webhook_early")
        submit(http, fox(webhookURL=inbox.url))
        assert len(inbox.calls) == 1

    def test_can_report_that_there_is_no_result_yet(
        self, runware: Simulator, http: httpx.Client, inbox: Inbox
    ) -> None:
        runware.arm("webhook_processing")
        submit(http, fox(webhookURL=inbox.url))
        first, second = bodies(inbox, 2)
        assert (first["status"], "imageURL" in first) == ("processing", False)
        assert "imageURL" in second


class TestAnUpload:
    @pytest.mark.parametrize("status", [200, 403])
    def test_puts_the_bytes_at_the_url_of_the_task(self, http: httpx.Client, status: int) -> None:
        received: list[tuple[str, str | None, bytes]] = []

        class Bucket(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((self.path, self.headers["content-type"], body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
            threading.Thread(target=server.serve_forever, args=(0.05,)).start()
            endpoint = f"http://127.0.0.1:{server.server_port}/key?signature=x"
            answer = finish(http, submit(http, fox(uploadEndpoint=endpoint, outputFormat="PNG")))
            server.shutdown()
        ((path, content_type, body),) = received
        assert (path, content_type) == ("/key?signature=x", "image/png")
        if status == 200:
            assert httpx.get(answer["data"][0]["imageURL"]).content == body
        else:
            assert answer["errors"][0]["code"] == "uploadFailed"


class TestAFile:
    def test_is_gone_for_good_when_its_time_is_over(self, http: httpx.Client) -> None:
        task, url = made(http, ttl=60)
        assert httpx.get(url).status_code == 200
        until = time.monotonic() + PATIENCE_SECONDS
        while httpx.get(url).status_code == 200:
            assert time.monotonic() < until, "never expired"
            time.sleep(0.05)
        assert httpx.get(url).status_code == 404
        assert ask(http, task).json()["data"][0]["imageURL"] == url

    def test_that_expired_by_fault_has_a_fresh_url_when_asked_again(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        task, url = made(http)
        runware.arm("media_expired", status=403)
        assert [httpx.get(url).status_code for _ in range(2)] == [403, 403]
        fresh = ask(http, task).json()["data"][0]["imageURL"]
        assert fresh != url
        assert httpx.get(fresh).status_code == 200

    def test_suffers_what_any_simulators_files_suffer(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        _, url = made(http)
        runware.arm("media_missing")
        runware.arm("media_error", status=503)
        assert [httpx.get(url).status_code for _ in range(3)] == [404, 503, 200]
        runware.arm("media_truncated")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url)

    def test_asks_for_no_key_and_reports_a_leaked_one(
        self, runware: Simulator, http: httpx.Client
    ) -> None:
        _, url = made(http)
        httpx.get(url)
        assert runware.media()["authorization_seen"] is False
        http.get(url)
        assert runware.media()["authorization_seen"] is True


class TestTheControlEndpoint:
    def test_lists_every_kind_of_fault_and_each_is_tested_here(self, runware: Simulator) -> None:
        kinds = httpx.get(f"{runware.about['control_url']}/kinds").json()
        assert set(kinds) == set(RUNWARE_FAULTS)
        assert {name for name, kind in kinds.items() if kind["point"] == "submit"} > NOT_ACCEPTED
        tests = Path(__file__).read_text(encoding="utf-8")
        # The CDN is the same for every simulator and tested with fal's.
        own = set(kinds) - set(MEDIA_FAULTS)
        assert [name for name in own if f'"{name}"' not in tests] == []

    def test_forgets_everything_when_reset(self, runware: Simulator, http: httpx.Client) -> None:
        task, url = made(http, ttl=60)
        runware.change(out_of_credits=True)
        runware.reset()
        assert (runware.submissions(), runware.faults()) == ([], [])
        assert httpx.get(url).status_code == 404
        assert ask(http, task).json() == {"data": []}
        submit(http, task)
