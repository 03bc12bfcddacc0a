"""The settings of the simulated fal, all changeable while it runs (PATCH /control/settings)."""

from __future__ import annotations

from pydantic import Field

from local.simulator.control import Settings


class FalSettings(Settings):
    """Durations are seconds. Only the webhook schedule is scaled by ``time_factor``."""

    key: str = "simulated-key-id:simulated-key-secret"
    user_id: str = "simulated-user"
    locked: bool = False
    """The account is out of funds: submissions get 403."""

    concurrency: int = Field(default=2, ge=1)
    """IN_PROGRESS at the same time; the rest is IN_QUEUE. New accounts have 2."""
    queue_seconds: float = Field(default=0.5, ge=0)
    """The least time a request spends IN_QUEUE."""
    queue_ahead: int = Field(default=2, ge=0)
    """Requests of other users ahead of a new one; they leave during ``queue_seconds``."""
    generation_seconds: float = Field(default=1.5, ge=0)
    """The least time a request spends IN_PROGRESS."""

    moderated_word: str = "#moderated"
    """The content checker declines a prompt that contains it."""
    fetch_inputs: bool = False
    """Download https inputs. If false, only data URIs and loopback URLs are read."""
    media_ranges: bool = False
    """Whether the CDN supports Range. If false, it sends 200 with the whole file."""

    time_factor: float = Field(default=1.0, gt=0)
    """Multiplies the pauses between webhook attempts."""
    webhook_first_timeout: float = Field(default=15, gt=0)
    webhook_retry_timeout: float = Field(default=120, gt=0)
    webhook_backoff: float = Field(default=10, ge=0)
    webhook_backoff_growth: float = Field(default=1.5, ge=1)
    webhook_backoff_limit: float = Field(default=120, ge=0)
    webhook_retries: int = Field(default=31, ge=0)
