"""The settings of the simulated Runware, all changeable while it runs (PATCH /control/settings)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from local.simulator.control import Settings


class RunwareSettings(Settings):
    """Durations are in seconds; ``time_factor`` scales the webhook schedule and file expiry."""

    key: str = "simulated-runware-key"
    out_of_credits: bool = False
    """The account is empty: tasks are rejected with 402, but getResponse still works."""
    capacity: int = Field(default=64, ge=1)
    """Unfinished tasks at the same time; a task above the limit is rejected with 429."""

    generation_seconds: float = Field(default=1.5, ge=0)
    """The least time a video task is processing."""
    image_seconds: float = Field(default=0.3, ge=0)
    """The least time an image task is processing."""
    known_seconds: float = Field(default=86_400, gt=0)
    """How long a finished task is known: getResponse returns it, and its taskUUID is rejected.
    assumption: the time is not documented."""
    media_seconds: float = Field(default=604_800, gt=0)
    """The lifetime of a file without a ttl. assumption: the documentation has only "temporary"."""

    success_status: bool = True
    """If false, a finished item has no ``status``, and only its URL shows the success."""
    failures_as: Literal["errors", "item"] = "errors"
    """Where getResponse returns a failed task: in the errors, or as an item of the data."""
    errors_in_200: bool = False
    """If true, responses with errors have HTTP status 200 too."""

    moderated_word: str = "#moderated"
    """The content checker declines a prompt that contains it."""
    fetch_inputs: bool = False
    """Download https inputs. If false, only data URIs and loopback URLs are read."""
    media_ranges: bool = False
    """Whether the CDN supports Range. If false, it sends 200 with the whole file."""

    time_factor: float = Field(default=1.0, gt=0)
    webhook_form: Literal["flat", "wrapped"] = "flat"
    """flat: the task object alone. wrapped: in a data or errors list, as in a response."""
    webhook_timeout: float = Field(default=5, gt=0)
    webhook_backoff: float = Field(default=0.25, ge=0)
    webhook_backoff_limit: float = Field(default=8, ge=0)
    webhook_jitter: float = Field(default=0.2, ge=0, lt=1)
    """The largest random change of each pause, as a fraction of it."""
    webhook_retries: int = Field(default=10, ge=0)
    """Attempts after the first. assumption: the documentation gives no number."""
