"""A cold start imports what its function needs at once, and nothing that can wait.

Counted are modules, which do not depend on how busy a computer is: loaded in a fresh interpreter
with the function's own search path, the standard library left out.

The local stack forks its workers from a process in which the layers' modules are loaded. So a
handler that uses a module without importing it would work there, and fail on AWS. Here it fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from benchmarks import imports
from local.deploy import ROOT

MOST_MODULES = {
    "generate": 465,
    "status": 391,
    "projects": 392,
    "cancel": 390,
    "doors": 435,
    "webhooks": 291,
    "purchases": 282,
    "admin": 410,
    "operator": 429,
    "actions": 391,
    "submit": 356,
    "track": 292,
    "migrate": 379,
    "settle": 283,
    "sweep": 304,
    "expire": 295,
    "events": 294,
    "deliver": 301,
    "usage": 280,
    "seed": 286,
}
"""How many a function may load. The room above what it loads today is ten: a module of ours fits
in, a third-party package does not. Raise one knowingly, with `make bench` before and after.
"""

NEVER = (
    # Tracing belongs to the platform; botocore and httpx are the clients for AWS and the providers.
    "aws_xray_sdk",
    "fal_client",
    "runwayml",
    "runware",
    "aiohttp",
    "numpy",
    # Of development and the local stack.
    "hypothesis",
    "moto",
    "pytest",
    "yaml",
)
"""What no function loads, ever."""

LATER = (
    *("httpx", "httpcore", "anyio", "cryptography", "PIL", "av", "email_validator"),
    # Of Apple's library.
    *("appstoreserverlibrary", "attr", "cattrs", "jwt", "OpenSSL", "requests"),
)
"""What a function loads only when a request needs it."""

AT_ONCE: Mapping[str, frozenset[str]] = {
    "migrate": frozenset({"httpx", "av"}),
    "deliver": frozenset({"httpx"}),
}
"""The part of it that a function may load at once, because each of its requests needs it."""


@pytest.fixture(scope="module")
def paths() -> Iterator[dict[str, list[str]]]:
    """The search path of each function."""
    with imports.search_paths() as paths:
        yield paths


def test_every_function_has_a_ceiling(paths: dict[str, list[str]]) -> None:
    assert paths.keys() == MOST_MODULES.keys()
    assert paths.keys() == {handler.parent.name for handler in ROOT.glob("functions/*/app.py")}
    assert imports.http_functions() <= paths.keys()


@pytest.mark.parametrize("name", MOST_MODULES)
def test_a_function_is_importable_stays_light_and_imports_nothing_that_can_wait(
    name: str, paths: dict[str, list[str]]
) -> None:
    packages = Counter(module.partition(".")[0] for module in imports.modules(paths[name]))
    # A limit that is far too high prevents nothing.
    assert MOST_MODULES[name] - 20 <= packages.total() <= MOST_MODULES[name], packages.most_common()
    assert {"clipmint", "botocore"} <= packages.keys()
    assert not packages.keys() & set(NEVER)
    assert packages.keys() & set(LATER) <= AT_ONCE.get(name, frozenset())
