"""Request bodies as data: a template, and the values of one order, make the JSON that we send.

A template is JSON. An object with the member ``$`` is replaced by a value of the order; everything
else is sent as it stands:

====================================================  ===========================================
``{"$": "prompt"}``                                   the value
``{"$": "duration", "format": "{}s"}``                as text: ``"8s"``
``{"$": "resolution", "map": {"4k": "4K"}}``          another value for it: a vocabulary
``{"$": ["resolution", "aspect_ratio"], "map": …}``   one value for both; the key is ``4k 16:9``
``{"$": "seed", "optional": true}``                   left out if there is no value
``{"$": "reference_image_urls", "each": …}``          a list; ``{"$": "item"}`` is one item
``{"$": "aspect_ratio", "side": "width"}``            an image's pixels, see `side`
====================================================  ===========================================

The names are `INPUTS` and the parameters of the model. A value that the order states and that the
template does not use is an error, unless the route lists it as ignored: nothing that a user has
chosen, and maybe pays for, is dropped silently. A value that is missing is an error, too, unless
the template makes it optional. So a provider's default never decides what an order costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from pydantic import JsonValue

Value: TypeAlias = str | int | bool
Input: TypeAlias = Value | Sequence[str] | None
Template: TypeAlias = Mapping[str, JsonValue]
Body: TypeAlias = dict[str, JsonValue]

IMAGES = ("image_url", "last_image_url", "reference_image_urls")
INPUTS = ("prompt", *IMAGES)
"""What every order may have; the other names in a template are parameters of the model."""

ITEM = "item"
MAX_DEPTH = 8
_OPTIONS = frozenset({"$", "format", "map", "optional", "each", "most", "side", "multiple_of"})
_RATIO = re.compile(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})")
_SIDES = range(128, 2048 + 1)
"""Lengths of an image's side in pixels (Runware's documentation)."""
_MEGAPIXEL = 1024 * 1024


class Unfit(ValueError):
    """The order and the template do not fit.

    ``by_user``: the user's images are the reason. Otherwise it is a fault of the catalog.
    """

    def __init__(self, message: str, *, by_user: bool = False) -> None:
        super().__init__(message)
        self.by_user = by_user


class _Omitted(Exception):
    """An optional value is missing: leave its member out."""


def render(template: Template, inputs: Mapping[str, Input], ignored: Sequence[str] = ()) -> Body:
    """The body for one order.

    Parameters
    ----------
    inputs
        The values of the order by name. None, or an empty list, is no value.
    ignored
        Names of values that this template may leave unused.

    Raises
    ------
    Unfit
        A value is missing, has no counterpart in a vocabulary, or is not used.
    """
    stated = {name: value for name, value in inputs.items() if value is not None and value != ()}
    unused = sorted(stated.keys() - names_in(template) - set(ignored))
    if unused:
        raise Unfit(f"cannot pass on: {', '.join(unused)}", by_user=bool({*unused} & {*IMAGES}))
    return _members(template, stated)


def for_settings(template: Template, settings: Mapping[str, Value]) -> Body:
    """The template of orders with these settings: of a vocabulary only what they need. It renders
    the same body for such an order."""
    return {name: _narrowed(content, settings) for name, content in template.items()}


def _narrowed(content: JsonValue, settings: Mapping[str, Value]) -> JsonValue:
    if isinstance(content, list):
        return [_narrowed(one, settings) for one in content]
    if not isinstance(content, dict):
        return content
    if "$" not in content:
        return for_settings(content, settings)
    vocabulary, names = content.get("map"), _names(content)
    if not isinstance(vocabulary, dict) or not settings.keys() >= {*names}:
        return content
    key = " ".join(_as_text(settings[name]) for name in names)
    return {**content, "map": {key: vocabulary[key]}} if key in vocabulary else content


def names_in(template: JsonValue | Template) -> set[str]:
    """The names of all values that a template uses."""
    names = {name for _, reference in _references(template) for name in _names(reference)}
    return names - {ITEM}


def problems(template: Template) -> Iterator[str]:
    """What is wrong with the form of a template, each with its place, such as ``body.duration``."""
    if _is_deeper(template, MAX_DEPTH):
        yield f"body: nested more than {MAX_DEPTH} deep"
        return
    for place, reference in _references(template):
        yield from (f"{place}: {problem}" for problem in _problems_of(reference))


def side(ratio: str, which: str, multiple_of: int = 64) -> int:
    """The width or height in pixels for ``"width:height"``, a multiple of ``multiple_of``.

    A ratio in pixels (both sides 128 or more, as in ``1920:1080``) gives that size, rounded to the
    nearest multiple. Any other ratio (``16:9``) gives an image of about one megapixel.

    Raises
    ------
    Unfit
        ``ratio`` is malformed, or no image of this size can be made.
    """
    found = _RATIO.fullmatch(ratio)
    if found is None:
        raise Unfit(f"not a ratio: {ratio[:20]!r}")
    width, height = float(found[1]), float(found[2])
    if min(width, height) < _SIDES.start:
        shape = width / height
        width, height = (_MEGAPIXEL * shape) ** 0.5, (_MEGAPIXEL / shape) ** 0.5
    size = {
        name: int(length / multiple_of + 0.5) * multiple_of
        for name, length in (("width", width), ("height", height))
    }
    if not all(length in _SIDES for length in size.values()):
        raise Unfit(f"no image of {size['width']}×{size['height']} can be made")
    return size[which]


def _members(template: Template, stated: Mapping[str, Input]) -> Body:
    body: Body = {}
    for name, content in template.items():
        try:
            body[name] = _value(content, stated)
        except _Omitted:
            continue
    return body


def _value(content: JsonValue, stated: Mapping[str, Input]) -> JsonValue:
    if isinstance(content, list):
        return [_value(one, stated) for one in content]
    if not isinstance(content, dict):
        return content
    return _refer(content, stated) if "$" in content else _members(content, stated)


def _refer(reference: Mapping[str, JsonValue], stated: Mapping[str, Input]) -> JsonValue:
    names = _names(reference)
    missing = [name for name in names if name not in stated]
    if missing:
        if reference.get("optional"):
            raise _Omitted
        by_user = bool({*missing} & {*IMAGES})
        raise Unfit(f"needs {' and '.join(missing)}", by_user=by_user)
    if "each" in reference:
        return _each(reference, names[0], stated)
    values = [stated[name] for name in names]
    if "map" in reference:
        return _translated(reference["map"], names, " ".join(map(_as_text, values)))
    value = values[0]
    if "format" in reference:
        return str(reference["format"]).replace("{}", _as_text(value))
    if "side" in reference:
        step = reference.get("multiple_of", 64)
        return side(_as_text(value), str(reference["side"]), step if isinstance(step, int) else 64)
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]


def _each(
    reference: Mapping[str, JsonValue], name: str, stated: Mapping[str, Input]
) -> list[JsonValue]:
    value, most = stated[name], reference.get("most")
    items = [] if isinstance(value, str | int | None) else list(value)
    if isinstance(most, int) and len(items) > most:
        raise Unfit(f"takes at most {most} of {name}", by_user=name in IMAGES)
    return [_value(reference["each"], {**stated, ITEM: item}) for item in items]


def _translated(vocabulary: JsonValue, names: Sequence[str], key: str) -> JsonValue:
    if not isinstance(vocabulary, dict) or key not in vocabulary:
        raise Unfit(f"has no value for {' '.join(names)} {key!r}")
    return vocabulary[key]


def _as_text(value: Input) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names(reference: Mapping[str, JsonValue]) -> list[str]:
    named = reference["$"]
    return [str(name) for name in named] if isinstance(named, list) else [str(named)]


def _references(
    template: JsonValue | Template, place: str = "body"
) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """All objects with ``$``, with their places."""
    if isinstance(template, list):
        for position, one in enumerate(template):
            yield from _references(one, f"{place}.{position}")
    elif isinstance(template, Mapping):
        if "$" in template:
            yield place, template
            yield from _references(template.get("each"), f"{place}.each")
        else:
            for name, one in template.items():
                yield from _references(one, f"{place}.{name}")


def _problems_of(reference: Mapping[str, JsonValue]) -> Iterator[str]:
    named, names = reference["$"], _names(reference)
    if not isinstance(named, str | list) or not names or not all(names):
        yield "$ must be a name, or a list of names"
    unknown = sorted(reference.keys() - _OPTIONS)
    if unknown:
        yield f"unknown: {', '.join(unknown)}"
    ways = sorted(reference.keys() & {"map", "format", "each", "side"})
    if len(ways) > 1:
        yield f"only one of {', '.join(ways)}"
    if len(names) > 1 and "map" not in reference:
        yield "more than one name needs a map"
    yield from _problems_of_options(reference)


def _problems_of_options(reference: Mapping[str, JsonValue]) -> Iterator[str]:
    vocabulary = reference.get("map", {"": ""})
    if not isinstance(vocabulary, dict) or not vocabulary:
        yield "map must be an object that is not empty"
    elif any(_references(vocabulary)):
        yield "map must have plain values"
    text = reference.get("format", "{}")
    if not isinstance(text, str) or "{}" not in text:
        yield "format must contain {}"
    if reference.get("side", "width") not in {"width", "height"}:
        yield "side must be width or height"
    if not isinstance(reference.get("optional", False), bool):
        yield "optional must be true or false"
    for option in ("most", "multiple_of"):
        number = reference.get(option, 1)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            yield f"{option} must be a positive integer"
        elif option == "multiple_of" and number > _SIDES[-1]:
            yield f"multiple_of must be at most {_SIDES[-1]}"
    if "each" in reference and reference["$"] != "reference_image_urls":
        yield "each is for reference_image_urls only"


def _is_deeper(content: JsonValue | Template, levels: int) -> bool:
    """Whether objects and lists are nested in more levels than these."""
    if not isinstance(content, Mapping | list):
        return False
    inner = content.values() if isinstance(content, Mapping) else content
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
