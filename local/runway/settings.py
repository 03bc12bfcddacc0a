"""The settings of the simulated Runway, all changeable while it runs (PATCH /control/settings)."""

from __future__ import annotations

from pydantic import Field

from local.simulator.control import Settings


class RunwaySettings(Settings):
    """Durations are in seconds, money in credits (one credit is one US cent)."""

    key: str = "key_simulated"
    credits: int = Field(default=100_000, ge=0)
    """Credits bought so far. The actual or possible costs of all tasks are subtracted from it."""
    daily_generations: int | None = Field(default=None, ge=0)
    """Tasks of one model in any 24 hours; above it, 429. None: no limit."""

    concurrency: int = Field(default=2, ge=1)
    """Tasks of one model that are PENDING or RUNNING; the rest is THROTTLED."""
    pending_seconds: float = Field(default=0.5, ge=0)
    """The least time a task spends PENDING."""
    generation_seconds: float = Field(default=1.5, ge=0)
    """The least time a task spends RUNNING."""

    url_seconds: float = Field(default=86_400, gt=0)
    """The lifetime of an output URL, rounded up to whole seconds; every GET of a task signs one."""

    moderated_word: str = "#moderated"
    """A task with this text in its prompt fails with SAFETY.INPUT.TEXT."""
    fetch_inputs: bool = False
    """Download https inputs. If false, only data URIs and loopback URLs are read."""
    media_ranges: bool = True
    """Whether the CDN supports Range. If false, it sends 200 with the whole file."""
