"""Our Runware adapter and the official runware-sdk send the same for the same wish.

Both call one recorder, on a real wire. The wishes are written twice, by hand: in our terms, and as
the SDK's documentation has its users write them, the model named by its slug, so that the SDK finds
the model's id and the task's type itself. The bodies are then equal to the last member; there are
no differences to list. The headers differ where `HEADERS_OF_OUR_OWN` lists it.
"""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.known_endpoints import KNOWN
from clipmint.catalog.model import Model
from clipmint.catalog.route import Route
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Succeeded
from clipmint.providers.base import Accepted, Task
from clipmint.providers.runware import Runware, RunwareSettings
from tests.support.tasks import task_of

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".envs" / "runware" / "bin" / "python"
DRIVER = Path(__file__).parent / "drivers" / "runware_wire.py"

MODELS = {endpoint for provider, endpoint in KNOWN if provider == "runware"}

KEY = "the-same-key"
PROMPT = "a lighthouse in the rain, “crème brûlée” on its door"
WEBHOOK = "https://api.example.com/webhooks/runware/job-1/video/s3cret?x=1&y=ü"
A, B = "https://images.example.com/a.png", "https://images.example.com/b.png"

HEADERS_OF_OUR_OWN = {
    "accept": "we read JSON only; the SDK takes anything",
    "accept-encoding": "we take no compressed answer: its size is limited as it comes",
    "user-agent": "the SDK names itself and its schemas",
    "connection": "we keep none open; said differently by either HTTP library",
}

FRAMES = [{"image": A, "frame": "first"}, {"image": B, "frame": "last"}]

# What our adapter always asks for, as a user of the SDK would have to.
ALWAYS: dict[str, Any] = {
    "positivePrompt": PROMPT,
    "numberResults": 1,
    "outputType": "URL",
    "includeCost": True,
    "ttl": 604_800,
    "webhookURL": WEBHOOK,
}
CLIP = ALWAYS | {
    "outputFormat": "MP4",
    "providerSettings": {"google": {"generateAudio": True}},
}


@dataclass(frozen=True)
class Wish:
    """One wish, in our terms and in the SDK's."""

    endpoint: str
    ours: Mapping[str, Any]
    slug: str
    theirs: Mapping[str, Any]
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def task(self) -> Task:
        return task_of(
            "runware",
            task_id=self.task_id,
            endpoint=self.endpoint,
            prompt=PROMPT,
            webhook_url=WEBHOOK,
            **self.ours,
        )


WISHES: dict[str, Wish] = {
    "Veo 3.1 from text": Wish(
        "google:3@2",
        {"resolution": "720p", "aspect_ratio": "16:9", "duration_seconds": 8},
        "google-veo-3-1",
        {**CLIP, "width": 1280, "height": 720, "duration": 8},
    ),
    "Veo 3.1 upright in 4k": Wish(
        "google:3@2",
        {"resolution": "4k", "aspect_ratio": "9:16", "duration_seconds": 6},
        "google-veo-3-1",
        {**CLIP, "width": 2160, "height": 3840, "duration": 6},
    ),
    "Veo 3.1 from an image, in 4k": Wish(
        "google:3@2",
        {"resolution": "4k", "aspect_ratio": "16:9", "duration_seconds": 4, "image_url": A},
        "google-veo-3-1",
        {
            **CLIP,
            "resolution": "4K",
            "duration": 4,
            "inputs": {"frameImages": FRAMES[:1]},
        },
    ),
    "Veo 3.1 between two frames": Wish(
        "google:3@2",
        {"resolution": "720p", "duration_seconds": 8, "image_url": A, "last_image_url": B},
        "google-veo-3-1",
        {**CLIP, "resolution": "720p", "duration": 8, "inputs": {"frameImages": FRAMES}},
    ),
    "Veo 3.1 Fast between two frames": Wish(
        "google:3@3",
        {"resolution": "1080p", "duration_seconds": 8, "image_url": A, "last_image_url": B},
        "google-veo-3-1-fast",
        {**CLIP, "resolution": "1080p", "duration": 8, "inputs": {"frameImages": FRAMES}},
    ),
    "Veo 3.1 Fast from an image": Wish(
        "google:3@3",
        {"resolution": "1080p", "duration_seconds": 6, "image_url": A},
        "google-veo-3-1-fast",
        {**CLIP, "resolution": "1080p", "duration": 6, "inputs": {"frameImages": FRAMES[:1]}},
    ),
    "Veo 3.1 Fast from text": Wish(
        "google:3@3",
        {"resolution": "1080p", "aspect_ratio": "16:9", "duration_seconds": 4},
        "google-veo-3-1-fast",
        {**CLIP, "width": 1920, "height": 1080, "duration": 4},
    ),
    "Veo 3.1 Lite from text": Wish(
        "google:veo@3.1-lite",
        {"resolution": "1080p", "aspect_ratio": "9:16", "duration_seconds": 6},
        "google-veo-3-1-lite",
        {**CLIP, "width": 1080, "height": 1920, "duration": 6},
    ),
    "Veo 3.1 Lite from an image": Wish(
        "google:veo@3.1-lite",
        {"resolution": "720p", "duration_seconds": 8, "image_url": A},
        "google-veo-3-1-lite",
        {
            **CLIP,
            "resolution": "720p",
            "duration": 8,
            "inputs": {"frameImages": FRAMES[:1]},
        },
    ),
    "Veo 3.1 Lite between two frames": Wish(
        "google:veo@3.1-lite",
        {"resolution": "1080p", "duration_seconds": 4, "image_url": A, "last_image_url": B},
        "google-veo-3-1-lite",
        {**CLIP, "resolution": "1080p", "duration": 4, "inputs": {"frameImages": FRAMES}},
    ),
    "FLUX.1 dev, a still": Wish(
        "runware:101@1",
        {"aspect_ratio": "16:9"},
        "bfl-flux-1-dev",
        {**ALWAYS, "outputFormat": "PNG", "width": 1344, "height": 768},
    ),
}


@dataclass(frozen=True)
class Sent:
    """One request as it arrived."""

    line: str
    headers: Mapping[str, str]
    tasks: list[dict[str, Any]]

    def comparable_headers(self) -> dict[str, str]:
        """The headers that must be the same; the body's length depends on its spaces."""
        leave = {*HEADERS_OF_OUR_OWN, "content-length"}
        return {name: value for name, value in self.headers.items() if name not in leave}


@dataclass
class Recorder:
    """Remembers what it is sent, and answers as Runware does once a task is finished."""

    url: str
    sent: list[Sent] = field(default_factory=list)

    def about(self, task_id: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.tasks[0]["taskUUID"] == task_id]


@contextmanager
def recording(*, acknowledge_first: bool = False) -> Iterator[Recorder]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            tasks = json.loads(body)
            recorder.sent.append(Sent(self.requestline, headers, tasks))
            finished = tasks[0]["taskType"] == "getResponse" or not acknowledge_first
            item = {"taskType": "videoInference", "taskUUID": tasks[0]["taskUUID"]}
            file = {"videoUUID": "v", "videoURL": "https://vm.runware.ai/v.mp4"}
            answer = json.dumps({"data": [item | (file if finished else {})]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recorder = Recorder(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield recorder
        server.shutdown()
        thread.join()


def send_by_sdk(url: str, wishes: list[tuple[str, dict[str, Any]]]) -> list[list[str]]:
    """Have the SDK send wishes; what each violates of the SDK's own types."""
    assert PYTHON.exists(), "no environment for the SDK: make .envs/runware/.synced"
    given = [{"slug": slug, "params": params} for slug, params in wishes]
    done = subprocess.run(
        [PYTHON, DRIVER],
        input=json.dumps({"url": url, "key": KEY, "wishes": given}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr
    verdicts: list[list[str]] = json.loads(done.stdout)
    return verdicts


def in_sdk_terms(wish: Wish) -> tuple[str, dict[str, Any]]:
    return wish.slug, {**wish.theirs, "taskUUID": wish.task_id}


def adapter(url: str) -> Runware:
    return Runware(RunwareSettings(key=KEY, url=url))


@pytest.fixture(scope="module")
def by_both() -> Iterator[tuple[Recorder, dict[str, list[str]]]]:
    with recording() as recorder:
        verdicts = send_by_sdk(recorder.url, [in_sdk_terms(wish) for wish in WISHES.values()])
        for wish in WISHES.values():
            submitted = adapter(recorder.url).submit(wish.task())
            assert submitted == Accepted(Handle(wish.task_id)), submitted
        yield recorder, dict(zip(WISHES, verdicts, strict=True))


@pytest.mark.parametrize("name", WISHES)
def test_we_send_what_the_official_sdk_sends(
    by_both: tuple[Recorder, dict[str, list[str]]], name: str
) -> None:
    recorder, _ = by_both
    theirs, ours = recorder.about(WISHES[name].task_id)
    assert json.dumps(ours.tasks, sort_keys=True) == json.dumps(theirs.tasks, sort_keys=True)
    assert ours.line == theirs.line == "POST /v1 HTTP/1.1"
    assert ours.comparable_headers() == theirs.comparable_headers()


@pytest.mark.parametrize("name", WISHES)
def test_what_we_send_is_of_the_type_the_sdk_publishes_for_the_model(
    by_both: tuple[Recorder, dict[str, list[str]]], name: str
) -> None:
    _, violations = by_both
    assert violations[name] == []


def test_the_sdks_types_would_have_objected_to_what_runware_refuses() -> None:
    wrong = {**CLIP, "aspectRatio": "16:9", "duration": 5, "width": "1280", "taskUUID": "t"}
    wrong.pop("positivePrompt")
    with recording() as recorder:
        [violations] = send_by_sdk(recorder.url, [("google-veo-3-1-lite", wrong)])
    assert sorted(violations) == [
        "aspectRatio is not known",
        "duration is no typing.Literal[4, 6, 8]",
        "positivePrompt is missing",
        "width is no <class 'int'>",
    ]


def test_we_ask_for_a_result_as_the_official_sdk_does() -> None:
    wish = WISHES["Veo 3.1 from text"]
    with recording(acknowledge_first=True) as recorder:
        send_by_sdk(recorder.url, [in_sdk_terms(wish)])
        assert isinstance(adapter(recorder.url).poll(Handle(wish.task_id)), Succeeded)
    _, theirs, ours = recorder.sent
    assert ours.tasks == theirs.tasks == [{"taskType": "getResponse", "taskUUID": wish.task_id}]
    assert ours.comparable_headers() == theirs.comparable_headers()


def wishes_of(models: Iterable[Model]) -> Iterator[tuple[str, bool, bool]]:
    """What these models can have Runware do: its model, from a first image?, to a last one?"""
    for model in models:
        for route in model.routes:
            if route.provider != "runware" or route.body is not None:
                continue  # one with a body is compared in test_catalog_bodies.py
            for first in {"none": [False], "required": [True]}.get(model.image, [False, True]):
                for last in {"none": [False], "required": [True]}.get(
                    model.last_image, [False, first]
                ):
                    yield route.endpoint, first, last


COMPARED = {
    (wish.endpoint, "image_url" in wish.ours, "last_image_url" in wish.ours)
    for wish in WISHES.values()
}


def test_every_model_the_adapter_knows_is_compared() -> None:
    assert {wish.endpoint for wish in WISHES.values()} == MODELS


def test_every_wish_that_the_catalog_allows_is_compared() -> None:
    wished = set(wishes_of(DEFAULT_CATALOG))
    assert {endpoint for endpoint, _, _ in wished} == MODELS
    assert wished - COMPARED == set()


def test_a_route_that_is_never_compared_is_detected() -> None:
    [veo] = (model for model in DEFAULT_CATALOG if model.model_id == "veo-3.1")
    routes = [Route(provider="fal", endpoint="x"), Route(provider="runware", endpoint="google:4@1")]
    newer = veo.model_copy(update={"routes": routes})
    assert set(wishes_of([newer])) - COMPARED == {("google:4@1", False, False)}
    framed = [Route(provider="runware", endpoint="runware:101@1")]
    with_image = veo.model_copy(update={"routes": framed, "image": "required"})
    assert set(wishes_of([with_image])) - COMPARED == {("runware:101@1", True, False)}
