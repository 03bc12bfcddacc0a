"""The environment of functions that start jobs."""

from typing import Annotated

from pydantic import Field

from clipmint.credits.account import Limits
from clipmint.settings import Environment


class LimitSettings(Environment):
    """How many jobs one user can have and start."""

    max_open_jobs: Annotated[int, Field(ge=1)] = Limits().open_jobs
    max_jobs_per_hour: Annotated[int, Field(ge=1)] = Limits().jobs_per_hour
    max_open_clips: Annotated[int, Field(ge=1)] = Limits().open_clips

    @property
    def limits(self) -> Limits:
        return Limits(self.max_open_jobs, self.max_jobs_per_hour, self.max_open_clips)


class KeylessSettings(Environment):
    """How long, in seconds, the same order without an Idempotency-Key is one job."""

    keyless_order_seconds: Annotated[int, Field(ge=1)] = 30


class DefaultModels(Environment):
    """Default models for scenes without a model of their own, by their ids in the catalog."""

    scene_image_model: str = "gen4-image"
    scene_video_model: str = "gen4-turbo"
    clip_model: str = "runware-veo-3.1"


class DoorModels(Environment):
    """Models of protocols whose requests name none, by their ids in the catalog."""

    image_video_model: str = "gen4-turbo"
