"""Run the simulated Runware: ``python -m local.runware [--port 0] [--set name=value …]``.

Prints one JSON line when ready, ``{"url", "control_url", "media_url", "key"}``, and stops on
SIGINT, SIGTERM or when its parent has ended. ``--set`` takes any member of `RunwareSettings`, its
value as JSON or as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping

from local.runware.app import create_app
from local.runware.routes import PATH
from local.runware.settings import RunwareSettings
from local.simulator.command import run


def _describe(settings: RunwareSettings, url: str) -> Mapping[str, object]:
    return {"url": f"{url}{PATH}", "key": settings.key}


if __name__ == "__main__":
    run(
        "local.runware",
        about=__doc__,
        settings_type=RunwareSettings,
        create_app=create_app,
        describe=_describe,
    )
