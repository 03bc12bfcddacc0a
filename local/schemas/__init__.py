"""The inputs of the providers' models, as the official packages type them.

The simulators are started without these packages, so `python -m local.schemas` writes their types
into the files of this folder; tests check that the files are current. They are JSON Schema with
``properties``, ``required``, ``enum``, ``type``, ``items``, ``anyOf`` and ``default``. Ranges and
lengths are not in the packages.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

FOLDER = Path(__file__).parent
Schema = Mapping[str, Any]

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "object": dict[str, Any],
}


@functools.cache
def load(provider: str) -> Mapping[str, Schema]:
    """The schema of each model, by the names that our routes use."""
    return dict(json.loads((FOLDER / f"{provider}.json").read_text()))


def model_of(
    name: str,
    schema: Schema,
    base: type[BaseModel],
    known: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A subclass of ``base`` that validates the members that ``schema`` declares.

    Enumerations, items of lists and members of members are validated, too. ``known`` are the types
    of members of which more is known than the package states.
    """
    required = schema.get("required", ())
    fields: dict[str, Any] = {}
    for member, inner in schema["properties"].items():
        kind = known.get(member) or _type_of(member, inner, base.model_config)
        default = ... if member in required else inner.get("default")
        fields[_safe(member)] = (
            kind if member in required else kind | None,
            Field(default, alias=member),
        )
    return create_model(name, __base__=base, **fields)


def _safe(member: str) -> str:
    # Pydantic reserves some names; errors and bodies have the alias.
    return f"{member}_" if hasattr(BaseModel, member) else member


def _type_of(name: str, schema: Schema, config: ConfigDict) -> Any:
    if "enum" in schema:
        choices: Any = Literal[tuple(schema["enum"])]
        # assumption: fal's generator of types prints every choice as a text, so numbers fit, too
        digits = all(isinstance(one, str) and one.isdigit() for one in schema["enum"])
        return Annotated[choices, BeforeValidator(_digits)] if digits else choices
    if "anyOf" in schema:
        kinds = [_type_of(name, one, config) for one in schema["anyOf"]]
        return functools.reduce(operator.or_, kinds)
    if "properties" in schema:
        return model_of(name, schema, create_model("Members", __config__=config))
    if schema.get("type") == "array":
        kind: Any = list
        return kind[_type_of(name, schema.get("items", {}), config)]
    return _TYPES.get(schema.get("type", ""), Any)


def _digits(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
