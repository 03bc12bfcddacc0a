"""The bodies of requests that start jobs, and their fingerprints.

A fingerprint of the body distinguishes a retry from a key that is reused for another request.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

from clipmint.catalog.model import Prompt, Settings
from clipmint.errors import UserMismatch, price_changed
from clipmint.media.image_urls import ImageUrl
from clipmint.schemas import Schema, StrictSchema

MAX_PROMPT_CHARACTERS = 5_000
MAX_CLIPS = 45
"""Maximum number of clips per call. Each clip needs two items (job and journal entry); with the
account, the project and the call itself they must fit into one transaction (100 items)."""

_EXAMPLE_VIDEO: dict[str, JsonValue] = {
    "model_id": "veo-3.1",
    "prompt": "A glowing cityscape at night",
    "preset": "draft",
}


ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
SceneId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _OrderBody(StrictSchema):
    user_id: str | None = Field(None, description="If sent, must be the caller's own")
    expected_credits: Annotated[int, Field(ge=0)] | None = Field(
        None, description="If the price is another one now, nothing is held: PRICE_CHANGED"
    )

    def check_price(self, credits_: int) -> None:
        """Raise `PriceChanged` if the caller expects another price."""
        if self.expected_credits not in {None, credits_}:
            raise price_changed(self.expected_credits or 0, credits_)

    def check_user(self, user_id: str) -> None:
        """Raise `UserMismatch` if the body names another user than the caller."""
        if self.user_id is not None and self.user_id != user_id:
            raise UserMismatch("user_id does not match the token")


class GenerationRequest(_OrderBody):
    """The body of ``POST /v1/videos`` and of its estimate."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_VIDEO]})

    model_id: ModelName
    prompt: Prompt
    image_url: ImageUrl | None = None
    last_image_url: ImageUrl | None = None
    project_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="The video starts from this project's image, unless image_url is set"
    )
    settings: Settings | None = None
    preset: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    fallback: bool = Field(
        True, description="False: only the first provider on offer, even if it is down"
    )
    allow_cached: bool = Field(
        True, description="False: make a new video even if an identical job of yours has one"
    )

    def fingerprint(self) -> str:
        """SHA-256 of the request's values, independent of the order and spacing of the JSON."""
        values = self.model_dump(mode="json", exclude={"user_id"}, exclude_none=True)
        for name in ("fallback", "allow_cached"):
            if values[name]:
                del values[name]  # stated or not, it is the same request
        return _digest(values)


class SceneVideoRequest(_OrderBody):
    """The body of ``POST /v1/scenes/{scene_id}/video``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model_id": "gen4-turbo", "image_model_id": "gen4-image"}]}
    )

    model_id: ModelName | None = Field(None, description="Of the video")
    image_model_id: ModelName | None = Field(None, description="Of the image it starts from")
    new_image: bool = Field(False, description="Make a new image even if the scene has one")

    def fingerprint(self, scene_id: str) -> str:
        """SHA-256 of the scene's id and the request's values."""
        return _digest({"scene_id": scene_id, **_stated_values(self)})


class ClipsRequest(_OrderBody):
    """The body of ``POST /v1/projects/{project_id}/clips``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    model_id: ModelName | None = Field(None, description="For scenes without a model of their own")
    scene_ids: Annotated[list[SceneId], Field(min_length=1, max_length=MAX_CLIPS)] | None = Field(
        None, description="Only these scenes; all if left out"
    )
    force: bool = Field(False, description="Also scenes that have a finished clip")

    def fingerprint(self, project_id: str) -> str:
        """SHA-256 of the project's id and the request's values."""
        return _digest({"project_id": project_id, **_stated_values(self)})


def _stated_values(request: Schema) -> dict[str, object]:
    return request.model_dump(mode="json", exclude={"user_id"}, exclude_defaults=True)


def _digest(values: Mapping[str, object]) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
