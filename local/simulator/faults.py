"""Planned faults: which event fails, how, and how often.

A simulator declares its fault kinds in a catalogue (`Kind`). A test arms rules. At every point
where a fault can occur the simulator asks the book for one (`FaultBook.take`). A rule fires on the
events that match it, from the ``nth`` on, ``times`` times. Rules are checked in the order in which
they were armed; at most one fires at an event.

::

    FaultError   the rule names an unknown kind, parameter or value
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

Params = Mapping[str, Any]


class FaultError(ValueError):
    """A rule that cannot be armed. The text of the error gives the reason."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: the point where it occurs, its description, its parameters' defaults."""

    point: str
    doc: str
    defaults: Params = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that occurs now."""

    kind: str
    params: Params


@dataclass(frozen=True, slots=True)
class Event:
    """The facts of an event that a rule is matched against."""

    endpoint: str
    prompt: str


@dataclass(slots=True)
class Rule:
    """An armed fault. ``times`` of None means every time."""

    rule_id: int
    fault: Fault
    point: str
    endpoint: str | None
    prompt_contains: str | None
    nth: int
    times: int | None
    seen: int = 0
    fired: int = 0

    def strikes(self, event: Event) -> bool:
        """Count ``event`` if it matches. Returns whether the rule fires on it."""
        if self.endpoint is not None and self.endpoint != event.endpoint:
            return False
        if self.prompt_contains is not None and self.prompt_contains not in event.prompt:
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.rule_id,
            "match": {
                "endpoint": self.endpoint,
                "prompt_contains": self.prompt_contains,
                "nth": self.nth,
            },
            "times": self.times,
            "fault": {"kind": self.fault.kind, **self.fault.params},
            "seen": self.seen,
            "fired": self.fired,
        }


class FaultBook:
    """The armed rules of one simulator."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self.kinds = kinds
        self.rules: list[Rule] = []
        self._ids = count(1)

    def arm(self, document: object) -> Rule:
        """Arm a rule from its JSON form. Raises `FaultError` if it is not valid."""
        rule = _mapping(document, "rule", {"match", "times", "fault"})
        match = _mapping(rule.get("match") or {}, "match", {"endpoint", "prompt_contains", "nth"})
        fault = _mapping(rule.get("fault"), "fault", None)
        name = fault.pop("kind", None)
        kind = self.kinds.get(name) if isinstance(name, str) else None
        if kind is None or not isinstance(name, str):
            raise FaultError(f"unknown fault kind {name!r}; there are {', '.join(self.kinds)}")
        for key, value in fault.items():
            _check_parameter(name, kind, key, value)
        armed = Rule(
            rule_id=next(self._ids),
            fault=Fault(name, {**kind.defaults, **fault}),
            point=kind.point,
            endpoint=_text_or_none(match.get("endpoint"), "match.endpoint"),
            prompt_contains=_text_or_none(match.get("prompt_contains"), "match.prompt_contains"),
            nth=_positive(match.get("nth", 1), "match.nth"),
            times=None
            if rule.get("times", 1) is None
            else _positive(rule.get("times", 1), "times"),
        )
        self.rules.append(armed)
        return armed

    def take(self, point: str, event: Event) -> Fault | None:
        """The fault for ``event`` at ``point``, if any. A returned fault counts as used."""
        for rule in self.rules:
            if rule.point == point and rule.strikes(event):
                return rule.fault
        return None

    def disarm(self, rule_id: int | None = None) -> bool:
        """Remove one rule, or all of them. Returns False if there was nothing to remove."""
        before = len(self.rules)
        self.rules = [r for r in self.rules if rule_id is not None and r.rule_id != rule_id]
        return len(self.rules) < before


def _mapping(value: object, name: str, allowed: set[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FaultError(f"{name} must be an object")
    unknown = set(value) - allowed if allowed is not None else set()
    if unknown:
        raise FaultError(f"{name} has unknown members: {', '.join(sorted(unknown))}")
    return dict(value)


def _check_parameter(name: str, kind: Kind, key: str, value: object) -> None:
    if key not in kind.defaults:
        known = ", ".join(kind.defaults) or "none"
        raise FaultError(f"{name} has no parameter {key!r}; it has {known}")
    default = kind.defaults[key]
    if isinstance(default, bool) or default is None:
        fits = value is None or isinstance(value, bool) or default is None
    elif isinstance(default, int | float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, type(default))
    if not fits:
        raise FaultError(f"{name}.{key} must look like {default!r}")


def _text_or_none(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise FaultError(f"{name} must be text")


def _positive(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise FaultError(f"{name} must be a whole number from 1")
