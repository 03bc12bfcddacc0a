"""A stack of their own and a browser for the tests of the console.

Playwright runs an event loop in the process as long as its browser is open, so the browser is
closed before tests of other folders run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from local.stack import Stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    from local.stack import Stack

    with Stack(simulate=("fal", "runway", "runware"), enforce_iam=True) as started:
        yield started


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    from tests.support.browser import running_browser

    with running_browser() as started:
        yield started


@pytest.fixture
def new_visitor(stack: Stack, browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors, each with a name, credits and a browser window of its own."""
    visitors: list[Visitor] = []

    def make(credits_: int = 100, name: str = "", **window: object) -> Visitor:
        name = name or f"user-{uuid.uuid4().hex[:8]}"
        visitor = Visitor(stack, browser, name, credits_, **window)
        visitors.append(visitor)
        return visitor

    yield make
    for visitor in visitors:
        visitor.leave()


@pytest.fixture
def ada(new_visitor: Callable[..., Visitor]) -> Visitor:
    return new_visitor()
