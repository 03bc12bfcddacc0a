"""The owner's keys: which providers are configured, from the secret as it is now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from clipmint import aws as clients
from clipmint.providers import registry
from clipmint.providers.base import WebhookSender
from clipmint.providers.fal import Fal
from clipmint.providers.keys import (
    KEYS_FOR_SECONDS,
    READ_AGAIN_AFTER_SECONDS,
    KeysUnreadable,
)
from clipmint.providers.registry import KEY_NAMES, ProviderNotConfigured
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


def test_keys_are_read_anew_after_a_while_and_not_before(aws: Aws, hands: Clock) -> None:
    assert registry.configured() == {"fal"}
    write_keys(KEYS)
    hands.forward(seconds=KEYS_FOR_SECONDS - 1)
    assert registry.configured() == {"fal"}
    hands.forward(seconds=1)
    assert registry.configured() == {"fal", "runway", "runware"}
    write_keys({})
    hands.forward(seconds=KEYS_FOR_SECONDS)
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


# ── A secret that cannot be read ─────────────────────────────────────────────────────────────────


def write(text: str) -> None:
    clients.secrets().put_secret_value(SecretId=os.environ["PROVIDER_KEYS_ARN"], SecretString=text)


def client_error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetSecretValue")


TEXTS = [
    "not json",
    "[]",
    '"id:secret"',
    "null",
    "7",
    '{"FAL_KEY": "id:sec',
    '{"FAL_KEY": 5}',
    '{"FAL_KEY": false}',
    '{"FAL_KEY": ["id:secret"]}',
    '{"FAL_KEY": "id:secret", "RUNWARE_API_KEY": {}}',
    "[" * 100_000,
]
ERRORS = [
    client_error("AccessDeniedException", "User is not authorized to perform this action"),
    client_error("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    client_error("InvalidRequestException", "because it was marked for deletion"),
    client_error("DecryptionFailure", "the key cannot be used"),
    client_error("ThrottlingException", "Rate exceeded"),
    EndpointConnectionError(endpoint_url="https://secretsmanager.eu-west-1.amazonaws.com"),
    ReadTimeoutError(endpoint_url="https://secretsmanager.eu-west-1.amazonaws.com"),
]


@pytest.fixture(params=[*TEXTS, *ERRORS, b"binary"], ids=lambda kind: str(kind)[:40])
def break_secret(request: pytest.FixtureRequest, aws: Aws) -> Iterator[Callable[[], None]]:
    """Makes the secret unreadable in one of all ways."""
    events = clients.secrets().meta.events
    event = "before-call.secretsmanager.GetSecretValue"

    def answer(**_: object) -> None:
        raise request.param

    def make_unreadable() -> None:
        if isinstance(request.param, str):
            write(request.param)
        elif isinstance(request.param, bytes):
            clients.secrets().put_secret_value(
                SecretId=os.environ["PROVIDER_KEYS_ARN"], SecretBinary=request.param
            )
        else:
            events.register(event, answer)

    yield make_unreadable
    events.unregister(event, answer)


def test_known_keys_stay_in_use_while_the_secret_cannot_be_read(
    aws: Aws, hands: Clock, break_secret: Callable[[], None]
) -> None:
    fal = registry.provider("fal")
    break_secret()
    hands.forward(seconds=KEYS_FOR_SECONDS)
    for _ in range(2):
        assert registry.provider("fal") is fal
        assert registry.configured() == {"fal"}
        registry.forget_keys()  # one was refused
        with pytest.raises(ProviderNotConfigured):
            registry.provider("runway")
        hands.forward(seconds=READ_AGAIN_AFTER_SECONDS)


def test_a_process_without_keys_raises_one_error_for_every_way(
    aws: Aws, capsys: pytest.CaptureFixture[str], break_secret: Callable[[], None]
) -> None:
    break_secret()
    for _ in range(3):
        with pytest.raises(KeysUnreadable):
            registry.provider("fal")
        with pytest.raises(KeysUnreadable):
            registry.configured()
        registry.forget_keys()
    printed = capsys.readouterr().out
    # Read, and reported, once in so many seconds.
    assert printed.count('"ProviderKeysUnreadable":[1.0]') == 1
    assert "id:sec" not in printed


def test_a_repaired_secret_is_read_within_half_a_minute(aws: Aws, hands: Clock) -> None:
    write("not json")
    with pytest.raises(KeysUnreadable):
        registry.provider("fal")
    write_keys(KEYS)
    hands.forward(seconds=READ_AGAIN_AFTER_SECONDS - 1)
    with pytest.raises(KeysUnreadable):
        registry.provider("fal")
    hands.forward(seconds=1)
    assert registry.configured() == {"fal", "runway", "runware"}


def test_a_secret_without_a_value_has_no_keys(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    created = clients.secrets().create_secret(Name="NewProviderKeys")
    monkeypatch.setenv("PROVIDER_KEYS_ARN", created["ARN"])
    registry.forget()
    assert registry.configured() == frozenset()
    with pytest.raises(ProviderNotConfigured):
        registry.provider("fal")


def test_members_that_are_no_keys_are_ignored(aws: Aws) -> None:
    write_keys({"FAL_KEY": "id:secret", "NOTE": 5, "A_NEWER_PROVIDERS_KEY": {"id": "x"}})
    assert registry.configured() == {"fal"}


@pytest.mark.parametrize("name", sorted(registry.NAMES))
def test_webhooks_are_read_without_a_key(
    aws: Aws, break_secret: Callable[[], None], name: str
) -> None:
    break_secret()
    assert (registry.webhook_reader(name) is not None) is (name != "runway")


def test_an_unknown_provider_has_no_webhooks(aws: Aws) -> None:
    with pytest.raises(ProviderNotConfigured):
        registry.webhook_reader("acme")
