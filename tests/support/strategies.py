"""Hypothesis strategies for the values of the core."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model
from clipmint.catalog.parameters import IntegerRange
from clipmint.catalog.pricing import FixedPrice, PerSecondPrice
from clipmint.catalog.templates import Value
from clipmint.catalog.visible import is_visible

# Images are made on the way to a video, not by themselves.
AVAILABLE_MODELS = [
    model for model in DEFAULT_CATALOG if model.available and model.produces == "video"
]

prompts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80
).filter(is_visible)

prices = st.one_of(
    st.builds(FixedPrice, credits=st.integers(1, 10_000)),
    st.builds(
        PerSecondPrice,
        credits_per_second=st.integers(1, 100),
        resolution_percent=st.dictionaries(
            st.sampled_from(["720p", "1080p"]), st.integers(1, 1_000), max_size=2
        ),
    ),
)


def values_of(model: Model, name: str) -> st.SearchStrategy[Value]:
    """The values of a parameter that is no text."""
    parameter = model.declared()[name]
    if isinstance(parameter, IntegerRange):
        return st.integers(parameter.minimum, parameter.maximum)
    return st.sampled_from(model.values_of(name))


@st.composite
def generations(draw: st.DrawFn, models: list[Model] = AVAILABLE_MODELS) -> dict[str, Any]:
    """Bodies of ``POST /v1/videos`` that are in order, for any of these models."""
    model = draw(st.sampled_from(models))
    body: dict[str, Any] = {"model_id": model.model_id, "prompt": draw(prompts)}
    settings = {}
    for name in model.declared():
        stated = draw(st.booleans())
        if stated:
            settings[name] = draw(values_of(model, name))
    if settings:
        body["settings"] = settings
    names: list[str] = list(model.presets)
    with_preset = draw(st.booleans())
    if names and with_preset:
        body["preset"] = draw(st.sampled_from(names))
    if model.image == "required" or (model.image == "optional" and draw(st.booleans())):
        body["image_url"] = "https://example.com/first.png"
    may_have_a_last = model.last_image == "optional" and "image_url" in body
    if model.last_image == "required" or (may_have_a_last and draw(st.booleans())):
        body["last_image_url"] = "https://example.com/last.png"
    return body
