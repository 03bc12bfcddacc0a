"""What our code keeps in memory from one call to the next, and whether a crash removed it.

A killed process loses all its memory. All crashes of the matrix happen in one process, so what a
function kept is dropped explicitly (`moto_aws.forget_answers`), from a list maintained by hand.
`survivors` compares every module of ours with its state right after its import, and names what that
list has missed.

What a library's object keeps inside itself is not inspected, unless it is a container, too.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from pynamodb.models import Model

import clipmint
from local.deploy import ROOT

WATCHED = (
    "clipmint",
    "functions",
    "aws_lambda_powertools.utilities.circuit_breaker",
    "aws_lambda_powertools.utilities.idempotency",
)
"""Our modules, and those that cache responses for us."""

_CLIENT = "a client or connection: it knows an endpoint, and no answers"
_WORLD = "the world's own, for the whole run"

STAYS: Mapping[str, str] = {
    "clipmint.providers.circuit.store": "a client; its answers are forgotten with it",
    **{
        f"clipmint.aws.{name}": _CLIENT
        for name in (
            *("dynamodb", "event_bridge", "functions", "s3", "s3_for_uploads", "secrets", "sqs"),
            "step_functions",
        )
    },
    "clipmint.aws._session": "settings and credentials that clients are made with, and no answers",
    "clipmint.api.replays.powertools": "a client and settings; its local cache is off",
    "clipmint.orders.placing.STARTS_AT_ONCE": _WORLD,
    "clipmint.api.http_api._reject_unknown_parameters": "derived from the code alone",
    "clipmint.api.http_api._require_admin": "derived from the code alone",
    "clipmint.api.audit_trail.record": "derived from the code alone",
    "clipmint.doors.table.reject_closed": "derived from the code alone",
    "clipmint.records._fields": "fields of dataclasses, derived from the code alone",
    "clipmint.execution.migration._http": _CLIENT,
    "clipmint.events.delivering._http": _CLIENT,
}
"""What a process may keep here although one on Lambda would not, and why that hides no defect."""

_FIXED = ("fixed",)
"""Prefixes of states that cannot change while a name stands for the same value."""

_Cached = type(functools.cache(lambda: None))


def survivors() -> list[str]:
    """What differs from the state right after the import, one sentence each."""
    now = dict(_everything())
    # Each model keeps a client, which holds an endpoint and no responses.
    connections = {
        f"{model.__module__}.{model.__name__}._connection" for model in Model.__subclasses__()
    }
    return [
        f"{name} survived a crash"
        for name in sorted(now.keys() | _AT_IMPORT.keys())
        if name not in STAYS and name not in connections and _has_changed(name, now)
    ]


def taken() -> dict[str, tuple[Any, tuple[Hashable, ...]]]:
    """Everything as it is now, and its state, by name."""
    return {name: (value, _state(value)) for name, value in _everything()}


def _has_changed(name: str, now: Mapping[str, Any]) -> bool:
    if name not in now or name not in _AT_IMPORT:
        return True
    before, state = _AT_IMPORT[name]
    if now[name] is before and state[:1] == _FIXED:
        return False  # most are, and there are thousands
    return _state(now[name]) != state


def _import_all() -> None:
    """Import all our modules, so that none is first seen after something ran."""
    for module in pkgutil.walk_packages(clipmint.__path__, "clipmint."):
        importlib.import_module(module.name)
    for app in sorted(Path(ROOT, "functions").glob("*/app.py")):
        importlib.import_module(f"functions.{app.parent.name}.app")


def _everything() -> Iterator[tuple[str, Any]]:
    """Every global of every module of ours, and every attribute of its classes."""
    for name, module in [*sys.modules.items()]:
        if not _is_ours(name):
            continue
        for attribute, value in _attributes(module):
            if isinstance(value, type) and value.__module__ == name:
                for inner, kept in _attributes(value):
                    yield f"{name}.{attribute}.{inner}", kept
            else:
                yield f"{name}.{attribute}", value


def _is_ours(module: str) -> bool:
    return module.startswith(WATCHED)


def _attributes(of: ModuleType | type) -> Iterator[tuple[str, Any]]:
    return (
        (name, getattr(value, "__func__", value))  # of a static or class method
        for name, value in [*vars(of).items()]
        if not name.startswith("__")
    )


def _state(value: Any, within: tuple[int, ...] = ()) -> tuple[Hashable, ...]:
    """What a value consists of, as an immutable snapshot."""
    if id(value) in within:
        return ("itself",)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return *_FIXED, type(value).__name__, value
    parts = _parts(value)
    if parts is None:
        return *_FIXED, type(value).__module__, type(value).__qualname__
    inside = (_state(part, (*within, id(value))) for part in parts)
    name = "function" if callable(value) else type(value).__qualname__
    return name, frozenset(inside) if isinstance(value, Set) else tuple(inside)


def _parts(value: Any) -> Sequence[Any] | None:
    """What is inside a value; None for what cannot be inspected."""
    if isinstance(value, _Cached):
        size = value.cache_info().currsize if _is_ours(value.__module__) else 0
        return [size] if size else []
    if isinstance(value, FunctionType):
        return _kept_by(value)
    if isinstance(value, Mapping):
        return [*value.items()]
    if isinstance(value, Set | list | tuple | deque | bytearray):
        return [*value]
    if _is_ours(type(value).__module__) and not _is_frozen(type(value)):
        return [*_members(value)]
    return [] if callable(value) else None


def _kept_by(function: FunctionType) -> list[Any]:
    """Default arguments, attributes and closures. Nothing else: a test may replace a function."""
    if not _is_ours(function.__module__):
        return []
    enclosed = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    kept = [function.__defaults__, function.__kwdefaults__, vars(function), enclosed]
    return [one for one in kept if one]


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _is_frozen(kind: type) -> bool:
    """Whether instances are values, which are compared by equality."""
    settings = getattr(kind, "model_config", None) or {}
    dataclass_ = getattr(kind, "__dataclass_params__", None)
    return bool(settings.get("frozen") or (dataclass_ and dataclass_.frozen))


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    yield from vars(value).items() if hasattr(value, "__dict__") else ()
    for kind in type(value).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(value, name):
                yield name, getattr(value, name)


_import_all()
_AT_IMPORT = taken()
