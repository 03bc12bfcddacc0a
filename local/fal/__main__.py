"""Run the simulated fal: ``python -m local.fal [--port 0] [--set name=value …]``.

Prints one JSON line when ready, ``{"url", "control_url", "media_url", "jwks_url", "key"}``, and
stops on SIGINT, SIGTERM or when its parent has ended. ``--set`` takes any member of `FalSettings`,
its value as JSON or as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping

from local.fal.app import create_app
from local.fal.settings import FalSettings
from local.simulator.command import run


def _describe(settings: FalSettings, url: str) -> Mapping[str, object]:
    return {"jwks_url": f"{url}/.well-known/jwks.json", "key": settings.key}


if __name__ == "__main__":
    run(
        "local.fal",
        about=__doc__,
        settings_type=FalSettings,
        create_app=create_app,
        describe=_describe,
    )
