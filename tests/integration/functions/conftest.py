"""The account the functions work in, and a provider that does as it is told."""

from __future__ import annotations

import pytest

from clipmint.providers import registry
from tests.integration import moto_aws
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
