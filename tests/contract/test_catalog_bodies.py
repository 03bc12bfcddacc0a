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
from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
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
from clipmint.orders import model_check
from local import schemas
from local.fal.assumed import ASSUMED

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
    settings = sample.settings.stated()
    if "duration" in settings:
        seconds = str(stated["duration"]).removesuffix("s")
        assert seconds == str(settings["duration"])
    if "audio" in settings:
        wanted = json.dumps(settings["audio"])
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


@given(data=st.data())
def test_two_orders_with_other_prices_are_never_one_request(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(NEW))
    kind = data.draw(st.sampled_from(model.kinds()))
    one, other = (model.resolve(None, data.draw(settings_of(model))) for _ in range(2))
    if model.credits(one) != model.credits(other):
        for route in model.routes:
            requests = [model_check.request(route, kind, settings) for settings in (one, other)]
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
