"""fal's webhooks: believed only if verified, and never a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clipmint
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.providers.base import Notice, WebhookCall, WebhookRejected
from clipmint.providers.fal.webhooks import MAX_BODY_BYTES
from tests.support.fal_wire import (
    ENDPOINT,
    HANDLE,
    NOW,
    REQUEST_ID,
    VIDEO,
    Signer,
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
NAMES = [f"x-fal-webhook-{part}" for part in ("request-id", "user-id", "timestamp", "signature")]


def with_header(call: WebhookCall, name: str, value: str | None) -> WebhookCall:
    headers = {key: kept for key, kept in call.headers.items() if key != name}
    return replace(call, headers=headers if value is None else {**headers, name: value})


def read(call: WebhookCall) -> Notice:
    return fal(jwks(SIGNER))[0].read_webhook(call, ENDPOINT)


def test_a_signed_webhook_is_accepted() -> None:
    adapter, wire = fal(jwks(SIGNER))
    assert adapter.read_webhook(SIGNER.call(OK), ENDPOINT) == Notice(HANDLE, Succeeded(VIDEO))
    assert wire.calls == ["GET https://rest.fal.ai/.well-known/jwks.json"]
    assert "authorization" not in wire.requests[0].headers, "the key set is public"


def test_reading_a_webhook_needs_no_key_of_ours() -> None:
    adapter, _ = fal(jwks(SIGNER), key="")
    assert adapter.read_webhook(SIGNER.call(OK), ENDPOINT).outcome == Succeeded(VIDEO)


def test_a_signature_in_capitals_is_the_same_signature() -> None:
    call = SIGNER.call(OK)
    assert read(with_header(call, NAMES[3], call.headers[NAMES[3]].upper())).outcome


@pytest.mark.parametrize("off", [-300, 300])
def test_five_minutes_of_skew_are_allowed(off: int) -> None:
    assert read(SIGNER.call(OK, timestamp=NOW + off)).handle.request_id == REQUEST_ID


@pytest.mark.parametrize("off", [-301, 301, -86_400, 10**11])
def test_a_stale_or_postdated_webhook_is_refused_before_any_key_is_fetched(off: int) -> None:
    adapter, wire = fal()
    with pytest.raises(WebhookRejected):
        adapter.read_webhook(SIGNER.call(OK, timestamp=NOW + off), ENDPOINT)
    assert wire.requests == []


@pytest.mark.parametrize("timestamp", ["", "now", "1e9", "-1", " 1", "١٢٣", "9" * 5000, f"{NOW}.0"])
def test_a_timestamp_that_is_no_number_of_seconds_is_refused(timestamp: str) -> None:
    with pytest.raises(WebhookRejected):
        read(SIGNER.call(OK, timestamp=timestamp))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_refused(name: str) -> None:
    with pytest.raises(WebhookRejected):
        read(with_header(SIGNER.call(OK), name, None))


@pytest.mark.parametrize("signature", ["", "zz" * 64, "00" * 64, "00" * 63, "00" * 65, "é" * 128])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    with pytest.raises(WebhookRejected):
        read(with_header(SIGNER.call(OK), NAMES[3], signature))


@pytest.mark.parametrize("request_id", ["", "a\nb", "a b", "ü", "x" * 257, "\ud800"])
def test_an_id_that_could_shift_the_signed_lines_is_refused(request_id: str) -> None:
    with pytest.raises(WebhookRejected):
        read(with_header(SIGNER.call(OK), NAMES[0], request_id))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"request_id": ' + b"9" * 5000 + b"}",
        b"{}",
        b'{"request_id": null, "status": "OK"}',
        b'{"request_id": "../x", "status": "OK"}',
    ],
)
def test_a_signed_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookRejected):
        read(SIGNER.call(body))


def test_a_huge_body_is_refused_unread() -> None:
    with pytest.raises(WebhookRejected, match="too large"):
        read(SIGNER.call(b" " * (MAX_BODY_BYTES + 1)))


@pytest.mark.parametrize("body", [b"%s\n", b" %s", b"%s\0", b"\xef\xbb\xbf%s"])
def test_the_proof_covers_the_bytes_and_not_what_they_mean(body: bytes) -> None:
    genuine = SIGNER.call(OK)
    with pytest.raises(WebhookRejected, match="signature"):
        read(replace(genuine, body=body % genuine.body))


def test_a_body_about_another_request_than_its_signed_header_is_refused() -> None:
    with pytest.raises(WebhookRejected, match="name different requests"):
        read(SIGNER.call(OK, request_id="another"))


def test_after_a_retry_inside_fal_the_bodys_request_id_is_the_one_that_counts() -> None:
    body = {**OK, "gateway_request_id": "retried-2"}
    assert read(SIGNER.call(body)).handle.request_id == REQUEST_ID
    assert read(SIGNER.call(body, request_id="retried-2")).handle.request_id == REQUEST_ID


@pytest.mark.parametrize(
    "members",
    [
        {"payload": None, "payload_error": "Payload could not be serialized"},
        {"payload": {}},
        {"payload": {"video": {"url": "javascript:alert(1)"}}},
        {"payload": "text"},
        {"status": "PAUSED"},
        {"status": None},
        {"status": "ERROR", "error": "Invalid status code: 422", "payload": None},
    ],
)
def test_a_verified_webhook_with_too_little_data_is_a_hint_to_poll(
    members: dict[str, object],
) -> None:
    assert read(SIGNER.call({**OK, **members})) == Notice(HANDLE, None)


@pytest.mark.parametrize(
    ("error", "payload", "code"),
    [
        (
            "Invalid status code: 422",
            {"detail": [{"type": "content_policy_violation", "msg": "flagged"}]},
            FailureCode.CONTENT_POLICY,
        ),
        ("Invalid status code: 403", {"detail": "User is locked"}, FailureCode.OWNER_ACCOUNT),
        ("Invalid status code: 422", {"detail": "?"}, FailureCode.INVALID_INPUT),
        (
            "x",
            {"detail": "cancelled", "error_type": "client_cancelled"},
            FailureCode.CANCELLED,
        ),
        (None, {"detail": "?"}, FailureCode.PROVIDER_ERROR),
        (7, {}, FailureCode.PROVIDER_ERROR),
    ],
)
def test_an_error_webhook_is_a_failure_by_the_same_table(
    error: object, payload: object, code: FailureCode
) -> None:
    notice = read(SIGNER.call({**OK, "status": "ERROR", "error": error, "payload": payload}))
    assert isinstance(notice.outcome, Failed)
    assert notice.outcome.code is code


headers = st.dictionaries(
    st.sampled_from([*NAMES, "content-type"]),
    st.one_of(
        st.text(max_size=300),
        st.text("0123456789abcdef", min_size=128, max_size=128),
        st.integers(NOW - 300, NOW + 300).map(str),
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(headers, st.binary(max_size=200))
def test_no_unsigned_webhook_is_accepted_or_crashes(changed: dict[str, str], body: bytes) -> None:
    genuine = SIGNER.call(OK)
    with pytest.raises(WebhookRejected):
        read(WebhookCall(headers={**genuine.headers, **changed}, body=body))


@given(st.data())
def test_a_genuine_webhook_with_any_change_is_rejected(data: st.DataObject) -> None:
    genuine = SIGNER.call(OK)
    name = data.draw(st.sampled_from([*NAMES, "body"]))
    if name == "body":
        at = data.draw(st.integers(0, len(genuine.body) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda new: new != genuine.body[at]))
        changed = replace(genuine, body=genuine.body[:at] + bytes([byte]) + genuine.body[at + 1 :])
    else:
        old = genuine.headers[name]
        at = data.draw(st.integers(0, len(old) - 1))
        letter = data.draw(st.characters().filter(lambda new: new.lower() != old[at].lower()))
        changed = with_header(genuine, name, old[:at] + letter + old[at + 1 :])
    with pytest.raises(WebhookRejected):
        read(changed)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "request_id": json_values | st.just(REQUEST_ID),
            "gateway_request_id": json_values | st.just(REQUEST_ID),
            "status": json_values | st.sampled_from(["OK", "ERROR"]),
            "payload": json_values,
            "error": json_values,
            "error_type": json_values,
        },
    )
)
def test_everything_fal_signs_is_read_or_refused_but_never_a_crash(body: dict[str, object]) -> None:
    try:
        notice = read(SIGNER.call(json.dumps(body).encode()))
    except WebhookRejected:
        return
    assert notice.handle.request_id == body["request_id"]


def test_importing_the_adapter_imports_neither_httpx_nor_cryptography() -> None:
    code = (
        "import sys; from clipmint.providers.fal import Fal, FalSettings; Fal(FalSettings()); "
        "print(sorted({'httpx', 'httpcore', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(clipmint.__file__).parents[1])},
    )
    assert done.stdout.strip() == "[]"
