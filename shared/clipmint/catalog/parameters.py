"""The parameters of a model: what a user may choose, and the default.

Names with a fixed meaning have a fixed type (`STANDARD`), so that an app can rely on them; a model
may declare any others. `as_schema` describes a parameter in the terms of JSON Schema, for a form.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, StringConstraints, model_validator

from clipmint.catalog.templates import Value
from clipmint.catalog.visible import is_visible
from clipmint.schemas import StrictSchema

ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
ChoiceText = Annotated[str, StringConstraints(min_length=1, max_length=64)]

MAX_CHOICES = 64
MAX_TEXT_CHARACTERS = 5_000


class _Parameter(StrictSchema):
    label: Annotated[str, StringConstraints(max_length=64)] = Field(
        "", description="The name of the field in a form"
    )
    help: Annotated[str, StringConstraints(max_length=500)] = ""

    def _form(self, default: Value | None) -> dict[str, JsonValue]:
        texts = {"title": self.label, "description": self.help, "default": default}
        return {name: text for name, text in texts.items() if text not in {"", None}}


class Choice(_Parameter):
    """One of a list of texts, or of numbers."""

    type: Literal["choice"]
    choices: Annotated[list[ChoiceText | int], Field(min_length=1, max_length=MAX_CHOICES)]
    default: ChoiceText | int

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("choices: one is there twice")
        if len({type(value) for value in self.choices}) > 1:
            raise ValueError("choices: either all texts or all numbers")
        _check_default(self)
        return self

    def accepts(self, value: Value) -> bool:
        return any(value == one and type(value) is type(one) for one in self.choices)

    def allowed(self) -> str:
        return ", ".join(map(str, self.choices))

    def extremes(self) -> Sequence[Value]:
        return self.choices

    def as_schema(self) -> dict[str, JsonValue]:
        kind = "string" if isinstance(self.choices[0], str) else "integer"
        return {"type": kind, "enum": [*self.choices], **self._form(self.default)}


class IntegerRange(_Parameter):
    """A whole number. Without a default it is left out unless it is requested."""

    type: Literal["integer"]
    minimum: int
    maximum: int
    default: int | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum: greater than maximum")
        _check_default(self)
        return self

    def accepts(self, value: Value) -> bool:
        return type(value) is int and self.minimum <= value <= self.maximum

    def allowed(self) -> str:
        return f"{self.minimum} to {self.maximum}"

    def extremes(self) -> Sequence[Value]:
        return sorted({self.minimum, self.maximum})

    def as_schema(self) -> dict[str, JsonValue]:
        limits: dict[str, JsonValue] = {"minimum": self.minimum, "maximum": self.maximum}
        return {"type": "integer", **limits, **self._form(self.default)}


class Switch(_Parameter):
    """On or off."""

    type: Literal["boolean"]
    default: bool

    def accepts(self, value: Value) -> bool:
        return isinstance(value, bool)

    def allowed(self) -> str:
        return "true, false"

    def extremes(self) -> Sequence[Value]:
        return (False, True)

    def as_schema(self) -> dict[str, JsonValue]:
        return {"type": "boolean", **self._form(self.default)}


class Text(_Parameter):
    """A text. Without a default it is left out unless it is requested."""

    type: Literal["text"]
    max_length: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARACTERS)]
    default: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_default(self)
        return self

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and len(value) <= self.max_length and is_visible(value)

    def allowed(self) -> str:
        return f"a text of 1 to {self.max_length} characters, of which one is visible"

    def extremes(self) -> Sequence[Value]:
        return ("x" * self.max_length,)

    def as_schema(self) -> dict[str, JsonValue]:
        limits: dict[str, JsonValue] = {"minLength": 1, "maxLength": self.max_length}
        return {"type": "string", **limits, **self._form(self.default)}


AnyParameter: TypeAlias = Choice | IntegerRange | Switch | Text
Parameter = Annotated[AnyParameter, Field(discriminator="type")]

STANDARD: Mapping[str, tuple[str, ...]] = {
    "resolution": ("choice",),
    "aspect_ratio": ("choice",),
    "duration": ("choice", "integer"),
    "audio": ("boolean",),
    "seed": ("integer",),
    "negative_prompt": ("text",),
}
"""The types that a parameter of this name may have. A duration is in seconds."""


def _check_default(parameter: Choice | IntegerRange | Text) -> None:
    default = parameter.default
    if default is not None and not parameter.accepts(default):
        raise ValueError(f"default: {default!r} is not allowed; allowed: {parameter.allowed()}")
