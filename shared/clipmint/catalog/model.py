"""Models that a user can choose, with their parameters, presets and prices.

A model is one entry of the catalog: its abilities, its price, and the routes to the providers'
models. The Models table holds the catalog; a new deployment starts with
`clipmint.catalog.defaults`. Only `Model.resolve` resolves settings: the request's value, else the
preset's, else the default.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, JsonValue, StringConstraints

from clipmint.catalog.entry import (
    MAX_MODEL_ID_CHARACTERS,
    SETTING_NAMES,
    AllowedSettings,
    Entry,
    Need,
    PresetName,
    Settings,
)
from clipmint.catalog.pricing import affected_by, credits_for
from clipmint.catalog.route import Kind
from clipmint.catalog.visible import is_visible
from clipmint.errors import ImageRequired, InvalidRequest, SettingNotAllowed

__all__ = [
    "MAX_MODEL_ID_CHARACTERS",
    "SETTING_NAMES",
    "AllowedSettings",
    "Model",
    "Need",
    "PresetName",
    "Prompt",
    "Settings",
]

MAX_PROMPT_CHARACTERS = 5_000


def _visible(text: str) -> str:
    if not is_visible(text):
        raise ValueError("must contain a visible character")
    return text


Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS),
    AfterValidator(_visible),
]


def utf16_units(text: str) -> int:
    """Length as Runway (docs) and JavaScript count it: most characters count 1, emoji 2."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Model(Entry):
    """A model that users can choose: an entry of the catalog, and what a request makes of it."""

    def default_settings(self) -> Settings:
        """The settings of a request that states none."""
        defaults = {name: parameter.default for name, parameter in self.declared().items()}
        return Settings.model_validate(
            {name: value for name, value in defaults.items() if value is not None}
        )

    def settings_schema(self) -> dict[str, JsonValue]:
        """What ``settings`` of a request may be, as a JSON Schema."""
        return {
            "type": "object",
            "properties": {name: one.as_schema() for name, one in self.declared().items()},
            "additionalProperties": False,
        }

    @property
    def priced_by(self) -> set[str]:
        """The names of the parameters that affect the price."""
        return affected_by(self.price)

    def kinds(self) -> list[Kind]:
        """What its generations may start from."""
        kinds: list[Kind] = []
        if self.image != "required":
            kinds.append("text")
        if self.image != "none" and self.last_image != "required":
            kinds.append("image")
        if self.last_image != "none":
            kinds.append("frames")
        return kinds

    def resolve(self, preset: str | None, requested: Settings | None) -> Settings:
        """The effective settings of a request: request over preset over defaults.

        Raises
        ------
        SettingNotAllowed
            The model does not have this preset, parameter or value. ``details`` list the allowed
            ones.
        """
        base: Settings | None = Settings()
        if preset is not None:
            base = {str(name): settings for name, settings in self.presets.items()}.get(preset)
        if base is None:
            known = ", ".join(self.presets) or "none"
            raise SettingNotAllowed(
                f"{self.model_id} has no preset {preset!r}", details=f"preset: allowed: {known}"
            )
        wanted = {
            **self.default_settings().stated(),
            **base.stated(),
            **(requested.stated() if requested else {}),
        }
        declared, refusals = self.declared(), []
        for name in dict.fromkeys([*SETTING_NAMES, *declared, *sorted(wanted)]):
            if name not in wanted:
                continue
            parameter, value = declared.get(name), wanted[name]
            if parameter is None and name not in SETTING_NAMES:
                refusals.append(f"{name[:64]}: no such setting; settings: {', '.join(declared)}")
            elif parameter is None or not parameter.accepts(value):
                allowed = parameter.allowed() if parameter else "none"
                refusals.append(f"{name}: {value!r} is not allowed; allowed: {allowed}")
        if refusals:
            raise SettingNotAllowed(
                f"{self.model_id} does not allow these settings", details="; ".join(refusals)
            )
        return Settings.model_validate(wanted)

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
        return credits_for(self.price, settings.stated())
