"""The providers that a local stack can simulate: their simulators, and their addresses.

If a provider's key is in the environment, the real provider is used instead of its simulator.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Simulated:
    """How to simulate a provider. `python -m {module}` starts it; `overrides` turns its ready line
    into the provider's part of the template parameter ProviderOverrides."""

    module: str
    key_name: str
    overrides: Callable[[Mapping[str, Any]], dict[str, Any]]


def _hosts(about: Mapping[str, Any]) -> list[str]:
    # A loopback host is only allowed with its port.
    return [urlsplit(str(about["url"])).netloc]


PROVIDERS: Mapping[str, Simulated] = {
    "fal": Simulated(
        "local.fal",
        "FAL_KEY",
        lambda about: {
            "queue_url": about["url"],
            "jwks_url": about["jwks_url"],
            "media_hosts": _hosts(about),
        },
    ),
    "runway": Simulated(
        "local.runway",
        "RUNWAYML_API_SECRET",
        lambda about: {"url": about["url"], "media_hosts": _hosts(about)},
    ),
    "runware": Simulated(
        "local.runware",
        "RUNWARE_API_KEY",
        lambda about: {"url": about["url"], "media_hosts": _hosts(about)},
    ),
}


@dataclass(frozen=True)
class Provider:
    """A provider of a stack. A real provider has its default addresses and no `control_url`."""

    key: str
    url: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    control_url: str | None = None


def keys_in_environment() -> dict[str, str]:
    """The real keys in the environment, by name. Each makes its provider real."""
    names = (known.key_name for known in PROVIDERS.values())
    return {name: os.environ[name] for name in names if os.environ.get(name)}
