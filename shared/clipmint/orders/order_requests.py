"""The bodies of requests that start jobs, and what makes two of them the same request.

A fingerprint of the body distinguishes a retry from a key used twice for different requests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

from clipmint.catalog.model import Prompt, Settings
from clipmint.errors import (
    UserMismatch,
)
from clipmint.media.image_urls import ImageUrl

MAX_PROMPT_CHARACTERS = 5_000
MAX_CLIPS = 45
"""Clips one call may start: a job and a journal entry each, with the account, the project and the
call itself, are as many items as a transaction takes (100)."""

_EXAMPLE_VIDEO: dict[str, JsonValue] = {
    "model_id": "veo-3.1",
    "prompt": "A glowing cityscape at night",
    "preset": "draft",
}


ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
SceneId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user_id: str | None = Field(None, description="If sent, must be the caller's own")

    def check_user(self, user_id: str) -> None:
        """Raise `UserMismatch` if the body names anybody but the caller."""
        if self.user_id is not None and self.user_id != user_id:
            raise UserMismatch("user_id does not match the token")


class GenerationRequest(_Order):
    """The body of ``POST /v1/videos`` and of its estimate."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_VIDEO]})

    model_id: ModelName
    prompt: Prompt
    image_url: ImageUrl | None = None
    last_image_url: ImageUrl | None = None
    project_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="Whose image the video starts from, unless image_url says otherwise"
    )
    settings: Settings | None = None
    preset: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    fallback: bool = Field(
        True, description="False: only the first provider on offer, even if it is down"
    )

    def fingerprint(self) -> str:
        """SHA-256 of what is asked for, whatever the order or spacing of the JSON."""
        asked = self.model_dump(mode="json", exclude={"user_id"}, exclude_none=True)
        if self.fallback:
            del asked["fallback"]  # said or not, it is the same request
        return _digest(asked)


class SceneVideoRequest(_Order):
    """The body of ``POST /v1/scenes/{scene_id}/video``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model_id": "gen4-turbo", "image_model_id": "gen4-image"}]}
    )

    model_id: ModelName | None = Field(None, description="Of the video")
    image_model_id: ModelName | None = Field(None, description="Of the picture it starts from")
    new_image: bool = Field(False, description="Make a picture even if the scene has one")

    def fingerprint(self, scene_id: str) -> str:
        """SHA-256 of what is asked for, of this scene."""
        return _digest({"scene_id": scene_id, **_said(self)})


class ClipsRequest(_Order):
    """The body of ``POST /v1/projects/{project_id}/clips``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    model_id: ModelName | None = Field(None, description="For scenes that name none")
    scene_ids: Annotated[list[SceneId], Field(min_length=1, max_length=MAX_CLIPS)] | None = Field(
        None, description="Only these scenes; all if left out"
    )
    force: bool = Field(False, description="Also scenes that have a finished clip")

    def fingerprint(self, project_id: str) -> str:
        """SHA-256 of what is asked for, of this project."""
        return _digest({"project_id": project_id, **_said(self)})


def _said(request: BaseModel) -> dict[str, object]:
    return request.model_dump(mode="json", exclude={"user_id"}, exclude_defaults=True)


def _digest(asked: Mapping[str, object]) -> str:
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
