"""`ProviderOverrides`: what the owner may change, and what happens with a malformed value."""

from __future__ import annotations

import json

import httpx
import pytest

from clipmint.providers import registry
from clipmint.providers.base import Accepted
from clipmint.providers.fal import Fal
from clipmint.providers.registry import InvalidOverrides
from clipmint.providers.runway import Runway
from tests.support.fal_wire import task

FAL_KEY = "key-id:secret"
OTHER = "https://queue.example"


def test_an_override_replaces_one_setting_and_keeps_the_other_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []

    def unavailable(_: object, request: httpx.Request) -> httpx.Response:
        called.append(request.url.host)
        return httpx.Response(503)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", unavailable)
    for overrides in ({"media_hosts": ["a.example", ".b.example"]}, {"queue_url": OTHER}):
        monkeypatch.setenv("PROVIDER_OVERRIDES", json.dumps({"fal": overrides}))
        fal = registry.make_adapter("fal", FAL_KEY)
        assert isinstance(fal, Fal)
        assert fal.media_hosts == registry.media_hosts("fal")
        assert list(fal.media_hosts) == overrides.get("media_hosts", [".fal.media"])
        assert not isinstance(fal.submit(task()), Accepted)
    assert called == ["queue.fal.run", "queue.example"]
    assert registry.media_hosts("runway") == ("dnznrvs05pmza.cloudfront.net",)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"fal": {}},
        {"fal": {"queue_url": OTHER, "jwks_url": f"{OTHER}/keys", "media_hosts": [".fal.media"]}},
        {"runway": {"url": "http://127.0.0.1:8080", "media_hosts": ["127.0.0.1:8080"]}},
        {"fal": {"queue_url": OTHER}, "runware": {"url": f"{OTHER}/v1"}},
    ],
)
def test_valid_overrides_are_accepted(overrides: object) -> None:
    registry.check_overrides(json.dumps(overrides))


MALFORMED = [
    ("{", "PROVIDER_OVERRIDES: Invalid JSON"),
    ("", "PROVIDER_OVERRIDES: Invalid JSON"),
    ("[]", "PROVIDER_OVERRIDES: Input should be a valid dictionary"),
    ('{"fal": "https://queue.example"}', "PROVIDER_OVERRIDES.fal: Input should be a valid dict"),
    ('{"Fal": {}}', "unknown provider: Fal"),
    ('{"fal": {}, "acme": {}}', "unknown provider: acme"),
    ('{"fal": {"queue_ur": "https://queue.example"}}', "fal.queue_ur: Extra inputs"),
    ('{"fal": {"queue_url": 5}}', "fal.queue_url: Input should be a valid string"),
    ('{"fal": {"queue_url": "queue.example"}}', "fal.queue_url: Value error, not an https URL"),
    ('{"fal": {"queue_url": "http://queue.example"}}', "fal.queue_url: Value error, not an https"),
    ('{"fal": {"media_hosts": ".fal.media"}}', "fal.media_hosts: Input should be a valid tuple"),
    ('{"fal": {"media_hosts": []}}', "fal.media_hosts: Tuple should have at least 1 item"),
    ('{"fal": {"media_hosts": ["https://x.example/"]}}', "fal.media_hosts.0: Value error, not a"),
    ('{"fal": {"media_hosts": ["x.example:443"]}}', "fal.media_hosts.0: Value error, not a host"),
    ('{"fal": {"key": "key-id:secret"}}', "fal.key: a key belongs in the secret"),
]


@pytest.mark.parametrize(("text", "message"), MALFORMED)
def test_a_malformed_value_raises_an_error_that_names_the_setting(text: str, message: str) -> None:
    with pytest.raises(InvalidOverrides) as error:
        registry.check_overrides(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [text for text, _ in MALFORMED])
def test_a_provider_with_malformed_overrides_is_not_configured_but_its_files_can_be_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv("PROVIDER_OVERRIDES", text)
    assert registry.make_adapter("fal", FAL_KEY) is None
    assert registry.media_hosts("fal") == (".fal.media",)


def test_malformed_overrides_of_one_provider_leave_the_others_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROVIDER_OVERRIDES", '{"fal": {"url": "https://queue.example"}}')
    assert registry.make_adapter("fal", FAL_KEY) is None
    assert isinstance(registry.make_adapter("runway", "key_secret"), Runway)


def test_a_provider_without_a_variable_has_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROVIDER_OVERRIDES", raising=False)
    fal = registry.make_adapter("fal", FAL_KEY)
    assert isinstance(fal, Fal)
    assert fal.media_hosts == (".fal.media",)
