"""The official Runware SDK, unchanged, drives the simulated Runware over REST.

It lives in an interpreter of its own (``make`` builds it) and is driven by a script in
``drivers/``. The simulator returns here what the SDK requires of the real service. The SDK's other
transport is a WebSocket, which we do not use and do not simulate.
"""

from __future__ import annotations

import io
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from local.simulator.client import Simulator, start

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).parent / "drivers" / "runware_sdk_calls.py"
FAST = {
    "generation_seconds": 0.2,
    "image_seconds": 0.1,
    "time_factor": 0.01,
    "frames_per_second": 2,
}
PYTHON = ROOT / ".envs" / "runware" / "bin" / "python"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runware", FAST) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


class Sdk:
    """The script that runs scenarios, one a line, in the interpreter that has the package."""

    def __init__(self) -> None:
        assert PYTHON.exists(), f"{PYTHON} is missing; make test builds it"
        self._process = subprocess.Popen(
            [PYTHON, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={}
        )

    def __call__(
        self, simulator: Simulator, *calls: tuple[str, dict[str, Any]], **wish: Any
    ) -> list[dict[str, Any]]:
        """What the package makes of ``calls``, each a method and its parameters."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        scenario = {"rest": simulator.url, "key": simulator.key, "calls": calls, **wish}
        self._process.stdin.write(json.dumps(scenario) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver ended; its standard error says why"
        return list(json.loads(line))

    def close(self) -> None:
        # It ends with its standard input.
        self._process.communicate()


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdk]:
    """Importing the package takes a second, so its process stays for all tests of this module."""
    package = Sdk()
    yield package
    package.close()


def video(**members: Any) -> tuple[str, dict[str, Any]]:
    return "run", {
        "taskType": "videoInference",
        "taskUUID": str(uuid.uuid4()),
        "model": "google:3@2",
        "positivePrompt": "a fox in the snow",
        "width": 1280,
        "height": 720,
        "duration": 4,
        **members,
    }


def image(**members: Any) -> tuple[str, dict[str, Any]]:
    return "run", {
        "taskType": "imageInference",
        "taskUUID": str(uuid.uuid4()),
        "model": "runware:101@1",
        "positivePrompt": "a fox in the snow",
        "width": 512,
        "height": 768,
        **members,
    }


def plays(url: str) -> float:
    """Seconds of the video behind ``url``, fetched without a key."""
    with av.open(io.BytesIO(httpx.get(url).content), "r") as clip:
        assert next(clip.decode(video=0)).width
        return (clip.duration or 0) / av.time_base


class TestTheSdk:
    def test_sees_a_video_progress_until_it_can_be_played(
        self, simulator: Simulator, sdk: Sdk
    ) -> None:
        simulator.change(generation_seconds=1.8)
        wish = video(includeCost=True, providerSettings={"google": {"generateAudio": True}})
        (result,) = sdk(simulator, wish)
        (item,) = result["result"]
        assert item["taskUUID"] == wish[1]["taskUUID"]
        assert item["cost"] == pytest.approx(4 * 0.40)
        assert plays(item["videoURL"]) == pytest.approx(4, abs=0.1)
        assert result["progress"]
        assert all(0 <= percent < 100 for percent in result["progress"])
        (paid,) = simulator.submissions()
        assert paid["input"] == {**wish[1], "deliveryMethod": "async"}
        assert (paid["billed"], simulator.media()["authorization_seen"]) == (True, False)

    def test_gets_images_of_every_format_at_once_or_later(
        self, simulator: Simulator, sdk: Sdk
    ) -> None:
        result = sdk(
            simulator,
            image(deliveryMethod="sync", outputFormat="PNG"),
            image(deliveryMethod="sync", outputFormat="JPG", numberResults=2),
            image(deliveryMethod="async", outputFormat="WEBP"),
        )
        items = [item for one in result for item in one["result"]]
        assert len({item["imageUUID"] for item in items}) == 4
        found = []
        for item in items:
            answer = httpx.get(item["imageURL"])
            with Image.open(io.BytesIO(answer.content)) as opened:
                found.append((opened.format, opened.size, answer.headers["content-type"]))
        assert found == [
            ("PNG", (512, 768), "image/png"),
            ("JPEG", (512, 768), "image/jpeg"),
            ("JPEG", (512, 768), "image/jpeg"),
            ("WEBP", (512, 768), "image/webp"),
        ]

    def test_makes_a_video_from_first_and_last_frame(self, simulator: Simulator, sdk: Sdk) -> None:
        frames = [{"image": f"https://example.com/{f}.png", "frame": f} for f in ("first", "last")]
        wish = video(resolution="720p", inputs={"frameImages": frames})
        del wish[1]["width"], wish[1]["height"]
        (result,) = sdk(simulator, wish)
        assert plays(result["result"][0]["videoURL"]) == pytest.approx(4, abs=0.1)

    def test_gets_the_name_of_the_wrong_parameter(self, simulator: Simulator, sdk: Sdk) -> None:
        result = sdk(
            simulator,
            video(duration=5),
            video(aspectRatio="16:9"),
            video(resolution="720p"),
            video(model="google:99@9"),
            max_retries=0,
        )
        errors = [one["error"] for one in result]
        assert {error["code"] for error in errors} == {"validation"}
        parameters = ["duration", "aspectRatio", "resolution", "model"]
        assert [error["parameter"] for error in errors] == parameters
        assert errors[0]["message"] == "Invalid value for 'duration' parameter"
        assert simulator.submissions() == []

    @pytest.mark.parametrize(
        ("kind", "code", "retryable"),
        [
            ("submit_402", "quota", False),
            ("submit_429", "rateLimit", True),
            ("submit_503", "provider", True),
            ("submit_401", "auth", False),
        ],
    )
    def test_understands_why_a_task_was_not_accepted(
        self, simulator: Simulator, sdk: Sdk, kind: str, code: str, retryable: bool
    ) -> None:
        simulator.arm(kind)
        (result,) = sdk(simulator, video(), max_retries=0)
        assert (result["error"]["code"], result["error"]["retryable"]) == (code, retryable)
        assert simulator.submissions() == []

    @pytest.mark.parametrize("failures_as", ["errors", "item"])
    def test_understands_why_an_accepted_task_failed(
        self, simulator: Simulator, sdk: Sdk, failures_as: str
    ) -> None:
        simulator.change(failures_as=failures_as)
        simulator.arm("task_error", prompt_contains="broken", code="providerError")
        # Its own words for the documented timeoutProvider are "unknown": it looks for a capital T.
        simulator.arm("provider_timeout", prompt_contains="slow")
        result = sdk(
            simulator,
            video(positivePrompt="#moderated"),
            video(positivePrompt="broken"),
            video(positivePrompt="slow"),
            together=True,
        )
        assert [one["error"]["code"] for one in result] == ["safety", "provider", "unknown"]
        assert [paid["billed"] for paid in simulator.submissions()] == [False] * 3

    def test_knows_success_by_its_url_where_no_status_is_given(
        self, simulator: Simulator, sdk: Sdk
    ) -> None:
        simulator.change(success_status=False)
        (result,) = sdk(simulator, video())
        assert "status" not in result["result"][0]
        assert result["result"][0]["videoURL"].endswith(".mp4")

    def test_with_a_wrong_key_gets_nowhere(self, simulator: Simulator, sdk: Sdk) -> None:
        (result,) = sdk(simulator, video(), key="somebody-elses", max_retries=0)
        assert result["error"]["code"] == "auth"
        assert result["error"]["message"].startswith("Invalid API key")
        assert simulator.submissions() == []

    def test_reads_what_was_archived_of_a_task(self, simulator: Simulator, sdk: Sdk) -> None:
        wish = image(deliveryMethod="sync")
        question = {"taskType": "getTaskDetails", "taskUUID": wish[1]["taskUUID"]}
        made, archived = sdk(simulator, wish, ("get_task_details", question))
        (details,) = archived["result"]
        assert details["request"] == [wish[1]]
        assert details["response"]["data"] == made["result"]


class TestALostAnswer:
    def test_is_a_conflict_to_the_sdk_and_paid_once(self, simulator: Simulator, sdk: Sdk) -> None:
        simulator.arm("submit_reset_after")
        (result,) = sdk(simulator, video())
        assert result["error"]["code"] == "validation"
        assert result["error"]["status_code"] == 400
        (paid,) = simulator.submissions()
        assert (paid["faults"], paid["calls"]["conflict"]) == (["submit_reset_after"], 1)

    def test_before_anything_was_accepted_is_made_good_by_a_retry(
        self, simulator: Simulator, sdk: Sdk
    ) -> None:
        simulator.arm("submit_502_html")
        simulator.arm("submit_503")
        (result,) = sdk(simulator, image(deliveryMethod="sync"))
        assert result["result"][0]["imageURL"]
        assert len(simulator.submissions()) == 1


class TestAnAnswer:
    def test_errors_are_seen_in_a_200_as_well(self, simulator: Simulator, sdk: Sdk) -> None:
        simulator.change(errors_in_200=True)
        simulator.arm("submit_402")
        (result,) = sdk(simulator, video())
        assert (result["error"]["code"], result["error"]["status_code"]) == ("quota", None)

    def test_an_unknown_task_is_no_item_and_no_error(self, simulator: Simulator, sdk: Sdk) -> None:
        (result,) = sdk(simulator, ("get_response", {"taskUUID": str(uuid.uuid4())}))
        assert result["result"] == []
