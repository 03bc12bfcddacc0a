"""One entry of the catalog: its fields, and whether they fit together. Pure.

`clipmint.catalog.model` defines what can be done with an entry.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    model_validator,
)

from clipmint.catalog.list_prices import ListPrice, ListRate
from clipmint.catalog.parameters import (
    STANDARD,
    AnyParameter,
    Choice,
    IntegerRange,
    Parameter,
    ParameterName,
    Switch,
)
from clipmint.catalog.pricing import PerSecondPrice, Price, Rate, RatePrice
from clipmint.catalog.route import Route
from clipmint.catalog.templates import INPUTS, ITEM, Value
from clipmint.catalog.tolerance import DEFAULT, Tolerance
from clipmint.schemas import StrictSchema
from clipmint.stages import STAGES

MAX_MODEL_ID_CHARACTERS = 64
ModelId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=MAX_MODEL_ID_CHARACTERS),
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Need = Literal["none", "optional", "required"]
PresetName = Literal["draft", "standard", "high"]

MAX_COMBINATIONS = 2_000
"""Combinations of choices of one model that have prices of their own."""

_MAX_SECONDS = 600


SETTING_NAMES = ("resolution", "aspect_ratio", "duration")


MAX_SETTINGS = 40
"""Settings that one request may state."""


class Settings(StrictSchema):
    """The settings of a generation by the names of the model's parameters; None where the model has
    no such setting or none was requested."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Value | None]

    resolution: ShortText | None = None
    aspect_ratio: ShortText | None = None
    duration: Annotated[int, Field(ge=1, le=600)] | None = Field(None, description="Seconds")

    @model_validator(mode="wrap")
    @classmethod
    def _keep_all(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        settings = validate(values)
        extra: Mapping[str, Value | None] | None = settings.__pydantic_extra__
        if extra is None and isinstance(values, Mapping):
            # Stored records are read with ``extra="ignore"``, which also holds for models inside
            # them. A setting is no unknown field.
            others = {name: values[name] for name in values.keys() - cls.model_fields.keys()}
            settings = cls.model_validate({**settings.model_dump(), **others}, extra="allow")
        if extra is not None and len(extra) > MAX_SETTINGS:
            raise ValueError(f"at most {MAX_SETTINGS} settings")
        return settings

    def stated(self) -> dict[str, Value]:
        """The settings that have a value, by name."""
        values: dict[str, Value] = self.model_dump(exclude_none=True)
        return values


class AllowedSettings(StrictSchema):
    """The values that a model accepts for each setting; empty where it has no such setting."""

    resolution: list[ShortText] = Field([])
    aspect_ratio: list[ShortText] = Field([])
    duration: list[int] = Field([])


class Identical(StrictSchema):
    """Whether a video answers a later order of the same user that is identical, and at which price
    in credits. ``days``: only if the video was ordered so many days ago at most."""

    credits: Annotated[int, Field(ge=0, le=1_000_000)]
    days: Annotated[int, Field(ge=1, le=365)] = 7


class Entry(StrictSchema):
    """One entry of the catalog.

    ``parameters`` are what a user can choose, by name. Resolution, aspect ratio and duration may be
    declared by ``allowed`` and ``defaults`` instead.

    ``aliases`` are other names of the model in requests of the compatible endpoints, such as the
    UUID that it has in an app. ``max_reference_images`` limits the reference images of a generated
    image. ``routes`` are tried in order; we try the next one only when the previous one certainly
    did not accept the task. ``deadline_seconds`` is the time from the request, or from the end of
    the previous stage, until the provider must have finished. ``poll_seconds`` are the waits
    between polls while no webhook arrives; the last one repeats. A first wait of three minutes or
    more costs one state transition less: Submit waits itself, for three minutes, and polling begins
    then. ``expected_seconds`` is how long a generation takes until recent ones show it.
    ``tolerance`` is what a video may differ by from its order. ``identical`` lets a finished video
    answer an identical order; None: never.
    """

    model_id: ModelId
    name: ShortText
    aliases: Annotated[list[ShortText], Field(max_length=20)] = Field([])
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    available: bool = True
    produces: Literal["video", "image"] = "video"
    max_prompt_units: Annotated[int, Field(ge=1, le=5_000)] = 5_000
    image: Need = "none"
    last_image: Need = "none"
    max_reference_images: Annotated[int, Field(ge=0, le=8)] = 0
    allowed: AllowedSettings = AllowedSettings.model_construct()
    defaults: Settings = Settings.model_construct()
    parameters: Annotated[dict[ParameterName, Parameter], Field(max_length=30)] = Field(
        default_factory=dict, exclude_if=lambda parameters: not parameters
    )
    presets: dict[PresetName, Settings] = Field({})
    price: Price
    routes: Annotated[list[Route], Field(min_length=1, max_length=4)]
    deadline_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800
    poll_seconds: Annotated[
        list[Annotated[int, Field(ge=1, le=3_600)]], Field(min_length=1, max_length=20)
    ] = Field([180, 30, 30, 60])
    expected_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        None, exclude_if=lambda seconds: seconds is None
    )
    identical: Identical | None = Field(None, exclude_if=lambda identical: identical is None)
    tolerance: Tolerance = Field(DEFAULT, exclude_if=lambda tolerance: tolerance == DEFAULT)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check(self)
        return self

    def declared(self) -> Mapping[str, AnyParameter]:
        """All parameters by name, also those that ``allowed`` declares."""
        listed: dict[str, AnyParameter] = {}
        for name in SETTING_NAMES:
            if choices := getattr(self.allowed, name):
                default = getattr(self.defaults, name)
                listed[name] = Choice.model_construct(
                    type="choice", choices=choices, default=default
                )
        return {**listed, **self.parameters}

    def values_of(self, name: str) -> Sequence[Value]:
        """Every value that this choice or range of numbers accepts; empty without this parameter,
        and for a text. A range may be long, such as that of a seed: it is not a list."""
        parameter = self.declared().get(name)
        if isinstance(parameter, IntegerRange):
            return range(parameter.minimum, parameter.maximum + 1)
        return parameter.extremes() if isinstance(parameter, Choice | Switch) else ()


def _check(model: Entry) -> None:
    """Raise `ValueError` for the first thing that does not fit, naming its place."""
    for name, parameter in model.parameters.items():
        _check_parameter(model, name, parameter)
    _check_defaults(model)
    _check_presets(model)
    _check_price(model)
    most = STAGES[model.produces].max_polls or 0
    if model.deadline_seconds > most * model.poll_seconds[-1]:
        raise ValueError(f"poll_seconds: at most {most} polls fit into deadline_seconds")
    if len({route.provider for route in model.routes}) < len(model.routes):
        raise ValueError("routes: a provider twice")
    if model.last_image != "none" and model.image == "none":
        raise ValueError("a last image needs a first image")
    for position, route in enumerate(model.routes):
        if route.list_price is not None:
            _check_rates(model, route.list_price, f"routes.{position}.list_price")


def _check_parameter(model: Entry, name: str, parameter: AnyParameter) -> None:
    if name in {*INPUTS, ITEM}:
        raise ValueError(f"parameters: {name}: this name has another meaning")
    if name in STANDARD and parameter.type not in STANDARD[name]:
        raise ValueError(f"parameters: {name}: type: {' or '.join(STANDARD[name])}")
    if getattr(model.allowed, name, []):
        raise ValueError(f"parameters: {name}: declared by allowed, too")
    texts = name in {"resolution", "aspect_ratio"}
    if texts and not all(isinstance(value, str) for value in parameter.extremes()):
        raise ValueError(f"parameters: {name}: must be texts")
    if name == "duration":
        if parameter.default is None:
            raise ValueError("parameters: duration: needs a default")
        if not all(_is_seconds(value) for value in parameter.extremes()):
            raise ValueError(f"parameters: duration: must be 1 to {_MAX_SECONDS} seconds")


def _is_seconds(value: Value) -> bool:
    return isinstance(value, int) and 1 <= value <= _MAX_SECONDS


def _check_defaults(model: Entry) -> None:
    for name in SETTING_NAMES:
        allowed, default = getattr(model.allowed, name), getattr(model.defaults, name)
        if allowed and default is None:
            raise ValueError(f"defaults: {name} is missing")
        if default is not None and default not in allowed:
            raise ValueError(f"defaults: {name} {default!r} is not among {allowed}")
    if others := sorted(model.defaults.stated().keys() - {*SETTING_NAMES}):
        raise ValueError(f"defaults: {', '.join(others)}: state it in parameters")


def _check_presets(model: Entry) -> None:
    declared = model.declared()
    for preset, settings in model.presets.items():
        for name, value in settings.stated().items():
            parameter = declared.get(name)
            if parameter is None or not parameter.accepts(value):
                allowed = parameter.allowed() if parameter else ""
                raise ValueError(f"{preset}: {name} {value!r} is not among [{allowed}]")


def _check_price(model: Entry) -> None:
    price = model.price
    if isinstance(price, PerSecondPrice):
        if "duration" not in model.declared():
            raise ValueError("a price per second needs allowed durations")
        unknown = set(price.resolution_percent) - set(model.values_of("resolution"))
        if unknown:
            raise ValueError(f"price: no such resolution: {sorted(unknown)}")
    if isinstance(price, RatePrice):
        _check_rates(model, price, "price")
        _check_symmetry(model, price)


def _check_rates(model: Entry, price: RatePrice | ListPrice, place: str) -> None:
    declared = model.declared()
    if price.per == "second" and "duration" not in declared:
        raise ValueError(f"{place}: a price per second needs a parameter duration")
    all_rates: Sequence[Rate | ListRate] = price.rates
    for position, rate in enumerate(all_rates):
        for name, value in rate.when.items():
            choice = declared.get(name)
            if not isinstance(choice, Choice | Switch) or not choice.accepts(value):
                raise ValueError(f"{place}: rates.{position}: {name}: no such choice: {value!r}")
    for choices in _combinations(model, price, place):
        rates = [rate for rate in all_rates if rate.applies_to(choices)]
        if len(rates) != 1:
            named = ", ".join(f"{name} {value}" for name, value in choices.items())
            raise ValueError(f"{place}: {len(rates) or 'no'} prices for {named or 'all orders'}")


def _check_symmetry(model: Entry, price: RatePrice) -> None:
    for choices in _combinations(model, price, "price"):
        rates = [rate for rate in price.rates if rate.applies_to(choices)]
        mirrored = {**choices, "aspect_ratio": _mirrored(choices.get("aspect_ratio"))}
        others = [rate for rate in price.rates if rate.applies_to(mirrored)]
        if any(rate.millicredits != rates[0].millicredits for rate in others):
            raise ValueError("price: portrait and landscape must cost the same")


def _combinations(
    model: Entry, price: RatePrice | ListPrice, place: str
) -> Iterator[dict[str, Value]]:
    names, declared = price.depends_on, model.declared()
    values = [declared[name].extremes() for name in names]
    for count, combination in enumerate(itertools.product(*values)):
        if count >= MAX_COMBINATIONS:
            raise ValueError(f"{place}: depends on more than {MAX_COMBINATIONS} combinations")
        yield dict(zip(names, combination, strict=True))


def _mirrored(ratio: Value | None) -> Value:
    """A ratio with its sides exchanged: ``9:16`` for ``16:9``."""
    width, colon, height = str(ratio or "").partition(":")
    return f"{height}{colon}{width}"
