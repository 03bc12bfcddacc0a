"""The kinds of stages that jobs consist of, in one table.

A job runs its stages in the order of the table. To add a kind, add an entry here and, if no
provider executes it, the handler that does. The rest follows from the entry: its attribute in the
item of a job, its price, its progress, and where its file is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from clipmint.values import frozen

IMAGE = "image"
VIDEO = "video"

OURSELVES = "clipmint"
"""The provider of a stage that no provider executes."""


class StepName(StrEnum):
    """What users see of a job's progress."""

    INITIALIZING = "Initializing"
    FETCHING_SCENE = "Fetching scene configuration"
    SUBMITTING = "Submitting"
    GENERATING_IMAGE = "Generating image"
    STORING_IMAGE = "Storing image"
    GENERATING_VIDEO = "Generating video"
    STORING_VIDEO = "Storing video"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@frozen
class Step:
    """Progress in percent, and the name of the step that users see."""

    percent: int
    name: StepName


@frozen
class Kind:
    """One kind of stage.

    Attributes
    ----------
    price
        The name of its price in responses.
    making, storing
        What users see while its file is made, and while it is copied to the owner's bucket.
    bucket
        Where its file is stored: the private bucket of videos, or the public one of images.
    max_polls
        How often its provider may be polled, or None if no provider executes it. Each poll takes
        six of an execution's 25,000 events, and an image and its video may both run twice.
    """

    price: str
    making: Step
    storing: Step
    bucket: Literal["videos", "images"]
    max_polls: int | None

    @property
    def by_provider(self) -> bool:
        """Whether a provider executes it."""
        return self.max_polls is not None


# Percents, steps and the names of prices are from the documents this system comes from.
STAGES: Mapping[str, Kind] = {
    IMAGE: Kind(
        price="generate_image",
        making=Step(35, StepName.GENERATING_IMAGE),
        storing=Step(40, StepName.STORING_IMAGE),
        bucket="images",
        max_polls=250,
    ),
    VIDEO: Kind(
        price="generate_scene",
        making=Step(70, StepName.GENERATING_VIDEO),
        storing=Step(75, StepName.STORING_VIDEO),
        bucket="videos",
        max_polls=1_200,
    ),
}
"""By name, in the order in which they run."""


def earlier_stages(name: str) -> list[str]:
    """The names of the stages that run before this one, if a job has them."""
    names = list(STAGES)
    return names[: names.index(name)]
