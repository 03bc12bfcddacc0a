"""The settings of the simulated Runway, all changeable while it runs (PATCH /control/settings)."""

from __future__ import annotations

from pydantic import Field

from local.simulator.control import Settings


class RunwaySettings(Settings):
    """Durations are seconds, money is credits (one is worth a cent)."""

    key: str = "key_simulated"
    credits: int = Field(default=100_000, ge=0)
    """Bought so far. What tasks have cost, or may yet cost, is subtracted from it."""
    daily_generations: int | None = Field(default=None, ge=0)
    """Tasks of one model in any 24 hours; more answer 429. None: no limit."""

    concurrency: int = Field(default=2, ge=1)
    """Tasks of one model that are PENDING or RUNNING; the rest waits THROTTLED."""
    pending_seconds: float = Field(default=0.5, ge=0)
    """The least time a task spends PENDING."""
    generation_seconds: float = Field(default=1.5, ge=0)
    """The least time a task spends RUNNING."""

    url_seconds: float = Field(default=86_400, gt=0)
    """How long an output URL lives, in whole seconds rounded up; every GET of a task signs one."""

    moderated_word: str = "#moderated"
    """A prompt containing it is declined: SAFETY.INPUT.TEXT."""
    fetch_inputs: bool = False
    """Really download https inputs. Off: taken unread; data URIs and loopback URLs always are."""
    media_ranges: bool = True
    """Whether the CDN honours Range; off, it answers 200 with the whole file."""
