"""What a user can choose: models, their settings, presets and prices.

A model is one entry of the catalog: what it can do, what it costs, and the route to the provider's
model behind it. The catalog lives in the Models table; `DEFAULT_CATALOG` is what a new deployment
starts with. Settings are resolved in one place, `Model.resolve`: what the request says, over what
its preset says, over the model's defaults.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from clipmint.domain.errors import ImageRequired, InvalidRequest, SettingNotAllowed
from clipmint.domain.pricing import PerSecondPrice, Price, credits_for

MAX_MODEL_ID_CHARACTERS = 64
ModelId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=MAX_MODEL_ID_CHARACTERS),
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Need = Literal["none", "optional", "required"]
PresetName = Literal["draft", "standard", "high"]

MAX_POLLS = 3_000
"""Each poll takes six of an execution's 25,000 events."""

SETTING_NAMES = ("resolution", "aspect_ratio", "duration")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Settings(_Frozen):
    """How a video shall look; None where the model has no such setting or none was asked for."""

    resolution: ShortText | None = None
    aspect_ratio: ShortText | None = None
    duration: Annotated[int, Field(ge=1, le=600)] | None = Field(None, description="Seconds")


class AllowedSettings(_Frozen):
    """Per setting the values a model accepts; empty where it has no such setting."""

    resolution: list[ShortText] = []
    aspect_ratio: list[ShortText] = []
    duration: list[int] = []


class Route(_Frozen):
    """Where a model's generations are made."""

    provider: ShortText
    endpoint: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Model(_Frozen):
    """One entry of the catalog.

    ``deadline_seconds`` counts from the request to the moment the provider must have finished;
    ``poll_seconds`` are the waits between asking the provider when no webhook comes, the last one
    repeating.
    """

    model_id: ModelId
    name: ShortText
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    available: bool = True
    image: Need = "none"
    last_image: Need = "none"
    allowed: AllowedSettings
    defaults: Settings
    presets: dict[PresetName, Settings] = {}
    price: Price
    route: Route
    deadline_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800
    poll_seconds: Annotated[
        list[Annotated[int, Field(ge=1, le=3_600)]], Field(min_length=1, max_length=20)
    ] = [90, 30, 30, 60]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for where, settings in [("defaults", self.defaults), *self.presets.items()]:
            for setting in SETTING_NAMES:
                value, allowed = getattr(settings, setting), getattr(self.allowed, setting)
                if value is not None and value not in allowed:
                    raise ValueError(f"{where}: {setting} {value!r} is not among {allowed}")
                if where == "defaults" and value is None and allowed:
                    raise ValueError(f"defaults: {setting} is missing")
        if isinstance(self.price, PerSecondPrice):
            if not self.allowed.duration:
                raise ValueError("a price per second needs allowed durations")
            unknown = set(self.price.resolution_percent) - set(self.allowed.resolution)
            if unknown:
                raise ValueError(f"price: no such resolution: {sorted(unknown)}")
        if self.deadline_seconds > MAX_POLLS * self.poll_seconds[-1]:
            raise ValueError(f"poll_seconds: at most {MAX_POLLS} polls fit into deadline_seconds")
        if self.last_image != "none" and self.image == "none":
            raise ValueError("a last image needs a first image")
        return self

    def resolve(self, preset: str | None, asked: Settings | None) -> Settings:
        """The settings a request amounts to.

        Raises
        ------
        SettingNotAllowed
            A preset or value this model does not have; says which it has.
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
            wanted = getattr(asked, setting) if asked else None
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
        """Are the images there that this model needs, and no others?

        Raises
        ------
        ImageRequired
            One is missing.
        InvalidRequest
            One is given that the model cannot use: better refused than silently ignored.
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

    def credits(self, settings: Settings) -> int:
        """Price of one generation with these settings, in whole credits."""
        return credits_for(
            self.price, resolution=settings.resolution, duration_seconds=settings.duration
        )


# Veo on fal costs the owner 0.40 USD a second with sound, 0.60 in 4k; Sora 0.10. The defaults price
# a credit at 0.10 USD of cost; owners set their own through the admin endpoint.
_VEO_PRICE = PerSecondPrice(credits_per_second=4)
_VEO_PRESETS: dict[PresetName, Settings] = {
    "draft": Settings(resolution="720p", duration=4),
    "standard": Settings(resolution="720p", duration=8),
    "high": Settings(resolution="1080p", duration=8),
}

DEFAULT_CATALOG: tuple[Model, ...] = (
    Model(
        model_id="veo-3.1",
        name="Veo 3.1",
        description="Text to video with sound.",
        allowed=AllowedSettings(
            resolution=["720p", "1080p"], aspect_ratio=["16:9", "9:16"], duration=[4, 6, 8]
        ),
        defaults=Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        presets=_VEO_PRESETS,
        price=_VEO_PRICE,
        route=Route(provider="fal", endpoint="fal-ai/veo3.1"),
    ),
    Model(
        model_id="veo-3.1-i2v",
        name="Veo 3.1 from an image",
        description="A video that starts from an image, with sound.",
        image="required",
        allowed=AllowedSettings(
            resolution=["720p", "1080p"], aspect_ratio=["auto", "16:9", "9:16"], duration=[4, 6, 8]
        ),
        defaults=Settings(resolution="720p", aspect_ratio="auto", duration=8),
        presets=_VEO_PRESETS,
        price=_VEO_PRICE,
        route=Route(provider="fal", endpoint="fal-ai/veo3.1/image-to-video"),
    ),
    Model(
        model_id="veo-3.1-transition",
        name="Veo 3.1 between two frames",
        description="A video from a first frame to a last one, with sound.",
        image="required",
        last_image="required",
        allowed=AllowedSettings(
            resolution=["720p", "1080p", "4k"],
            aspect_ratio=["auto", "16:9", "9:16"],
            duration=[4, 6, 8],
        ),
        defaults=Settings(resolution="720p", aspect_ratio="auto", duration=8),
        presets=_VEO_PRESETS,
        price=PerSecondPrice(credits_per_second=4, resolution_percent={"4k": 150}),
        route=Route(provider="fal", endpoint="fal-ai/veo3.1/first-last-frame-to-video"),
    ),
    Model(
        model_id="sora-2-i2v",
        name="Sora 2 from an image",
        description="A video that starts from an image.",
        # OpenAI shut Sora 2 down on 2026-09-24; whether fal still serves it is not known. Off
        # until an owner has seen it work.
        available=False,
        image="required",
        allowed=AllowedSettings(
            resolution=["auto", "720p"], aspect_ratio=["auto", "9:16", "16:9"], duration=[4, 8, 12]
        ),
        defaults=Settings(resolution="auto", aspect_ratio="auto", duration=4),
        presets={
            "draft": Settings(resolution="auto", duration=4),
            "standard": Settings(resolution="720p", duration=8),
            "high": Settings(resolution="720p", duration=12),
        },
        price=PerSecondPrice(credits_per_second=1),
        route=Route(provider="fal", endpoint="fal-ai/sora-2/image-to-video"),
    ),
)
