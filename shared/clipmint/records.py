"""Dataclasses as the values of a DynamoDB item, and back; derived from their fields.

So the shape of a stored value is written once, in its dataclass. pydantic's TypeAdapter could do
the same, but it takes 16 ms of every cold start to build one for a job; this takes 1 ms.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Hashable, Mapping
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from clipmint import clock
from clipmint.schemas import Schema

T = TypeVar("T")

_STORED_AS: Mapping[type, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int, float),
    float: (int, float),
}
"""The types that PynamoDB reads for each simple type."""


def stored(*, name: str | None = None, as_json: bool = False) -> dict[str, Any]:
    """Metadata of a dataclass field that is stored in another way than the rest.

    Parameters
    ----------
    name
        The attribute's name, if it is not the field's.
    as_json
        Store JSON text instead of a map or list. Updates cannot address a part of it.
    """
    return {"name": name, "as_json": as_json}


def to_attributes(value: Any) -> dict[str, Any]:
    """The attributes that a dataclass is stored as: texts, numbers, lists, and dicts of them.

    Fields that are None, False or an empty mapping have no attribute, as if they did not exist
    yet. An empty tuple has one, because an update can only append to a list that exists.
    """
    attributes = {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if content is None or content is False or content == {}:
            continue
        name, as_json = _place(field)
        attributes[name] = _json(content) if as_json else _attribute(content)
    return attributes


def _place(field: dataclasses.Field[Any]) -> tuple[str, bool]:
    return field.metadata.get("name") or field.name, field.metadata.get("as_json", False)


def _attribute(content: Any) -> Any:
    if dataclasses.is_dataclass(content):
        return to_attributes(content)
    if isinstance(content, tuple):
        return [_attribute(one) for one in content]
    if isinstance(content, Enum):
        return content.value
    if isinstance(content, datetime):
        return clock.iso(content)
    return content


def _json(content: Any) -> str:
    # Unlike attributes, JSON keeps the None of a dataclass: earlier versions expect all its keys.
    return json.dumps(content, default=_object, separators=(",", ":"))


def _object(content: Any) -> Any:
    if isinstance(content, Schema):
        return content.model_dump(exclude_none=True)
    return dataclasses.asdict(content)


def from_attributes(kind: type[T], attributes: Mapping[str, Any]) -> T:
    """The dataclass that was stored as these attributes. Other attributes are ignored, also those
    of models inside it: a newer version may have written them.

    Raises
    ------
    TypeError, ValueError
        An attribute is missing, or has another type or value than its field can have.
    """
    values: dict[str, Any] = {}
    for field, hint in _fields(kind):  # type: ignore[arg-type]  # a type is hashable
        name, as_json = _place(field)
        if (content := attributes.get(name)) is not None:
            values[field.name] = _value(hint, json.loads(content) if as_json else content)
        elif NoneType in get_args(hint):
            values[field.name] = None
    return kind(**values)


@functools.cache
def _fields(kind: Hashable) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(cast("Any", kind)))


def _value(hint: Any, content: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        kinds = [kind for kind in arguments if kind is not NoneType]
        return _value(kinds[0] if len(kinds) == 1 else _fitting(kinds, content), content)
    if origin is tuple:
        return tuple(_value(arguments[0], one) for one in content)
    if origin is Mapping:
        return dict(content)
    return _simple(hint, content)


def _fitting(kinds: list[type], attributes: Mapping[str, Any]) -> type:
    """The first of these dataclasses whose required fields all have an attribute."""
    for kind in kinds:
        required = (field for field, _ in _fields(kind) if _is_required(field))
        if all(_place(field)[0] in attributes for field in required):
            return kind
    raise TypeError(f"none of {[kind.__name__ for kind in kinds]} has these attributes")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _simple(kind: type, content: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_attributes(kind, content)
    if issubclass(kind, Schema):
        return kind.model_validate(content, extra="ignore")  # unlike a request
    if kind is datetime:
        return clock.from_iso(content)
    if kind in _STORED_AS and type(content) not in _STORED_AS[kind]:
        raise TypeError(f"{kind.__name__} expected, {type(content).__name__} found")
    return cast("Any", kind)(content)
