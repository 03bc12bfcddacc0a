"""The account the functions work in, and scripted providers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipmint.providers import registry
from clipmint.providers.registry import Registry
from tests.support import clock, moto_aws
from tests.support.fal_on_loopback import FalOnLoopback
from tests.support.scripted_provider import (
    ScriptedProvider,
    ScriptedWebhookSender,
    scripted_providers,
)

aws_clients = moto_aws.aws_clients
aws = moto_aws.aws_account
hands = clock.hand_moved_clock


@pytest.fixture
def providers(aws: moto_aws.Aws) -> Iterator[dict[str, ScriptedProvider]]:
    """Stand behind the names of providers; the owner has keys for all of them."""
    scripted = scripted_providers()
    moto_aws.publish_keys(moto_aws.KEYS)
    with registry.use(Registry(lambda name, _: scripted[name])):
        yield scripted


@pytest.fixture
def provider(providers: dict[str, ScriptedProvider]) -> ScriptedWebhookSender:
    """fal's double, where no other provider is needed."""
    found = providers["fal"]
    assert isinstance(found, ScriptedWebhookSender)
    return found


@pytest.fixture
def fal(aws: moto_aws.Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[FalOnLoopback]:
    """The real adapter's other end."""
    with FalOnLoopback() as server:
        moto_aws.override(
            monkeypatch,
            fal={"queue_url": server.url, "jwks_url": f"{server.url}/.well-known/jwks.json"},
        )
        yield server
