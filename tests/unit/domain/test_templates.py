"""Request bodies as data: what a template makes of an order, and which templates are rejected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipmint.catalog.known_endpoints import KNOWN, complete
from clipmint.catalog.route import Case, Kind, Route, kind_of
from clipmint.catalog.templates import Input, Unfit, names_in, problems, render

FIRST, LAST = "https://example.com/a.png", "https://example.com/b.png"
ORDER: dict[str, Input] = {
    "prompt": "a fox",
    "resolution": "4k",
    "aspect_ratio": "9:16",
    "duration": 8,
    "audio": True,
}


def rendered(template: dict[str, Any], **inputs: Input) -> dict[str, Any]:
    return render(template, inputs)


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("720p", "720p"),
        (True, True),
        ({"nested": [1, "two"]}, {"nested": [1, "two"]}),
        ({"$": "duration"}, 8),
        ({"$": "duration", "format": "{}s"}, "8s"),
        ({"$": "duration", "format": "{}"}, "8"),
        ({"$": "audio"}, True),
        ({"$": "audio", "map": {"true": "on", "false": "off"}}, "on"),
        ({"$": "duration", "map": {"8": 192, "4": 96}}, 192),
        ({"google": {"generateAudio": {"$": "audio"}}}, {"google": {"generateAudio": True}}),
    ],
)
def test_a_member_is_a_literal_or_a_value_of_the_order(content: Any, sent: Any) -> None:
    assert render({"x": content}, ORDER, [*ORDER]) == {"x": sent}


def test_two_values_together_may_have_one_word() -> None:
    size = {"$": ["resolution", "aspect_ratio"], "map": {"4k 9:16": "2160:3840"}}
    assert rendered({"ratio": size}, resolution="4k", aspect_ratio="9:16") == {"ratio": "2160:3840"}


def test_an_optional_value_that_is_missing_leaves_its_member_out() -> None:
    template = {"seed": {"$": "seed", "optional": True}, "prompt": {"$": "prompt"}}
    assert rendered(template, prompt="a fox") == {"prompt": "a fox"}
    assert rendered(template, prompt="a fox", seed=0) == {"prompt": "a fox", "seed": 0}


def test_every_reference_image_has_the_same_form() -> None:
    each = {"$": "reference_image_urls", "each": {"uri": {"$": "item"}}, "most": 2}
    images = (FIRST, LAST)
    assert rendered({"r": each}, reference_image_urls=images) == {
        "r": [{"uri": FIRST}, {"uri": LAST}]
    }
    with pytest.raises(Unfit, match="at most 2"):
        rendered({"r": each}, reference_image_urls=(*images, FIRST))


@pytest.mark.parametrize(
    ("template", "inputs", "reason", "by_user"),
    [
        ({"d": {"$": "duration"}}, {}, "needs duration", False),
        ({"i": {"$": "image_url"}}, {}, "needs image_url", True),
        ({}, {"audio": True}, "cannot pass on: audio", False),
        ({}, {"audio": False}, "cannot pass on: audio", False),
        ({}, {"image_url": FIRST}, "cannot pass on: image_url", True),
        ({"r": {"$": "resolution", "map": {"4k": "4K"}}}, {"resolution": "8k"}, "8k", False),
    ],
)
def test_an_order_that_does_not_fit_makes_no_body(
    template: dict[str, Any], inputs: dict[str, Input], reason: str, by_user: bool
) -> None:
    with pytest.raises(Unfit, match=reason) as unfit:
        render(template, inputs)
    assert unfit.value.by_user is by_user


def test_only_a_value_that_the_route_ignores_may_be_left_unused() -> None:
    assert render({}, {"aspect_ratio": "auto"}, ["aspect_ratio"]) == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"$": ""}, "body.x: $ must be a name"),
        ({"$": 7}, "body.x: $ must be a name"),
        ({"$": "duration", "as": "text"}, "body.x: unknown: as"),
        ({"$": ["a", "b"]}, "body.x: more than one name needs a map"),
        ({"$": "a", "map": {}}, "body.x: map must be an object"),
        ({"$": "a", "map": {"b": {"$": "c"}}}, "body.x: map must have plain values"),
        ({"$": "a", "map": {"b": {"$": "item"}}}, "body.x: map must have plain values"),
        ({"$": "a", "map": {"b": 1}, "format": "{}s"}, "body.x: only one of format, map"),
        ({"$": "a", "format": "s"}, "body.x: format must contain {}"),
        ({"$": "a", "side": "depth"}, "body.x: side must be width or height"),
        ({"$": "a", "optional": "yes"}, "body.x: optional must be true or false"),
        ({"$": "reference_image_urls", "each": {"$": "item"}, "most": 0}, "body.x: most must be"),
        ({"$": "image_url", "each": {"$": "item"}}, "body.x: each is for"),
        ([{"deep": {"$": "a", "format": ""}}], "body.x.0.deep: format"),
        ([[[[[[[[[[1]]]]]]]]]], "nested more than"),
    ],
)
def test_a_template_that_makes_no_sense_is_rejected_by_its_place(
    content: Any, problem: str
) -> None:
    assert any(problem in found for found in problems({"x": content}))
    with pytest.raises(ValidationError):
        Route(provider="fal", endpoint="x", body={"x": content})


def test_a_route_has_a_body_of_a_limited_size_and_cases_only_with_a_body() -> None:
    with pytest.raises(ValidationError, match="more than 8000"):
        Route(provider="fal", endpoint="x", body={"x": "y" * 8_000})
    with pytest.raises(ValidationError, match="cases"):
        Route(provider="fal", endpoint="x", cases={"text": Case()})
    with pytest.raises(ValidationError):
        Route(provider="fal", endpoint="x", body={}, cases={"text": Case(endpoint="../x")})


@pytest.mark.parametrize(
    ("images", "kind"),
    [((None, None), "text"), ((FIRST, None), "image"), ((FIRST, LAST), "frames")],
)
def test_a_job_keeps_the_one_case_that_it_needs(
    images: tuple[str | None, str | None], kind: Kind
) -> None:
    whole = Route(
        provider="fal",
        endpoint="kling/text-to-video",
        body={"prompt": {"$": "prompt"}},
        cases={
            "text": Case(),
            "image": Case(endpoint="kling/image-to-video", body={"image": {"$": "image_url"}}),
        },
    )
    assert kind_of(*images) == kind
    if kind == "frames":
        with pytest.raises(Unfit, match="takes text, image, not frames"):
            whole.only(kind)
        return
    kept = whole.only(kind)
    assert not kept.cases
    assert kept.only(kind) == kept
    assert kept.endpoint.startswith("kling/image" if kind == "image" else "kling/text")
    assert Route.model_validate_json(kept.model_dump_json()) == kept


def test_a_job_keeps_what_its_own_settings_need_of_a_vocabulary() -> None:
    def of(vocabulary: dict[str, Any]) -> Route:
        width: Any = {"$": ["resolution", "aspect_ratio"], "map": vocabulary}
        return Route(provider="fal", endpoint="x", body={"in": [{"w": width}], "n": {"$": "n"}})

    route = of({"720p 16:9": 1280, "720p 1:1": 960})
    kept = route.for_settings({"resolution": "720p", "aspect_ratio": "1:1", "n": 1})
    assert kept == of({"720p 1:1": 960})
    assert Route.model_validate_json(kept.model_dump_json()) == kept
    # Without a counterpart, or without a value, the order fails as before, when it is sent.
    assert route.for_settings({"resolution": "4k", "aspect_ratio": "1:1"}) == route
    assert route.for_settings({"resolution": "720p"}) == route


def test_an_endpoint_that_is_not_known_needs_a_body() -> None:
    with pytest.raises(Unfit, match="state its body"):
        complete(Route(provider="fal", endpoint="fal-ai/new"))
    for endpoint in ("../organization", "a/../b", "a//b", "a b", "http://evil", "/a", "a?b"):
        with pytest.raises(Unfit, match="not an endpoint"):
            complete(Route(provider="fal", endpoint=endpoint, body={}))


def test_a_route_of_an_earlier_version_is_stored_as_before() -> None:
    assert Route(provider="fal", endpoint="x").model_dump() == {"provider": "fal", "endpoint": "x"}


AFFECTING = {"duration", "resolution"}


@pytest.mark.parametrize("route", KNOWN.values(), ids=lambda one: f"{one.provider}-{one.endpoint}")
def test_a_known_endpoint_states_the_seconds_and_ignores_nothing_that_is_priced(
    route: Route,
) -> None:
    cases: Mapping[Kind, Case] = route.cases or {"text": Case()}
    for case in cases.values():
        body = {**(route.body or {}), **case.body}
        assert not AFFECTING & {*route.ignores, *case.ignores}
        assert "prompt" in names_in(body)
        if "image" not in route.endpoint.partition("/")[0] and "101@1" not in route.endpoint:
            assert "duration" in names_in(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abc$", min_size=1, max_size=2), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_a_template_a_rejected_one_or_an_order_that_does_not_fit(content: Any) -> None:
    if [*problems({"x": content})]:
        return
    try:
        body = render({"x": content}, ORDER, [*ORDER])
    except Unfit:
        return
    assert body == {"x": content} or names_in({"x": content})
