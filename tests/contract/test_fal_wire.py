"""What our adapter sends fal is what the official fal-client sends for the same wish.

Both requests are caught in the place of the network and compared whole: method, URL, body as JSON,
and every header. The wishes are written twice, in our terms and as fal's documentation has its
users write them. What differs is listed here with the reason; any other difference fails.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx
import pytest

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model
from clipmint.catalog.route import Route
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Running, Succeeded
from clipmint.providers.base import Accepted
from clipmint.providers.fal import Fal, FalSettings
from tests.support.tasks import task_of
from tests.support.wire import Wire

KEY = "key-id:key-secret"
PROMPT = 'un café "à la crème" ☕ 😀\n'
WEBHOOK = "https://api.example.com/webhooks/fal/job-1/video/s3cret?x=1&y=ü"
A, B = "https://i.example/a.png", "https://i.example/b.png"
REQUEST_ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
START_SECONDS = 900

OURS_DIFFER: Mapping[str, str] = {
    "user-agent": "the SDK names itself",
    "accept": "the SDK takes anything; we read JSON",
    "accept-encoding": "we take answers as they are: a packed one could unpack without end",
    "content-length": "we escape what is not ASCII, and write a space after commas and colons",
    "x-fal-request-timeout": "the SDK writes its seconds with a decimal point",
}
"""Headers both send, with other values."""

WE_ADD: Mapping[str, str] = {
    "x-fal-no-retry": "a failed run is the job's to judge, not to be run and billed again",
    "x-fal-object-lifecycle-preference": "files nobody needs once they are in the owner's bucket",
}
"""Headers of fal's documentation that the SDK leaves to its user, on submissions."""

ON_QUESTIONS = "logs are nothing to us: we leave the SDK's `logs=false`, fal's default, unsaid"

ALWAYS: Mapping[str, Any] = {
    "prompt": PROMPT,
    "resolution": "720p",
    "aspect_ratio": "16:9",
    "duration": "8s",
    "generate_audio": True,
    "safety_tolerance": "4",
}


@dataclass(frozen=True)
class Wish:
    """One wish in our terms, and as the arguments a user of the SDK would give."""

    ours: Mapping[str, Any]
    sdk: Mapping[str, Any]


SHAPE = {"resolution": "720p", "aspect_ratio": "16:9", "duration_seconds": 8}
WISHES: Mapping[str, Wish] = {
    "fal-ai/veo3.1": Wish(SHAPE, {**ALWAYS, "auto_fix": True}),
    "fal-ai/veo3.1/image-to-video": Wish({**SHAPE, "image_url": A}, {**ALWAYS, "image_url": A}),
    "fal-ai/veo3.1/first-last-frame-to-video": Wish(
        {**SHAPE, "image_url": A, "last_image_url": B},
        {**ALWAYS, "first_frame_url": A, "last_frame_url": B},
    ),
    "fal-ai/sora-2/image-to-video": Wish(
        {
            "resolution": "auto",
            "aspect_ratio": "auto",
            "duration_seconds": 12,
            "image_url": A,
        },
        {
            "prompt": PROMPT,
            "image_url": A,
            "resolution": "auto",
            "aspect_ratio": "auto",
            "duration": 12,
            "delete_video": True,
        },
    ),
}


@pytest.fixture(scope="module")
def fal_client() -> Iterator[ModuleType]:
    # It reads its host when it is imported, and other tests give it another one.
    yield importlib.import_module("fal_client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "fal_client"]:
        del sys.modules[name]


def submitted() -> httpx.Response:
    base = f"https://queue.fal.run/fal-ai/veo3.1/requests/{REQUEST_ID}"
    return httpx.Response(
        200,
        json={
            "status": "IN_QUEUE",
            "request_id": REQUEST_ID,
            "response_url": base,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
            "queue_position": 0,
        },
    )


def queued() -> httpx.Response:
    body = {"status": "IN_QUEUE", "request_id": REQUEST_ID, "queue_position": 3}
    return httpx.Response(202, json=body)


def completed() -> httpx.Response:
    body: dict[str, object] = {
        "status": "COMPLETED",
        "request_id": REQUEST_ID,
        "logs": None,
        "metrics": {},
    }
    return httpx.Response(200, json=body)


def result() -> httpx.Response:
    return httpx.Response(200, json={"video": {"url": "https://v3.fal.media/files/b/video.mp4"}})


def sdk_on(fal_client: ModuleType, wire: Wire) -> Any:
    sdk = fal_client.SyncClient(key=KEY)
    sdk._client._transport = httpx.MockTransport(wire)
    return sdk


def adapter_on(wire: Wire) -> Fal:
    return Fal(FalSettings(key=KEY), httpx.MockTransport(wire))


def our_submission(endpoint: str, wish: Wish) -> tuple[httpx.Request, Handle]:
    wire = Wire([submitted()])
    task = task_of(
        "fal",
        task_id="a-task-of-ours",
        endpoint=endpoint,
        prompt=PROMPT,
        webhook_url=WEBHOOK,
        start_within_seconds=START_SECONDS,
        **wish.ours,
    )
    answer = adapter_on(wire).submit(task)
    assert isinstance(answer, Accepted)
    [request] = wire.requests
    return request, answer.handle


def sdk_submission(
    fal_client: ModuleType, endpoint: str, wish: Wish, *afterwards: httpx.Response
) -> tuple[Wire, Any]:
    wire = Wire([submitted(), *afterwards])
    handle = sdk_on(fal_client, wire).submit(
        endpoint, wish.sdk, webhook_url=WEBHOOK, start_timeout=START_SECONDS
    )
    return wire, handle


def assert_same_headers(ours: httpx.Request, sdk: httpx.Request) -> None:
    mine, theirs = dict(ours.headers), dict(sdk.headers)
    assert mine.keys() - theirs.keys() <= WE_ADD.keys()
    for documented in (*OURS_DIFFER, *WE_ADD):
        mine.pop(documented, None)
        theirs.pop(documented, None)
    assert mine == theirs
    assert mine["authorization"] == f"Key {KEY}"


@pytest.mark.parametrize("endpoint", WISHES)
def test_a_submission_equals_the_sdks(fal_client: ModuleType, endpoint: str) -> None:
    ours, _ = our_submission(endpoint, WISHES[endpoint])
    wire, _ = sdk_submission(fal_client, endpoint, WISHES[endpoint])
    [sdk] = wire.requests
    assert ours.method == sdk.method == "POST"
    assert (ours.url.host, ours.url.path) == (sdk.url.host, sdk.url.path)
    assert ours.url.params == sdk.url.params
    assert ours.url.params["fal_webhook"] == WEBHOOK
    assert json.loads(ours.content) == json.loads(sdk.content)
    seconds = [float(request.headers["x-fal-request-timeout"]) for request in (ours, sdk)]
    assert seconds == [START_SECONDS, START_SECONDS]
    assert_same_headers(ours, sdk)


def test_the_polls_equal_the_sdks(fal_client: ModuleType) -> None:
    endpoint = "fal-ai/veo3.1"
    wire, sdk_handle = sdk_submission(
        fal_client, endpoint, WISHES[endpoint], queued(), completed(), result(), httpx.Response(200)
    )
    sdk_handle.status()
    sdk_handle.get()
    sdk_handle.cancel()
    _, asked, asked_again, fetched, cancelled = wire.requests

    _, handle = our_submission(endpoint, WISHES[endpoint])
    ours = Wire([queued(), completed(), result(), queued(), httpx.Response(200)])
    adapter = adapter_on(ours)
    assert adapter.poll(handle) == Running(3)
    assert isinstance(adapter.poll(handle), Succeeded)
    assert adapter.cancel(handle)
    sdks = [asked, asked_again, fetched, asked, cancelled]
    for mine, theirs in zip(ours.requests, sdks, strict=True):
        theirs_unsaid = theirs.url.copy_remove_param("logs")
        assert (mine.method, str(mine.url)) == (theirs.method, str(theirs_unsaid)), ON_QUESTIONS
        assert mine.content == theirs.content == b""
        assert_same_headers(mine, theirs)


def test_every_difference_that_is_documented_is_still_one(fal_client: ModuleType) -> None:
    ours, _ = our_submission("fal-ai/veo3.1", WISHES["fal-ai/veo3.1"])
    wire, _ = sdk_submission(fal_client, "fal-ai/veo3.1", WISHES["fal-ai/veo3.1"], queued())
    [sdk] = wire.requests
    for name in OURS_DIFFER:
        assert ours.headers[name] != sdk.headers[name], name
    assert all(name in ours.headers and name not in sdk.headers for name in WE_ADD)


def uncompared(models: Iterable[Model]) -> set[str]:
    """The fal endpoints of these models that no wish is about, or with other images."""
    found = set()
    for model in models:
        for route in model.routes:
            if route.provider == "fal" and route.body is None:  # else: test_catalog_bodies.py
                wish = WISHES.get(route.endpoint)
                images = (model.image == "required", model.last_image == "required")
                given = wish and ("image_url" in wish.ours, "last_image_url" in wish.ours)
                if given != images or "optional" in (model.image, model.last_image):
                    found.add(route.endpoint)
    return found


def test_every_wish_that_the_catalog_allows_is_compared() -> None:
    assert uncompared(DEFAULT_CATALOG) == set()


def test_a_route_that_is_never_compared_is_detected() -> None:
    veo = next(model for model in DEFAULT_CATALOG if model.model_id == "veo-3.1")
    routes = [Route(provider="runware", endpoint="x"), Route(provider="fal", endpoint="fal-ai/new")]
    assert uncompared([veo.model_copy(update={"routes": routes})]) == {"fal-ai/new"}
    assert uncompared([veo.model_copy(update={"image": "optional"})]) == {"fal-ai/veo3.1"}
