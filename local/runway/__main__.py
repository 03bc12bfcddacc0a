"""Run the simulated Runway: ``python -m local.runway [--port 0] [--set name=value …]``.

Prints one JSON line when ready, ``{"url", "control_url", "media_url", "key"}``, and stops on
SIGINT, SIGTERM or when its parent has ended. ``--set`` takes any member of `RunwaySettings`, its
value as JSON or as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping

from local.runway.app import create_app
from local.runway.settings import RunwaySettings
from local.simulator.command import run


def _describe(settings: RunwaySettings, _: str) -> Mapping[str, object]:
    return {"key": settings.key}


if __name__ == "__main__":
    run(
        "local.runway",
        about=__doc__,
        settings_type=RunwaySettings,
        create_app=create_app,
        describe=_describe,
    )
