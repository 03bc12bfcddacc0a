"""Models that a user can choose, with their settings, presets and prices.

A model is one entry of the catalog: its abilities, its price, and the routes to the providers'
models. The Models table holds the catalog; a new deployment starts with
`clipmint.catalog.defaults`. Only `Model.resolve` resolves settings: the request's value, else the
preset's, else the model's default.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from clipmint.catalog.pricing import PerSecondPrice, Price, credits_for
from clipmint.errors import ImageRequired, InvalidRequest, SettingNotAllowed
from clipmint.stages import STAGES

MAX_MODEL_ID_CHARACTERS = 64
ModelId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=MAX_MODEL_ID_CHARACTERS),
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Need = Literal["none", "optional", "required"]
PresetName = Literal["draft", "standard", "high"]

MAX_PROMPT_CHARACTERS = 5_000
Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS),
]


def utf16_units(text: str) -> int:
    """Length as Runway (docs) and JavaScript count it: most characters count 1, emoji 2."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


SETTING_NAMES = ("resolution", "aspect_ratio", "duration")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Settings(_Frozen):
    """A video's settings; None where the model has no such setting or none was requested."""

    resolution: ShortText | None = None
    aspect_ratio: ShortText | None = None
    duration: Annotated[int, Field(ge=1, le=600)] | None = Field(None, description="Seconds")


class AllowedSettings(_Frozen):
    """The values that a model accepts for each setting; empty where it has no such setting."""

    resolution: list[ShortText] = []
    aspect_ratio: list[ShortText] = []
    duration: list[int] = []


class Route(_Frozen):
    """A provider's endpoint that runs a model's generations."""

    provider: ShortText
    endpoint: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Model(_Frozen):
    """One entry of the catalog.

    ``aliases`` are other names of the model in requests of the compatible endpoints, such as the
    UUID that it has in an app. ``max_reference_images`` limits the reference images of a generated
    image. ``routes`` are tried in order; we try the next one only when the previous one certainly
    did not accept the task. ``deadline_seconds`` is the time from the request, or from the end of
    the previous stage, until the provider must have finished. ``poll_seconds`` are the waits
    between polls while no webhook arrives; the last one repeats. A first wait of three minutes or
    more costs one state transition less: Submit waits itself, for three minutes, and polling begins
    then.
    """

    model_id: ModelId
    name: ShortText
    aliases: Annotated[list[ShortText], Field(max_length=20)] = []
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    available: bool = True
    produces: Literal["video", "image"] = "video"
    max_prompt_units: Annotated[int, Field(ge=1, le=5_000)] = 5_000
    image: Need = "none"
    last_image: Need = "none"
    max_reference_images: Annotated[int, Field(ge=0, le=8)] = 0
    allowed: AllowedSettings
    defaults: Settings
    presets: dict[PresetName, Settings] = {}
    price: Price
    routes: Annotated[list[Route], Field(min_length=1, max_length=4)]
    deadline_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800
    poll_seconds: Annotated[
        list[Annotated[int, Field(ge=1, le=3_600)]], Field(min_length=1, max_length=20)
    ] = [180, 30, 30, 60]

    @model_validator(mode="after")
    def _settings_are_allowed(self) -> Self:
        for where, settings in [("defaults", self.defaults), *self.presets.items()]:
            for setting in SETTING_NAMES:
                value, allowed = getattr(settings, setting), getattr(self.allowed, setting)
                if value is not None and value not in allowed:
                    raise ValueError(f"{where}: {setting} {value!r} is not among {allowed}")
                if where == "defaults" and value is None and allowed:
                    raise ValueError(f"defaults: {setting} is missing")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.price, PerSecondPrice):
            if not self.allowed.duration:
                raise ValueError("a price per second needs allowed durations")
            unknown = set(self.price.resolution_percent) - set(self.allowed.resolution)
            if unknown:
                raise ValueError(f"price: no such resolution: {sorted(unknown)}")
        most = STAGES[self.produces].max_polls or 0
        if self.deadline_seconds > most * self.poll_seconds[-1]:
            raise ValueError(f"poll_seconds: at most {most} polls fit into deadline_seconds")
        if len({route.provider for route in self.routes}) < len(self.routes):
            raise ValueError("routes: a provider twice")
        if self.last_image != "none" and self.image == "none":
            raise ValueError("a last image needs a first image")
        return self

    def resolve(self, preset: str | None, requested: Settings | None) -> Settings:
        """The effective settings of a request: request over preset over defaults.

        Raises
        ------
        SettingNotAllowed
            The model does not have this preset or value. ``details`` list the allowed ones.
        """
        base = Settings()
        if preset is not None:
            found = {str(name): settings for name, settings in self.presets.items()}.get(preset)
            if found is None:
                known = ", ".join(self.presets) or "none"
                raise SettingNotAllowed(
                    f"{self.model_id} has no preset {preset!r}", details=f"preset: allowed: {known}"
                )
            base = found
        resolved: dict[str, str | int | None] = {}
        refusals: list[str] = []
        for setting in SETTING_NAMES:
            wanted = getattr(requested, setting) if requested else None
            if wanted is None:
                wanted = getattr(base, setting)
            if wanted is None:
                wanted = getattr(self.defaults, setting)
            allowed = getattr(self.allowed, setting)
            if wanted is not None and wanted not in allowed:
                listed = ", ".join(str(value) for value in allowed) or "none"
                refusals.append(f"{setting}: {wanted!r} is not allowed; allowed: {listed}")
            resolved[setting] = wanted
        if refusals:
            raise SettingNotAllowed(
                f"{self.model_id} does not allow these settings", details="; ".join(refusals)
            )
        return Settings.model_validate(resolved)

    def check_images(self, image_url: str | None, last_image_url: str | None) -> None:
        """Check that the request has the images that this model needs, and no others.

        Raises
        ------
        ImageRequired
            An image is missing.
        InvalidRequest
            The model cannot use one of the images. We reject it instead of ignoring it silently.
        """
        for field, need, value in (
            ("image_url", self.image, image_url),
            ("last_image_url", self.last_image, last_image_url),
        ):
            if need == "required" and value is None:
                raise ImageRequired(
                    f"{self.model_id} needs {field}", details=f"{field}: required by this model"
                )
            if need == "none" and value is not None:
                raise InvalidRequest(
                    f"{self.model_id} does not use {field}",
                    details=f"{field}: not used by this model",
                )
        if last_image_url is not None and image_url is None:
            raise ImageRequired(
                f"{self.model_id} needs image_url with last_image_url",
                details="image_url: required with last_image_url",
            )

    def credits(self, settings: Settings) -> int:
        """Price of one generation with these settings, in whole credits."""
        return credits_for(
            self.price, resolution=settings.resolution, duration_seconds=settings.duration
        )
