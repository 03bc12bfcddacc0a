"""Every entry × route × order of the default catalog makes a body that the provider's types allow.

Bodies for Runway are checked with the SDK's own parameter types. Bodies for fal are checked with
the inputs of our simulator, and no member may be one that the model does not have: fal would ignore
it. `test_fal_wire.py`, `test_runway_wire.py` and `test_runware_wire.py` compare the requests of the
endpoints that routes may name without a body with those of the official SDKs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from pydantic import TypeAdapter
from runwayml.types import image_to_video_create_params, text_to_video_create_params

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.route import Kind
from clipmint.orders import model_check
from local.fal.validation import ENDPOINTS

PARAMS = {
    "image_to_video": image_to_video_create_params,
    "text_to_video": text_to_video_create_params,
}
NEW = [model for model in DEFAULT_CATALOG if any(route.body is not None for route in model.routes)]
each_new = pytest.mark.parametrize("model", NEW, ids=lambda model: model.model_id)


def sent_to(model: Model, provider: str) -> Iterator[model_check.Sent]:
    checked = model_check.check(model)
    assert checked.problems == ()
    for sample in checked.samples:
        yield from (sent for sent in sample.requests if sent.provider == provider)


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


@each_new
def test_a_body_for_runway_is_one_that_its_sdk_would_send(model: Model) -> None:
    bodies = [*sent_to(model, "runway")]
    assert bodies
    for sent in bodies:
        assert sent.body
        path = sent.endpoint.removeprefix("/v1/")
        params = runway_types(path, str(sent.body["model"]))
        arguments = as_arguments(sent.body, wire_names(params))
        TypeAdapter(params).validate_python(arguments, strict=False)
        assert {"duration", "audio"} <= arguments.keys(), "what affects the price is stated"


@each_new
def test_a_body_for_fal_is_one_that_its_model_takes(model: Model) -> None:
    bodies = [*sent_to(model, "fal")]
    assert bodies
    for sent in bodies:
        assert sent.body
        inputs = ENDPOINTS[sent.endpoint]
        assert sent.body.keys() <= inputs.model_fields.keys(), "fal ignores what it does not know"
        inputs.model_validate(dict(sent.body), strict=True)
        assert {"duration", "generate_audio"} <= sent.body.keys()


@each_new
@pytest.mark.parametrize("kind", ["text", "image", "frames"])
def test_orders_at_different_prices_are_different_requests(model: Model, kind: Kind) -> None:
    orders: dict[tuple[str, str], set[int]] = {}
    names = [name for name in model.declared() if name in model.priced_by]
    for sample in combinations(model, names):
        for route in model.routes:
            request = model_check.request(route, kind, sample)
            key = route.provider, repr(request)
            orders.setdefault(key, set()).add(model.credits(sample))
    assert all(len(prices) == 1 for prices in orders.values())
    assert len({price for prices in orders.values() for price in prices}) > 1


def combinations(model: Model, names: list[str]) -> Iterator[Settings]:
    if not names:
        yield model.resolve(None, None)
        return
    name, *others = names
    for rest in combinations(model, others):
        for value in model.values_of(name):
            yield model.resolve(None, Settings.model_validate({**rest.stated(), name: value}))


def test_the_types_that_a_wrong_body_is_detected_with_are_strict() -> None:
    params = runway_types("text_to_video", "kling3.0_pro")
    names = wire_names(params)
    with pytest.raises(AssertionError, match="does not have"):
        as_arguments({"model": "kling3.0_pro", "resolution": "1080p"}, names)
    with pytest.raises(ValueError, match="ratio"):
        TypeAdapter(params).validate_python({"model": "kling3.0_pro", "ratio": "1:1"})
