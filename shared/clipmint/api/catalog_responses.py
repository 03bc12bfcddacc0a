"""Response bodies for the models that users can choose."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from clipmint.catalog.entry import Identical
from clipmint.catalog.model import SETTING_NAMES, AllowedSettings, Model, Need, Settings
from clipmint.catalog.pricing import Price, public_price
from clipmint.schemas import Schema

_OF_THE_OWNER = {
    *("aliases", "available", "routes", "deadline_seconds", "poll_seconds"),
    *("tolerance", "expected_seconds"),
    *("parameters", "allowed", "defaults", "price"),
}
"""Not shown, or shown in another form."""


class CatalogEntry(Schema):
    """A model that users can choose, without its routes.

    A model that produces an image can be chosen as ``image_model_id`` of a scene's video.
    """

    model_id: str
    name: str
    description: str
    produces: Literal["video", "image"]
    max_prompt_units: Annotated[int, Field(description="UTF-16 code units")]
    image: Need
    last_image: Need
    max_reference_images: int
    settings_schema: dict[str, JsonValue] = Field(
        description="What settings of a request may be, as a JSON Schema"
    )
    allowed: AllowedSettings = Field(description="The values of three settings, as lists")
    defaults: Settings
    presets: dict[str, Settings]
    price: Price
    identical: Identical | None = Field(
        None,
        description="The price of an order that is identical to one of yours of the last days, and "
        "is answered with its video; null: each order is a new video",
    )
    expected_seconds: int | None = Field(
        description="How long a video with the default settings takes, estimated; null if unknown"
    )

    @classmethod
    def of(cls, model: Model, expected_seconds: int | None = None) -> "CatalogEntry":
        entry = model.model_dump(exclude=_OF_THE_OWNER)
        return cls.model_validate(
            {
                **entry,
                "settings_schema": model.settings_schema(),
                "allowed": {name: [*model.values_of(name)] for name in SETTING_NAMES},
                "defaults": model.default_settings(),
                "price": public_price(model.price),
                "expected_seconds": expected_seconds,
            }
        )


class CatalogDefaults(Schema):
    """The models of scenes and clips that name none: for a scene's image and its video, and for a
    clip between two frames."""

    scene_image_model: str
    scene_video_model: str
    clip_model: str


class Catalog(Schema):
    models: list[CatalogEntry]
    defaults: CatalogDefaults
