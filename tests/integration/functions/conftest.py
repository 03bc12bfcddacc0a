"""The account the functions work in, and providers that do as they are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipmint.providers import registry
from tests.integration import moto_aws
from tests.integration.fal_on_loopback import FalOnLoopback
from tests.integration.scripted_provider import ScriptedProvider

aws_clients = moto_aws.aws_clients
aws = moto_aws.aws_account
hands = moto_aws.hand_moved_clock


@pytest.fixture
def provider(aws: moto_aws.Aws, monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """Stands behind every stage's provider name."""
    scripted = ScriptedProvider()
    monkeypatch.setattr(registry, "provider", lambda _: scripted)
    return scripted


@pytest.fixture
def fal(aws: moto_aws.Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[FalOnLoopback]:
    """The real adapter's other end."""
    with FalOnLoopback() as server:
        monkeypatch.setenv("FAL_QUEUE_URL", server.url)
        monkeypatch.setenv("FAL_JWKS_URL", f"{server.url}/.well-known/jwks.json")
        yield server
