"""Run the simulated fal: ``python -m local.fal [--port 0] [--set name=value …]``.

Prints one JSON line when ready, ``{"url", "control_url", "media_url", "jwks_url", "key"}``, and
stops on SIGINT, SIGTERM or when its parent is gone. ``--set`` takes any member of `FalSettings`,
its value as JSON or as plain text.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from local.fal.app import create_app
from local.fal.settings import FalSettings
from local.simulator.serving import serve


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m local.fal", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--certificate", type=Path, help="speak TLS with this PEM chain")
    parser.add_argument("--private-key", type=Path)
    options = parser.parse_args(arguments)
    try:
        settings = FalSettings.model_validate(dict(options.set))
    except ValidationError as error:
        parser.error(str(error))

    def describe(url: str) -> Mapping[str, object]:
        return {
            "url": url,
            "control_url": f"{url}/control",
            "media_url": f"{url}/files",
            "jwks_url": f"{url}/.well-known/jwks.json",
            "key": settings.key,
        }

    serve(
        lambda url: create_app(settings, url),
        describe,
        port=options.port,
        certificate=options.certificate,
        private_key=options.private_key,
    )


if __name__ == "__main__":
    main()
