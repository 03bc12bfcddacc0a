"""The settings of the simulated Runware, all changeable while it runs (PATCH /control/settings)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from local.simulator.control import Settings


class RunwareSettings(Settings):
    """Durations are seconds; ``time_factor`` scales the webhook schedule and the life of files."""

    key: str = "simulated-runware-key"
    out_of_credits: bool = False
    """The account is empty: tasks are refused with 402, questions still answered."""
    capacity: int = Field(default=64, ge=1)
    """Unfinished tasks at once; a task beyond it is refused with 429."""

    generation_seconds: float = Field(default=1.5, ge=0)
    """The least time a video task is processing."""
    image_seconds: float = Field(default=0.3, ge=0)
    """The least time an image task is processing."""
    known_seconds: float = Field(default=86_400, gt=0)
    """How long a finished task is known: answers getResponse, refuses its taskUUID.
    assumption: nobody documents it."""
    media_seconds: float = Field(default=604_800, gt=0)
    """The life of a file without a ttl. assumption: "temporary" is all there is to read."""

    success_status: bool = True
    """Off: a finished item comes without its ``status``, and only its URL says success."""
    failures_as: Literal["errors", "item"] = "errors"
    """Where getResponse puts a failed task: among the errors, or as an item of the data."""
    errors_in_200: bool = False
    """On: refusals, too, are answered with HTTP 200."""

    moderated_word: str = "#moderated"
    """A prompt containing it is declined by the content checker."""
    fetch_inputs: bool = False
    """Really download https inputs. Off: taken unread; data URIs and loopback URLs always are."""
    media_ranges: bool = False
    """Whether the CDN honours Range; off, it answers 200 with the whole file."""

    time_factor: float = Field(default=1.0, gt=0)
    webhook_form: Literal["flat", "wrapped"] = "flat"
    """flat: the bare task object. wrapped: in a data or errors list, as in an answer."""
    webhook_timeout: float = Field(default=5, gt=0)
    webhook_backoff: float = Field(default=0.25, ge=0)
    webhook_backoff_limit: float = Field(default=8, ge=0)
    webhook_jitter: float = Field(default=0.2, ge=0, lt=1)
    """Each pause is longer or shorter by up to this part of it."""
    webhook_retries: int = Field(default=10, ge=0)
    """Attempts after the first. assumption: the documentation gives no number."""
