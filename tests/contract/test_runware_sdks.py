"""Both official Runware packages, unchanged, drive the simulated Runware.

They share the import name ``runware`` and exclude each other, so each lives in an interpreter of
its own (``make`` builds them) and is driven by a script in ``drivers/``. The newer one speaks REST
and WebSocket, the older one WebSocket alone. What they accept here is what the real service would
have to say.
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
from tests.support.inbox import Inbox

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "drivers"
FAST = {"generation_seconds": 0.2, "image_seconds": 0.1, "time_factor": 0.01}
SDK = ("runware", "runware_sdk_calls.py")
LEGACY = ("runware-legacy", "runware_legacy_calls.py")
TRANSPORTS = ["rest", "websocket"]


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runware", FAST) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


class Driver:
    """A script that runs scenarios, one a line, in an interpreter that has one of the packages."""

    def __init__(self, environment: str, script: str) -> None:
        python = ROOT / ".envs" / environment / "bin" / "python"
        assert python.exists(), f"{python} is missing; make test builds it"
        self._process = subprocess.Popen(
            [python, DRIVERS / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Patience with one answer, in ms, is 30 s for a video; here nothing takes that long.
            env={"RUNWARE_VIDEO_INITIAL_TIMEOUT": "2000", "RUNWARE_VIDEO_POLLING_DELAY": "50"},
        )

    def run(self, wish: dict[str, Any]) -> list[dict[str, Any]]:
        """What the package makes of a scenario."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver ended; its standard error says why"
        return list(json.loads(line))

    def close(self) -> None:
        # It ends with its standard input.
        self._process.communicate()


_drivers: dict[tuple[str, str], Driver] = {}


def driver(environment: str, script: str) -> Driver:
    """Importing a package takes a second, so its process stays for all tests of this module."""
    key = (environment, script)
    if key not in _drivers:
        _drivers[key] = Driver(environment, script)
    return _drivers[key]


@pytest.fixture(scope="module", autouse=True)
def no_driver_left() -> Iterator[None]:
    yield
    while _drivers:
        _drivers.popitem()[1].close()


def sdk(
    simulator: Simulator, transport: str, *calls: tuple[str, dict[str, Any]], **wish: Any
) -> list[dict[str, Any]]:
    """What runware-sdk makes of ``calls``, each a method and its parameters."""
    addresses = {"rest": simulator.url, "ws": simulator.about["ws_url"], "key": simulator.key}
    wish = {**addresses, "transport": transport, "calls": calls, **wish}
    return driver(*SDK).run(wish)


def legacy(
    simulator: Simulator, *calls: tuple[str, dict[str, Any]], **wish: Any
) -> list[dict[str, Any]]:
    """What runware 0.5 makes of ``calls``."""
    wish = {"ws": simulator.about["ws_url"], "key": simulator.key, "calls": calls, **wish}
    return driver(*LEGACY).run(wish)


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


@pytest.mark.parametrize("transport", TRANSPORTS)
class TestTheSdk:
    def test_sees_a_video_progress_until_it_can_be_played(
        self, simulator: Simulator, transport: str
    ) -> None:
        simulator.change(generation_seconds=1.8)
        wish = video(includeCost=True, providerSettings={"google": {"generateAudio": True}})
        (said,) = sdk(simulator, transport, wish)
        (item,) = said["result"]
        assert item["taskUUID"] == wish[1]["taskUUID"]
        assert item["cost"] == pytest.approx(4 * 0.40)
        assert plays(item["videoURL"]) == pytest.approx(4, abs=0.1)
        assert said["progress"]
        assert all(0 <= percent < 100 for percent in said["progress"])
        (paid,) = simulator.submissions()
        assert paid["input"] == {**wish[1], "deliveryMethod": "async"}
        assert (paid["billed"], simulator.media()["authorization_seen"]) == (True, False)

    def test_gets_images_of_every_format_at_once_or_later(
        self, simulator: Simulator, transport: str
    ) -> None:
        said = sdk(
            simulator,
            transport,
            image(deliveryMethod="sync", outputFormat="PNG"),
            image(deliveryMethod="sync", outputFormat="JPG", numberResults=2),
            image(deliveryMethod="async", outputFormat="WEBP"),
        )
        items = [item for one in said for item in one["result"]]
        assert len({item["imageUUID"] for item in items}) == 4
        found = []
        for item in items:
            answer = httpx.get(item["imageURL"])
            with Image.open(io.BytesIO(answer.content)) as picture:
                found.append((picture.format, picture.size, answer.headers["content-type"]))
        assert found == [
            ("PNG", (512, 768), "image/png"),
            ("JPEG", (512, 768), "image/jpeg"),
            ("JPEG", (512, 768), "image/jpeg"),
            ("WEBP", (512, 768), "image/webp"),
        ]

    def test_makes_a_video_from_first_and_last_frame(
        self, simulator: Simulator, transport: str
    ) -> None:
        frames = [{"image": f"https://example.com/{f}.png", "frame": f} for f in ("first", "last")]
        wish = video(resolution="720p", inputs={"frameImages": frames})
        del wish[1]["width"], wish[1]["height"]
        (said,) = sdk(simulator, transport, wish)
        assert plays(said["result"][0]["videoURL"]) == pytest.approx(4, abs=0.1)

    def test_gets_the_name_of_the_wrong_parameter(
        self, simulator: Simulator, transport: str
    ) -> None:
        said = sdk(
            simulator,
            transport,
            video(duration=5),
            video(aspectRatio="16:9"),
            video(resolution="720p"),
            video(model="google:99@9"),
            max_retries=0,
        )
        errors = [one["error"] for one in said]
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
        self, simulator: Simulator, transport: str, kind: str, code: str, retryable: bool
    ) -> None:
        simulator.arm(kind)
        (said,) = sdk(simulator, transport, video(), max_retries=0)
        assert (said["error"]["code"], said["error"]["retryable"]) == (code, retryable)
        assert simulator.submissions() == []

    @pytest.mark.parametrize("failures_as", ["errors", "item"])
    def test_understands_why_an_accepted_task_failed(
        self, simulator: Simulator, transport: str, failures_as: str
    ) -> None:
        simulator.change(failures_as=failures_as)
        simulator.arm("task_error", prompt_contains="broken", code="providerError")
        # Its own words for the documented timeoutProvider are "unknown": it looks for a capital T.
        simulator.arm("provider_timeout", prompt_contains="slow")
        said = sdk(
            simulator,
            transport,
            video(positivePrompt="#moderated"),
            video(positivePrompt="broken"),
            video(positivePrompt="slow"),
            together=True,
        )
        assert [one["error"]["code"] for one in said] == ["safety", "provider", "unknown"]
        assert [paid["billed"] for paid in simulator.submissions()] == [False] * 3

    def test_knows_success_by_its_url_where_no_status_is_given(
        self, simulator: Simulator, transport: str
    ) -> None:
        simulator.change(success_status=False)
        (said,) = sdk(simulator, transport, video())
        assert "status" not in said["result"][0]
        assert said["result"][0]["videoURL"].endswith(".mp4")

    def test_with_a_wrong_key_gets_nowhere(self, simulator: Simulator, transport: str) -> None:
        (said,) = sdk(simulator, transport, video(), key="somebody-elses", max_retries=0)
        assert said["error"]["code"] == "auth"
        assert said["error"]["message"].startswith("Invalid API key")
        assert simulator.submissions() == []

    def test_reads_what_was_archived_of_a_task(self, simulator: Simulator, transport: str) -> None:
        wish = image(deliveryMethod="sync")
        question = {"taskType": "getTaskDetails", "taskUUID": wish[1]["taskUUID"]}
        made, archived = sdk(simulator, transport, wish, ("get_task_details", question))
        (details,) = archived["result"]
        assert details["request"] == [wish[1]]
        assert details["response"]["data"] == made["result"]


class TestALostAnswer:
    def test_over_rest_is_a_conflict_to_the_sdk_and_paid_once(self, simulator: Simulator) -> None:
        simulator.arm("submit_reset_after")
        (said,) = sdk(simulator, "rest", video())
        assert said["error"]["code"] == "validation"
        assert said["error"]["status_code"] == 400
        (paid,) = simulator.submissions()
        assert (paid["faults"], paid["calls"]["conflict"]) == (["submit_reset_after"], 1)

    def test_over_websocket_is_sent_again_and_the_conflict_means_accepted(
        self, simulator: Simulator
    ) -> None:
        simulator.arm("submit_reset_after")
        (said,) = sdk(simulator, "websocket", video())
        assert plays(said["result"][0]["videoURL"]) == pytest.approx(4, abs=0.1)
        (paid,) = simulator.submissions()
        assert paid["calls"]["conflict"] == 1

    def test_means_accepted_to_the_older_package_too(self, simulator: Simulator) -> None:
        simulator.arm("submit_reset_after")
        wish = legacy_video()
        question = ("getResponse", {"taskUUID": wish[1]["taskUUID"]})
        accepted, made = legacy(simulator, wish, question)
        assert accepted["result"][0]["taskUUID"] == wish[1]["taskUUID"]
        assert made["result"][0]["videoURL"].endswith(".mp4")
        (paid,) = simulator.submissions()
        assert paid["calls"]["conflict"] == 1

    def test_before_anything_was_accepted_is_made_good_by_a_retry(
        self, simulator: Simulator
    ) -> None:
        simulator.arm("submit_502_html")
        simulator.arm("submit_503")
        (said,) = sdk(simulator, "rest", image(deliveryMethod="sync"))
        assert said["result"][0]["imageURL"]
        assert len(simulator.submissions()) == 1


class TestOverRest:
    def test_errors_are_seen_in_a_200_as_well(self, simulator: Simulator) -> None:
        simulator.change(errors_in_200=True)
        simulator.arm("submit_402")
        (said,) = sdk(simulator, "rest", video())
        assert (said["error"]["code"], said["error"]["status_code"]) == ("quota", None)

    def test_an_unknown_task_is_no_item_and_no_error(self, simulator: Simulator) -> None:
        (said,) = sdk(simulator, "rest", ("get_response", {"taskUUID": str(uuid.uuid4())}))
        assert said["result"] == []


def legacy_video(**members: Any) -> tuple[str, dict[str, Any]]:
    return "videoInference", {
        "taskUUID": str(uuid.uuid4()),
        "model": "google:3@2",
        "positivePrompt": "a fox in the snow",
        "duration": 4,
        "resolution": "720p",
        "frameImages": [{"inputImage": "https://example.com/a.png", "frame": "first"}],
        **members,
    }


class TestTheOlderPackage:
    def test_has_a_video_made_from_a_frame_and_is_called_back(
        self, simulator: Simulator, inbox: Inbox
    ) -> None:
        google = {"generateAudio": True}
        wish = legacy_video(google=google, includeCost=True, ttl=86_400, webhookURL=inbox.url)
        question = ("getResponse", {"taskUUID": wish[1]["taskUUID"]})
        accepted, made = legacy(simulator, wish, question)
        task = {"taskType": "videoInference", "taskUUID": wish[1]["taskUUID"]}
        assert accepted["result"] == [task]
        (item,) = made["result"]
        assert plays(item["videoURL"]) == pytest.approx(4, abs=0.1)
        (paid,) = simulator.submissions()
        assert paid["input"]["frameImages"] == wish[1]["frameImages"]
        assert paid["input"]["providerSettings"] == {"google": google}
        told = json.loads(inbox.wait_for(1)[0].body)
        assert told["videoURL"] == item["videoURL"]
        assert told["cost"] == item["cost"] == pytest.approx(1.6)

    def test_gets_an_image_at_once(self, simulator: Simulator) -> None:
        wish = {"model": "runware:101@1", "positivePrompt": "a fox", "width": 512, "height": 512}
        (said,) = legacy(simulator, ("imageInference", {**wish, "outputFormat": "PNG"}))
        with Image.open(io.BytesIO(httpx.get(said["result"][0]["imageURL"]).content)) as picture:
            assert (picture.format, picture.size) == ("PNG", (512, 512))

    def test_gets_the_reason_of_a_refusal_and_of_a_failure(self, simulator: Simulator) -> None:
        moderated = legacy_video(positivePrompt="#moderated")
        refused, _, failed = legacy(
            simulator,
            legacy_video(duration=5),
            moderated,
            ("getResponse", {"taskUUID": moderated[1]["taskUUID"]}),
        )
        assert refused["error"]["code"] == "invalidDuration"
        assert failed["error"]["code"] == "invalidProviderContent"
        assert failed["error"]["taskUUID"] == moderated[1]["taskUUID"]

    def test_with_a_wrong_key_does_not_connect(self, simulator: Simulator) -> None:
        (said,) = legacy(simulator, legacy_video(), key="somebody-elses")
        assert "Invalid API key" in said["error"]["connection"]
        assert simulator.submissions() == []

    def test_reads_what_was_archived_of_a_task(self, simulator: Simulator) -> None:
        wish = legacy_video()
        question = {"taskUUID": wish[1]["taskUUID"]}
        _, made, details = legacy(
            simulator, wish, ("getResponse", question), ("getTaskDetails", question)
        )
        (archived,) = details["result"]
        assert archived["request"][0]["model"] == "google:3@2"
        assert archived["response"][0]["videoURL"] == made["result"][0]["videoURL"]
