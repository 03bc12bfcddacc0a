"""Every entry × route × order of the default catalog makes a body that the provider's types allow.

The types are those of the official packages. A body for Runway is also checked with the classes of
the installed package themselves; those of the two others are the files of `local.schemas`, and
`test_schemas.py` checks that these are current. No member may be one that the model does not have:
fal would ignore it. `test_fal_wire.py`, `test_runway_wire.py` and `test_runware_wire.py` compare
the requests of the endpoints that routes may name without a body with those of the clients.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter
from runwayml.types import (
    image_to_video_create_params,
    text_to_image_create_params,
    text_to_video_create_params,
)

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.route import Route
from clipmint.jobs.as_ordered import differences
from clipmint.media.files import VideoFacts
from clipmint.orders import model_check
from local import schemas
from local.fal import validation as fal
from local.fal.assumed import ASSUMED
from local.fal.models import Clip
from local.runware import validation as runware
from local.runway import validation as runway
from local.runway.models import TaskSpec
from tests.support.jobs import new_job

PARAMS = {
    "image_to_video": image_to_video_create_params,
    "text_to_video": text_to_video_create_params,
    "text_to_image": text_to_image_create_params,
}
ROUTES = [(model, route) for model in DEFAULT_CATALOG for route in model.routes]
NEW = [model for model in DEFAULT_CATALOG if any(route.body is not None for route in model.routes)]
each_route = pytest.mark.parametrize(
    ("model", "route"),
    ROUTES,
    ids=[f"{model.model_id}-{route.provider}" for model, route in ROUTES],
)
SOUND = {"fal": ["generate_audio", "generate_audio_switch", "audio"], "runway": ["audio"]}


class Exact(BaseModel):
    """Types are strict, and there are no other members."""

    model_config = ConfigDict(strict=True, extra="forbid")


@functools.cache
def type_of(provider: str, name: str) -> Any:
    schema = ASSUMED.get(name) or schemas.load(provider)[name]
    return schemas.model_of("Body", schema, Exact)


@functools.cache
def checked(model_id: str) -> model_check.Checked:
    [model] = (one for one in DEFAULT_CATALOG if one.model_id == model_id)
    return model_check.check(model)


def sent_by(model: Model, route: Route) -> Iterator[tuple[model_check.Sample, model_check.Sent]]:
    """What the route sends for each preset and each extreme of the parameters."""
    for sample in checked(model.model_id).samples:
        yield from ((sample, sent) for sent in sample.requests if sent.provider == route.provider)


@each_route
def test_a_body_is_one_that_the_official_types_allow(model: Model, route: Route) -> None:
    bodies = [*sent_by(model, route)]
    names = {sample.name for sample, _ in bodies}
    assert names >= {"defaults", *(f"preset {preset}" for preset in model.presets)}
    for sample, sent in bodies:
        assert sent.body is not None, sent.problem
        checker = {"fal": check_fal, "runway": check_runway, "runware": check_runware}
        stated = checker[route.provider](sent)
        states_what_costs(model, route, sample, stated)


def check_fal(sent: model_check.Sent) -> Mapping[str, Any]:
    assert sent.body
    type_of("fal", sent.endpoint).model_validate(_numbers_as_texts(sent.body))
    return sent.body


def _numbers_as_texts(body: Mapping[str, Any]) -> dict[str, Any]:
    """fal's generator of types prints a choice of numbers as texts; Sora's seconds are numbers."""
    return {**body, **({"duration": str(body["duration"])} if "delete_video" in body else {})}


def check_runway(sent: model_check.Sent) -> Mapping[str, Any]:
    assert sent.body
    path, name = sent.endpoint.removeprefix("/v1/"), str(sent.body["model"])
    names, adapter = sdk_of(path, name)
    arguments = as_arguments(sent.body, names)
    adapter.validate_python(arguments, strict=False)
    type_of("runway", f"{path}/{name}").model_validate(dict(sent.body))
    return arguments


def check_runware(sent: model_check.Sent) -> Mapping[str, Any]:
    assert sent.body
    type_of("runware", sent.endpoint).model_validate(dict(sent.body))
    return sent.body


def states_what_costs(
    model: Model, route: Route, sample: model_check.Sample, stated: Mapping[str, Any]
) -> None:
    """No body leaves the seconds or the sound to the provider's default, if the model has them."""
    ordered = sample.settings.stated()
    if "duration" in ordered:
        seconds = str(stated["duration"]).removesuffix("s")
        assert seconds == str(ordered["duration"])
    if "audio" in ordered:
        wanted = json.dumps(ordered["audio"])
        if route.provider == "runware":
            inner = json.dumps([stated.get("settings"), stated.get("providerSettings")])
            assert wanted in inner
        else:
            [name] = stated.keys() & set(SOUND[route.provider])
            assert json.dumps(stated[name]) == wanted


@functools.cache
def sdk_of(path: str, model: str) -> tuple[dict[str, str], TypeAdapter[Any]]:
    params = runway_types(path, model)
    return wire_names(params), TypeAdapter(params)


def runway_types(path: str, model: str) -> Any:
    """The SDK's parameters of this model at this endpoint."""
    module = PARAMS[path]
    [found] = [
        params
        for params in vars(module).values()
        if isinstance(params, type)
        and "model" in getattr(params, "__annotations__", {})
        and model in get_args(_plain(get_type_hints(params, include_extras=True)["model"]))
    ]
    return found


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Required else hint


def wire_names(params: Any) -> dict[str, str]:
    """The members of a body, and the names of the SDK's arguments."""
    found = {}
    for name, hint in get_type_hints(params, include_extras=True).items():
        metadata = getattr(_plain(hint), "__metadata__", ())
        found[next((one.alias for one in metadata if one.alias), name)] = name
    return found


def as_arguments(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    assert body.keys() <= names.keys(), "no member that the model does not have"
    return {names[member]: value for member, value in body.items()}


@dataclass(frozen=True)
class Simulated:
    """What a simulator would render for a body."""

    width: int
    height: int
    seconds: int
    audio: bool


def simulated(provider: str, sent: model_check.Sent) -> Simulated:
    assert sent.body
    if provider == "fal":
        clip = fal.check(sent.endpoint, sent.body)
        assert isinstance(clip, Clip), clip
        ratio = "16:9" if clip.aspect_ratio == "auto" else clip.aspect_ratio
        height = LINES[clip.resolution]
        wide, high = map(int, ratio.split(":"))
        width = height * wide // high if wide >= high else height
        height = height if wide >= high else height * high // wide
        return Simulated(width, height, clip.seconds, clip.audio)
    if provider == "runway":
        task = runway.check(sent.endpoint.removeprefix("/v1/"), sent.body)
        assert isinstance(task, TaskSpec), task
        return Simulated(task.width, task.height, task.seconds or 0, task.audio)
    spec = runware.check({**sent.body, "taskUUID": TASK_ID})
    return Simulated(*spec.size, spec.seconds or 0, spec.audio)


LINES = {"auto": 720, "2k": 1440, "4k": 2160} | {
    f"{lines}p": lines for lines in (360, 480, 720, 768, 1080)
}
TASK_ID = "17f20503-6c24-4c16-946b-35dbbce2af2f"


@each_route
def test_what_a_simulator_renders_is_as_it_was_ordered(model: Model, route: Route) -> None:
    # So the sizes in pixels that a route names are those of its resolutions and aspect ratios.
    if model.produces == "image":
        return
    for sample, sent in sent_by(model, route):
        made = simulated(route.provider, sent)
        facts = VideoFacts("h264", made.width, made.height, made.seconds, None, made.audio)
        image_url = None if sample.kind == "text" else "https://example.com/first.png"
        job = new_job(settings=sample.settings, image_url=image_url)
        assert differences(job, job.stages[0], facts) == ()


PRICED = [
    (model, route, name) for model in NEW for route in model.routes for name in model.priced_by
]


@given(st.sampled_from(PRICED))
@settings(max_examples=25)
def test_a_body_that_omits_what_the_price_depends_on_is_refused(
    priced: tuple[Model, Route, str],
) -> None:
    model, route, name = priced
    fixed = json.loads(json.dumps(route.model_dump(mode="json")))
    assert without(fixed, name) or len(model.values_of(name)) == 1
    if len(model.values_of(name)) > 1:
        broken = model.model_copy(update={"routes": [Route.model_validate(fixed)]})
        assert model_check.check(broken).problems


def without(content: Any, name: str) -> bool:
    """Remove the members that state this parameter. Returns whether there were any."""
    if isinstance(content, list):
        return bool([one for one in content if without(one, name)])
    if not isinstance(content, dict):
        return False
    found = [
        member
        for member, one in content.items()
        if isinstance(one, dict) and "$" in one and (one["$"] == name or name in one["$"])
    ]
    for member in found:
        del content[member]
    inner = [one for one in [*content.values()] if without(one, name)]
    return bool(found or inner)


@given(data=st.data())
def test_two_orders_with_other_prices_are_never_one_request(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(NEW))
    kind = data.draw(st.sampled_from(model.kinds()))
    one, other = (model.resolve(None, data.draw(settings_of(model))) for _ in range(2))
    if model.credits(one) != model.credits(other):
        for route in model.routes:
            requests = [model_check.request(route, kind, order) for order in (one, other)]
            assert requests[0] != requests[1], f"{model.model_id} at {route.provider}"


def settings_of(model: Model) -> st.SearchStrategy[Settings]:
    """Any values of the parameters that the price depends on."""
    values = {name: st.sampled_from(model.values_of(name)) for name in sorted(model.priced_by)}
    return st.fixed_dictionaries(values).map(Settings.model_validate)


def test_the_types_that_a_wrong_body_is_detected_with_are_strict() -> None:
    params = runway_types("text_to_video", "kling3.0_pro")
    names = wire_names(params)
    with pytest.raises(AssertionError, match="does not have"):
        as_arguments({"model": "kling3.0_pro", "resolution": "1080p"}, names)
    with pytest.raises(ValueError, match="ratio"):
        TypeAdapter(params).validate_python({"model": "kling3.0_pro", "ratio": "1:1"})
    kling = type_of("fal", "fal-ai/kling-video/v3/pro/text-to-video")
    for wrong in ({"duration": "16"}, {"duration": 5.5}, {"aspect": "16:9"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            kling.model_validate({"prompt": "x", **wrong})
    task = {"model": "google:3@2", "taskType": "videoInference", "taskUUID": "x"}
    with pytest.raises(ValueError, match="positivePrompt"):
        type_of("runware", "google:3@2").model_validate(task)
