"""A cold start imports what its function needs at once, and nothing that can wait.

Counted are modules, which do not depend on how busy a computer is: loaded in a fresh interpreter
with the function's own search path, the standard library left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from benchmarks import imports

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
def loaded() -> Iterator[dict[str, Counter[str]]]:
    """Modules by package, by function."""
    with imports.search_paths() as paths:
        yield {
            name: Counter(module.partition(".")[0] for module in imports.modules(path))
            for name, path in paths.items()
        }


def test_every_function_has_a_ceiling(loaded: dict[str, Counter[str]]) -> None:
    assert loaded.keys() == MOST_MODULES.keys()
    assert imports.http_functions() <= loaded.keys()


@pytest.mark.parametrize("name", MOST_MODULES)
def test_a_function_stays_light(name: str, loaded: dict[str, Counter[str]]) -> None:
    packages = loaded[name]
    # A limit that is far too high prevents nothing.
    assert MOST_MODULES[name] - 20 <= packages.total() <= MOST_MODULES[name], packages.most_common()


@pytest.mark.parametrize("name", MOST_MODULES)
def test_a_function_imports_nothing_that_can_wait(
    name: str, loaded: dict[str, Counter[str]]
) -> None:
    packages = loaded[name]
    assert {"clipmint", "botocore"} <= packages.keys()
    assert not packages.keys() & set(NEVER)
    assert packages.keys() & set(LATER) <= AT_ONCE.get(name, frozenset())
