"""What a check found: nothing to do, a warning, or something that stops the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from operations.installation import Client, Installation


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True)
class Finding:
    """``remedy`` is what the owner does about it; empty if there is nothing to do."""

    level: Level
    text: str
    remedy: str = ""


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warning(text: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, text, remedy)


def blocked(text: str, remedy: str) -> Finding:
    return Finding(Level.BLOCKED, text, remedy)


@dataclass(frozen=True)
class Context:
    """What the checks read. ``template`` is template.yaml as plain data; ``caller`` is an ARN."""

    client: Client
    installation: Installation
    region: str
    account: str
    caller: str
    template: Mapping[str, Any]

    @property
    def stack(self) -> str:
        return self.installation.stack_name

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``."""
        return self.caller.split(":")[1]

    def parameter(self, name: str) -> str:
        """The value that the deployment will use."""
        default = self.template["Parameters"].get(name, {}).get("Default", "")
        return str(self.installation.parameters.get(name, default))
