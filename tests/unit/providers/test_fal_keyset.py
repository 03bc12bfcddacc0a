"""fal's webhook keys: fetched rarely, and nothing is believed without them."""

from __future__ import annotations

import httpx
import pytest

from clipmint.providers.base import ProviderUnavailable, WebhookRejected
from tests.support.fal_wire import (
    ENDPOINT,
    NOW,
    REQUEST_ID,
    VIDEO,
    Signer,
    answer,
    fal,
    jwks,
)

SIGNER = Signer(1)
OTHER = Signer(2)
OK = {
    "request_id": REQUEST_ID,
    "gateway_request_id": REQUEST_ID,
    "status": "OK",
    "payload": {"video": {"url": VIDEO}},
}


class Clock:
    def __init__(self) -> None:
        self.time = float(NOW)

    def __call__(self) -> float:
        return self.time


def test_every_published_key_is_tried() -> None:
    adapter, _ = fal(jwks(OTHER, SIGNER))
    assert adapter.read_webhook(SIGNER.call(OK), ENDPOINT).handle.request_id == REQUEST_ID


def test_the_key_set_is_kept_for_a_day() -> None:
    clock = Clock()
    adapter, wire = fal(jwks(SIGNER), jwks(SIGNER), now=clock)
    for hours in (0, 1, 23.9, 24.1):
        clock.time = NOW + hours * 3600
        adapter.read_webhook(SIGNER.call(OK, timestamp=int(clock.time)), ENDPOINT)
    assert len(wire.requests) == 2


def test_a_rotated_key_is_found_by_fetching_the_set_again() -> None:
    clock = Clock()
    adapter, wire = fal(jwks(OTHER), jwks(OTHER, SIGNER), now=clock)
    with pytest.raises(WebhookRejected):
        adapter.read_webhook(SIGNER.call(OK), ENDPOINT)
    clock.time += 61
    assert adapter.read_webhook(SIGNER.call(OK), ENDPOINT).handle.request_id == REQUEST_ID
    assert len(wire.requests) == 2


def test_forged_webhooks_fetch_the_key_set_at_most_once_a_minute() -> None:
    clock = Clock()
    adapter, wire = fal(*[jwks(SIGNER) for _ in range(10)], now=clock)
    for _ in range(180):
        with pytest.raises(WebhookRejected):
            adapter.read_webhook(OTHER.call(OK, timestamp=int(clock.time)), ENDPOINT)
        clock.time += 1
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    "reply",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        answer(500, b""),
        answer(302, b"", {"location": "https://evil.example/jwks.json"}),
        answer(200, b"<html>"),
        answer(200, {"keys": []}),
        answer(200, {"keys": "none"}),
        answer(200, {"keys": [None, 7, {}, {"kty": "RSA"}, {"kty": "OKP", "crv": "Ed25519"}]}),
        answer(200, {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}),
        answer(200, {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "é*"}]}),
        answer(200, {"keys": [{"kty": "OKP", "crv": "X25519", "x": "A" * 43}]}),
    ],
)
def test_without_a_key_set_webhooks_are_rejected_and_delivered_again(
    reply: httpx.Response | Exception,
) -> None:
    adapter, wire = fal(reply)
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            adapter.read_webhook(SIGNER.call(OK), ENDPOINT)
    assert len(wire.requests) == 1, "not asked again within the minute"


def test_known_keys_stay_valid_after_a_failed_refresh() -> None:
    clock = Clock()
    adapter, _ = fal(jwks(SIGNER), answer(503, b""), now=clock)
    adapter.read_webhook(SIGNER.call(OK), ENDPOINT)
    clock.time += 120
    with pytest.raises(ProviderUnavailable):
        adapter.read_webhook(OTHER.call(OK), ENDPOINT)
    assert adapter.read_webhook(SIGNER.call(OK), ENDPOINT).handle.request_id == REQUEST_ID


def test_keys_of_other_kinds_in_the_set_do_not_matter() -> None:
    other_keys: list[object] = [{"kty": "RSA", "n": "x"}, None, {"kty": "OKP", "crv": "Ed448"}]
    adapter, _ = fal(answer(200, {"keys": [*other_keys, {**SIGNER.jwk, "kid": "1", "use": "sig"}]}))
    assert adapter.read_webhook(SIGNER.call(OK), ENDPOINT).handle.request_id == REQUEST_ID
