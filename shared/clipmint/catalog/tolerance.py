"""What a delivered video may differ by from its order, as data of a model. Pure."""

from typing import Annotated, Literal

from pydantic import Field

from clipmint.schemas import StrictSchema

Percent = Annotated[int, Field(ge=0, le=1_000)]


class Tolerance(StrictSchema):
    """What a delivered video may differ by from its order, and what happens to one that differs
    more.

    ``duration_percent`` is of the ordered seconds; half a second is always allowed.
    ``size_percent`` is of the sides in pixels. 1000 allows everything. ``audio``: whether an order
    with sound must have an audio track. ``otherwise``: ``keep`` delivers and charges a
    video that differs more, ``fail`` fails its job and releases the credits. In both cases the
    owner's alarm is raised.
    """

    duration_percent: Percent = 15
    size_percent: Percent = 10
    audio: bool = True
    otherwise: Literal["keep", "fail"] = "keep"


DEFAULT = Tolerance.model_construct()
"""Of a model that states none."""
