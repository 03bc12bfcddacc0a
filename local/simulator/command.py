"""The command line of every simulator: a port, settings, and a certificate for TLS.

``--set`` takes any member of the simulator's settings, its value as JSON or as plain text.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.types import ASGIApp

from local.simulator.control import Settings
from local.simulator.serving import serve

S = TypeVar("S", bound=Settings)


def run(
    module: str,
    *,
    about: str | None,
    settings_type: type[S],
    create_app: Callable[[S, str], ASGIApp],
    describe: Callable[[S, str], Mapping[str, object]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse ``arguments`` (None: the process's own) and serve until stopped.

    ``create_app`` and ``describe`` get the settings and the base URL. The result of ``describe`` is
    printed as one line of JSON, after the URLs of the control endpoint and the CDN.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--certificate", type=Path, help="speak TLS with this PEM chain")
    parser.add_argument("--private-key", type=Path)
    options = parser.parse_args(arguments)
    try:
        settings = settings_type.model_validate(dict(options.set))
    except ValidationError as error:
        parser.error(str(error))
    serve(
        lambda url: create_app(settings, url),
        lambda url: {
            "url": url,
            "control_url": f"{url}/control",
            "media_url": f"{url}/files",
            **describe(settings, url),
        },
        port=options.port,
        certificate=options.certificate,
        private_key=options.private_key,
    )


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
