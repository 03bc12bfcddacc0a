"""What our adapter sends Runway is what the official SDK sends for the same wish.

Both requests are caught below httpx, in the place of the network, and compared whole: method, path,
body as JSON, and every header. The headers that differ are listed here with the reason; any other
difference fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import httpx
import pytest
import runwayml
from pydantic import TypeAdapter
from runwayml.types import (
    image_to_video_create_params,
    text_to_image_create_params,
    text_to_video_create_params,
)

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.known_endpoints import KNOWN
from clipmint.catalog.model import Model
from clipmint.catalog.route import Route
from clipmint.jobs.job import Handle
from clipmint.providers.base import Accepted, Unanswered
from clipmint.providers.runway import Runway, RunwaySettings
from tests.support.tasks import task_of
from tests.support.wire import Wire

ENDPOINTS = [name for provider, name in KNOWN if provider == "runway" and "/" in name]

KEY = "key_0123456789abcdef"
TASK_ID = "17f20503-6c24-4c16-946b-35dbbce2af2f"
PROMPT = 'un café "à la crème" ☕ 😀\n'
A, B = "https://i.example/a.png", "https://i.example/b.png"

TELEMETRY = "the SDK describes itself and the machine it runs on; Runway needs neither"
OURS_DIFFER: Mapping[str, str] = {
    "user-agent": TELEMETRY,
    "accept-encoding": "we take answers as they are: a packed one could unpack without end",
    "content-length": "we escape what is not ASCII, and write a space after commas and colons",
}
"""Headers both send, with other values."""

SDK_ADDS: Mapping[str, str] = {
    "x-stainless-async": TELEMETRY,
    "x-stainless-arch": TELEMETRY,
    "x-stainless-lang": TELEMETRY,
    "x-stainless-os": TELEMETRY,
    "x-stainless-package-version": TELEMETRY,
    "x-stainless-read-timeout": TELEMETRY,
    "x-stainless-retry-count": "we never send a submission again, so there is nothing to count",
    "x-stainless-runtime": TELEMETRY,
    "x-stainless-runtime-version": TELEMETRY,
}
"""Headers only the SDK sends."""

ON_DELETE: Mapping[str, str] = {
    "accept": "the SDK takes anything; we read errors, which are JSON",
    "content-type": "the SDK names the type of a body it does not send",
}
"""Further headers that differ, or that only the SDK sends, where a task is deleted."""


@dataclass(frozen=True)
class Wish:
    """One wish in our terms, and in the SDK's for the same endpoint."""

    ours: Mapping[str, Any]
    sdk: Mapping[str, Any]


TEXT = Wish(
    {"aspect_ratio": "720:1280", "duration_seconds": 8},
    {"ratio": "720:1280", "duration": 8},
)
IMAGE = Wish(
    {"aspect_ratio": "1280:720", "duration_seconds": 6, "image_url": A},
    {"ratio": "1280:720", "duration": 6, "prompt_image": A},
)
FRAMES = Wish(
    {"aspect_ratio": "1080:1920", "duration_seconds": 4, "image_url": A, "last_image_url": B},
    {
        "ratio": "1080:1920",
        "duration": 4,
        "prompt_image": [{"uri": A, "position": "first"}, {"uri": B, "position": "last"}],
    },
)
TEXT_TO_IMAGE = Wish({"aspect_ratio": "1920:1080"}, {"ratio": "1920:1080"})
REFERENCES = Wish(
    {"aspect_ratio": "1024:1024", "reference_image_urls": (A, B)},
    {"ratio": "1024:1024", "reference_images": [{"uri": A}, {"uri": B}]},
)


def with_sound(wish: Wish) -> Wish:
    """Veo's requests ask for sound, which the price depends on; ours always do."""
    return Wish(wish.ours, {**wish.sdk, "audio": True})


WISHES: Mapping[str, tuple[Wish, ...]] = {
    "image_to_video/gen4_turbo": (IMAGE,),
    "image_to_video/gen4.5": (IMAGE,),
    "image_to_video/veo3.1": (with_sound(IMAGE), with_sound(FRAMES)),
    "image_to_video/veo3.1_fast": (with_sound(IMAGE), with_sound(FRAMES)),
    "text_to_video/gen4.5": (TEXT,),
    "text_to_video/veo3.1": (with_sound(TEXT),),
    "text_to_video/veo3.1_fast": (with_sound(TEXT),),
    "text_to_image/gen4_image": (TEXT_TO_IMAGE, REFERENCES),
    "text_to_image/gen4_image_turbo": (REFERENCES,),
}
EVERY_WISH = [
    pytest.param(endpoint, wish, id=f"{endpoint}-{number}")
    for endpoint, wishes in WISHES.items()
    for number, wish in enumerate(wishes)
]

PARAMS: Mapping[str, Any] = {
    "image_to_video": image_to_video_create_params.ImageToVideoCreateParams,
    "text_to_video": text_to_video_create_params.TextToVideoCreateParams,
    "text_to_image": text_to_image_create_params.TextToImageCreateParams,
}


def sent_by_us(*calls: Callable[[Runway], object], replies: list[httpx.Response]) -> Wire:
    wire = Wire([*replies])
    adapter = Runway(RunwaySettings(key=KEY), httpx.MockTransport(wire))
    for call in calls:
        call(adapter)
    return wire


def sent_by_the_sdk(call: Callable[[Any], object], reply: httpx.Response) -> httpx.Request:
    wire = Wire([reply])
    with runwayml.RunwayML(
        api_key=KEY, http_client=httpx.Client(transport=httpx.MockTransport(wire))
    ) as client:
        call(client)
    [request] = wire.requests
    return request


def created() -> httpx.Response:
    return httpx.Response(200, json={"id": TASK_ID, "estimatedCost": {"credits": 60}})


def pending() -> httpx.Response:
    return httpx.Response(
        200,
        json={
            "id": TASK_ID,
            "status": "PENDING",
            "createdAt": "2026-11-20T10:00:00.000Z",
            "estimatedCost": {"credits": 60},
        },
    )


def our_submission(endpoint: str, wish: Wish) -> httpx.Request:
    task = task_of(
        "runway", task_id="a-task-of-ours", endpoint=endpoint, prompt=PROMPT, **wish.ours
    )
    answers: list[object] = []
    wire = sent_by_us(lambda adapter: answers.append(adapter.submit(task)), replies=[created()])
    assert answers == [Accepted(Handle(TASK_ID))]
    [request] = wire.requests
    return request


def sdk_submission(endpoint: str, wish: Wish) -> httpx.Request:
    resource, _, model = endpoint.partition("/")

    def call(client: Any) -> None:
        create = getattr(client, resource).create
        assert create(model=model, prompt_text=PROMPT, **wish.sdk).id == TASK_ID

    return sent_by_the_sdk(call, created())


def assert_same(
    ours: httpx.Request, sdk: httpx.Request, besides: Mapping[str, str] | None = None
) -> None:
    besides = besides or {}
    assert (ours.method, str(ours.url)) == (sdk.method, str(sdk.url))
    mine, theirs = dict(ours.headers), dict(sdk.headers)
    assert set(mine) - set(theirs) == set(), "we send no header the SDK does not"
    for documented in (*OURS_DIFFER, *SDK_ADDS, *besides):
        mine.pop(documented, None)
        theirs.pop(documented, None)
    assert mine == theirs
    assert {"authorization", "x-runway-version"} <= set(mine), "compared, not left out"


def canonical(request: httpx.Request) -> str:
    return json.dumps(json.loads(request.content), sort_keys=True)


@pytest.mark.parametrize(("endpoint", "wish"), EVERY_WISH)
def test_a_submission_equals_the_sdks(endpoint: str, wish: Wish) -> None:
    ours, sdk = our_submission(endpoint, wish), sdk_submission(endpoint, wish)
    assert canonical(ours) == canonical(sdk)
    assert_same(ours, sdk)


def check_types(endpoint: str, wish: Mapping[str, Any]) -> None:
    """Would a type checker let a user of the SDK ask for this?"""
    resource, _, model = endpoint.partition("/")
    [params] = [
        params
        for params in get_args(PARAMS[resource])
        if get_args(get_type_hints(params)["model"]) == (model,)
    ]
    arguments = {"model": model, "prompt_text": PROMPT, **wish}
    assert set(arguments) <= set(get_type_hints(params)), "no field its model does not take"
    TypeAdapter(params).validate_python(arguments)


@pytest.mark.parametrize(("endpoint", "wish"), EVERY_WISH)
def test_every_wish_compared_is_one_the_sdks_own_types_allow(endpoint: str, wish: Wish) -> None:
    check_types(endpoint, wish.sdk)


def test_every_endpoint_the_adapter_knows_is_compared() -> None:
    assert set(WISHES) == set(ENDPOINTS)


def wishes_of(models: Iterable[Model]) -> Iterator[tuple[str, bool, bool]]:
    """What these models can have Runway do: its endpoint, from a first image?, to a last one?"""
    for model in models:
        for route in model.routes:
            if route.provider != "runway" or route.body is not None:
                continue  # one with a body is compared in test_catalog_bodies.py
            for first in {"none": [False], "required": [True]}.get(model.image, [False, True]):
                for last in {"none": [False], "required": [True]}.get(
                    model.last_image, [False, first]
                ):
                    _, slash, _ = route.endpoint.partition("/")
                    kind = "image_to_video/" if first else "text_to_video/"
                    yield (route.endpoint if slash else kind + route.endpoint), first, last


COMPARED = {
    (endpoint, "image_url" in wish.ours, "last_image_url" in wish.ours)
    for endpoint, wishes in WISHES.items()
    for wish in wishes
}


def test_every_wish_that_the_catalog_allows_is_compared() -> None:
    wished = set(wishes_of(DEFAULT_CATALOG))
    assert len(wished) >= len(ENDPOINTS) - 1, "gen4_image_turbo alone is in no route yet"
    assert wished - COMPARED == set()


def test_a_route_that_is_never_compared_is_detected() -> None:
    [turbo] = (model for model in DEFAULT_CATALOG if model.model_id == "gen4-turbo")
    for endpoint in ("image_to_video/gen5", "gen5"):
        routes = [Route(provider="fal", endpoint="x"), Route(provider="runway", endpoint=endpoint)]
        newer = turbo.model_copy(update={"routes": routes})
        assert set(wishes_of([newer])) - COMPARED == {("image_to_video/gen5", True, False)}
    to_a_last = turbo.model_copy(update={"last_image": "optional"})
    assert set(wishes_of([to_a_last])) - COMPARED == {("image_to_video/gen4_turbo", True, True)}


@pytest.mark.parametrize(
    "model",
    [model for model in DEFAULT_CATALOG if list(wishes_of([model]))],
    ids=lambda model: model.model_id,
)
def test_every_value_that_the_catalog_allows_is_one_the_sdks_own_types_allow(model: Model) -> None:
    for endpoint, first, last in wishes_of([model]):
        for ratio in model.allowed.aspect_ratio:
            for seconds in model.allowed.duration or [0]:
                arguments: dict[str, Any] = {"ratio": ratio}
                arguments |= {"duration": seconds} if seconds else {}
                arguments |= {"prompt_image": A} if first else {}
                arguments |= {"prompt_image": FRAMES.sdk["prompt_image"]} if last else {}
                check_types(endpoint, arguments)


def test_a_bare_model_goes_where_the_sdk_would_be_sent() -> None:
    for bare, full, wish in (
        ("gen4.5", "image_to_video/gen4.5", IMAGE),
        ("gen4.5", "text_to_video/gen4.5", TEXT),
        ("veo3.1", "image_to_video/veo3.1", with_sound(FRAMES)),
    ):
        ours, sdk = our_submission(bare, wish), sdk_submission(full, wish)
        assert canonical(ours) == canonical(sdk)
        assert_same(ours, sdk)


def test_the_poll_for_a_task_equals_the_sdks() -> None:
    ours = sent_by_us(lambda adapter: adapter.poll(Handle(TASK_ID)), replies=[pending()])
    sdk = sent_by_the_sdk(lambda client: client.tasks.retrieve(TASK_ID), pending())
    assert_same(ours.requests[0], sdk)
    assert ours.requests[0].content == sdk.content == b""


def test_cancelling_a_task_equals_the_sdks_deletion_after_a_poll() -> None:
    gone = httpx.Response(204)
    ours = sent_by_us(lambda adapter: adapter.cancel(Handle(TASK_ID)), replies=[pending(), gone])
    sdk = sent_by_the_sdk(lambda client: client.tasks.delete(TASK_ID), httpx.Response(204))
    question, deletion = ours.requests
    assert question.method == "GET"
    assert_same(deletion, sdk, besides=ON_DELETE)
    assert deletion.content == sdk.content == b""


def test_every_difference_that_is_documented_is_still_one() -> None:
    ours, sdk = our_submission("gen4.5", TEXT), sdk_submission("text_to_video/gen4.5", TEXT)
    assert all(ours.headers[name] != sdk.headers[name] for name in OURS_DIFFER)
    assert all(name in sdk.headers and name not in ours.headers for name in SDK_ADDS)


def test_where_the_sdk_would_send_a_submission_again_and_pay_twice_we_do_not() -> None:
    at_once = {"retry-after-ms": "1"}
    wire = Wire([httpx.Response(500, headers=at_once) for _ in range(3)])
    with (
        runwayml.RunwayML(
            api_key=KEY, http_client=httpx.Client(transport=httpx.MockTransport(wire))
        ) as client,
        pytest.raises(runwayml.InternalServerError),
    ):
        client.text_to_video.create(
            model="gen4.5", prompt_text=PROMPT, ratio="1280:720", duration=5
        )
    assert len(wire.requests) == 3

    task = task_of(
        "runway", task_id="a-task-of-ours", endpoint="gen4.5", prompt=PROMPT, **TEXT.ours
    )
    answers: list[object] = []
    ours = sent_by_us(
        lambda adapter: answers.append(adapter.submit(task)),
        replies=[httpx.Response(500, headers=at_once)],
    )
    assert len(ours.requests) == 1
    assert isinstance(answers[0], Unanswered)
