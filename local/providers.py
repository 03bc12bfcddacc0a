"""The providers a local stack can play: their simulators, and what the template calls them.

A provider whose key is in the environment is real instead, and then nothing is simulated for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Simulated:
    """How to play a provider: `python -m {module}`, whose ready line `parameters` turns into
    template parameters."""

    module: str
    key_name: str
    real_url: str
    parameters: Callable[[Mapping[str, Any]], dict[str, str]]


def _netloc(about: Mapping[str, Any]) -> str:
    # A loopback host is only allowed with its port.
    return urlsplit(str(about["url"])).netloc


PROVIDERS: Mapping[str, Simulated] = {
    "fal": Simulated(
        "local.fal",
        "FAL_KEY",
        "https://queue.fal.run",
        lambda about: {
            "FalQueueUrl": about["url"],
            "FalJwksUrl": about["jwks_url"],
            "FalMediaHosts": _netloc(about),
        },
    ),
    "runway": Simulated(
        "local.runway",
        "RUNWAYML_API_SECRET",
        "https://api.dev.runwayml.com",
        lambda about: {"RunwayUrl": about["url"], "RunwayMediaHosts": _netloc(about)},
    ),
    "runware": Simulated(
        "local.runware",
        "RUNWARE_API_KEY",
        "https://api.runware.ai/v1",
        lambda about: {"RunwareUrl": about["url"], "RunwareMediaHosts": _netloc(about)},
    ),
}


@dataclass(frozen=True)
class Provider:
    """A provider of a stack. `control_url` is None for a real one."""

    url: str
    key: str
    parameters: Mapping[str, str]
    control_url: str | None = None


def keys_in_environment() -> dict[str, str]:
    """The real keys there are: each makes its provider real."""
    names = (known.key_name for known in PROVIDERS.values())
    return {name: os.environ[name] for name in names if os.environ.get(name)}
