"""The parameter types of an official Python package, as JSON Schema: prints ``{name: schema}``.

Run it in the environment that has the package: ``python typed_dicts.py runwayml`` or ``runware``.
It imports only the package and the standard library.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin
from typing import get_type_hints as hints_of

Schema = dict[str, Any]

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def runwayml() -> Iterator[tuple[str, Schema]]:
    """Each model at each endpoint that takes a ``model``: ``text_to_video/kling3.0_pro``."""
    for endpoint in ("text_to_video", "image_to_video", "text_to_image"):
        module = importlib.import_module(f"runwayml.types.{endpoint}_create_params")
        for params in vars(module).values():
            if _is_typed_dict(params) and "model" in params.__annotations__:
                schema = _members(params)
                for model in schema["properties"]["model"]["enum"]:
                    yield f"{endpoint}/{model}", schema


def runware() -> Iterator[tuple[str, Schema]]:
    """Each curated model of a video or an image, by its AIR id."""
    module = importlib.import_module("runware.types.task_map")
    for params in vars(module).values():
        if _is_typed_dict(params) and {"model", "taskType"} <= params.__annotations__.keys():
            schema = _members(params)
            [task] = schema["properties"]["taskType"].get("enum", [""])
            if task in {"videoInference", "imageInference"}:
                for model in schema["properties"]["model"].get("enum", []):
                    yield model, schema


def _is_typed_dict(value: object) -> bool:
    # A runwayml class is one of typing_extensions, which `typing.is_typeddict` does not know.
    return isinstance(value, type) and hasattr(value, "__required_keys__")


def _members(params: Any) -> Schema:
    properties, required = {}, []
    for name, hint in hints_of(params, include_extras=True).items():
        wire = _alias(hint) or name
        properties[wire] = _schema(hint)
        if _is_required(params, hint):
            required.append(wire)
    schema: Schema = {"properties": properties}
    return {**schema, "required": sorted(required)} if required else schema


def _is_required(params: Any, hint: Any) -> bool:
    # Their annotations are texts, so `__required_keys__` is not reliable. The generator of runware
    # marks with NotRequired what may be missing, although no class of it is total.
    if get_origin(hint) in {Required, NotRequired}:
        return get_origin(hint) is Required
    return bool(params.__total__) or params.__module__.startswith("runware.")


def _alias(hint: Any) -> str | None:
    """The member of the body, if the package gives the argument another name."""
    if get_origin(hint) in {Required, NotRequired}:
        return _alias(get_args(hint)[0])
    aliases = (getattr(one, "alias", None) for one in getattr(hint, "__metadata__", ()))
    return next((alias for alias in aliases if alias), None)


def _schema(hint: Any) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Required, NotRequired, Annotated}:
        return _schema(arguments[0])
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema(one) for one in arguments]}
    if _is_typed_dict(hint):
        return _members(hint)
    return _simple(hint, origin, arguments)


def _simple(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
    if origin is Literal:
        return {"enum": [*arguments]}
    if hint in _NAMES:
        return {"type": _NAMES[hint]}
    if dict in {hint, origin}:
        return {"type": "object"}
    return {"type": "array", "items": _schema(arguments[0])} if origin else {}


if __name__ == "__main__":
    sources = {"runwayml": runwayml, "runware": runware}
    print(json.dumps(dict(sources[sys.argv[1]]())))
