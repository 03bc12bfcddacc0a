"""Models that their providers have ended, so that no new route names them. Pure.

A route states itself from which day it takes no orders (`Route.retires_on`). This list is for names
that no current version of a provider's package can order any more.
"""

from __future__ import annotations

from collections.abc import Mapping

ENDED: Mapping[tuple[str, str], str] = {
    ("runway", model): "runwayml 5.24.0 has no call that creates it"
    for model in ("gen3a_turbo", "veo3", "gen4_aleph")
}
"""Why a model has ended, by its provider and the last part of its endpoint."""


def reason(provider: str, endpoint: str) -> str | None:
    """Why this endpoint has ended; None if it is not known to."""
    return ENDED.get((provider, endpoint.rsplit("/", 1)[-1]))
