"""Two emulators with the same small application: ours, and ministack as it comes."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.integration.emulator.small_app import small_app


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with small_app() as running:
        yield running


@pytest.fixture(scope="session")
def stock() -> Iterator[Stack]:
    """ministack without any of our corrections."""
    with small_app(stock=True) as running:
        yield running
