"""The owner's keys: which providers are configured, from the secret as it is now."""

from __future__ import annotations

import os

import pytest

from clipmint.providers import registry
from clipmint.providers.base import WebhookSender
from clipmint.providers.fal import Fal
from clipmint.providers.registry import KEY_NAMES, KEYS_FOR_SECONDS, ProviderNotConfigured
from clipmint.providers.runware import Runware
from clipmint.providers.runway import Runway
from tests.support.clock import Clock
from tests.support.moto_aws import KEYS, Aws, write_keys


def test_each_name_leads_to_its_own_adapter_made_once(aws: Aws) -> None:
    write_keys(KEYS)
    made = {name: registry.provider(name) for name in KEY_NAMES}
    assert {name: type(provider) for name, provider in made.items()} == {
        "fal": Fal,
        "runway": Runway,
        "runware": Runware,
    }
    for name, provider in made.items():
        assert provider.name == name
        assert registry.provider(name) is provider
    assert [name for name in made if isinstance(made[name], WebhookSender)] == ["fal", "runware"]
    assert {name: provider.after_unanswered for name, provider in made.items()} == {
        "fal": "wait",
        "runway": "fail",
        "runware": "resubmit",
    }


@pytest.mark.parametrize("name", ["acme", "", "FAL_KEY", "Fal"])
def test_an_unknown_provider_is_not_configured(aws: Aws, name: str) -> None:
    write_keys(KEYS)
    with pytest.raises(ProviderNotConfigured):
        registry.provider(name)


@pytest.mark.parametrize("key", ["", "  ", "\n", None])
def test_a_key_of_nothing_but_space_is_no_key(aws: Aws, key: str | None) -> None:
    write_keys(KEYS | {"RUNWARE_API_KEY": key})
    assert registry.configured() == {"fal", "runway"}
    with pytest.raises(ProviderNotConfigured, match="runware"):
        registry.provider("runware")


def test_space_around_a_key_is_not_part_of_it(aws: Aws) -> None:
    write_keys({"FAL_KEY": " id:secret\n"})
    assert registry.configured() == {"fal"}
    fal = registry.provider("fal")
    write_keys({"FAL_KEY": "id:secret"})
    registry.forget_keys()
    assert registry.provider("fal") is fal


def test_a_secret_without_keys_configures_no_provider(aws: Aws) -> None:
    write_keys({"SOMETHING_ELSE": "x"})
    assert registry.configured() == frozenset()


def test_keys_are_read_anew_after_a_while_and_not_before(
    aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.configured() == {"fal"}
    write_keys(KEYS)
    hands.forward(seconds=KEYS_FOR_SECONDS - 1)
    assert registry.configured() == {"fal"}
    hands.forward(seconds=1)
    assert registry.configured() == {"fal", "runway", "runware"}
    arn = os.environ["PROVIDER_KEYS_ARN"]
    monkeypatch.setenv("PROVIDER_KEYS_ARN", "of-a-secret-that-is-gone")
    hands.forward(seconds=KEYS_FOR_SECONDS - 1)
    assert registry.configured() == {"fal", "runway", "runware"}
    monkeypatch.setenv("PROVIDER_KEYS_ARN", arn)
    write_keys({})
    hands.forward(seconds=1)
    assert registry.configured() == frozenset()


def test_a_key_that_was_replaced_gets_an_adapter_of_its_own(aws: Aws, hands: Clock) -> None:
    before = registry.provider("fal")
    write_keys({"FAL_KEY": "another-id:another-secret"})
    assert registry.provider("fal") is before
    hands.forward(seconds=KEYS_FOR_SECONDS)
    assert registry.provider("fal") is not before


def test_keys_are_read_again_at_once_for_a_provider_without_one(aws: Aws) -> None:
    with pytest.raises(ProviderNotConfigured):
        registry.provider("runway")
    write_keys(KEYS)
    assert isinstance(registry.provider("runway"), Runway)


@pytest.mark.parametrize(
    ("name", "malformed"),
    [("fal", "not-a-pair"), ("runway", "a key with spaces"), ("runware", "zażółć")],
)
def test_a_provider_whose_key_could_not_be_one_is_not_offered(
    aws: Aws, name: str, malformed: str
) -> None:
    write_keys({registry.KEY_NAMES[name]: malformed})
    registry.forget_keys()
    assert name not in registry.configured()


@pytest.mark.parametrize("name", sorted(registry.NAMES))
def test_what_was_paid_for_can_be_fetched_without_a_key(aws: Aws, name: str) -> None:
    write_keys({})
    registry.forget_keys()
    assert registry.media_hosts(name)
