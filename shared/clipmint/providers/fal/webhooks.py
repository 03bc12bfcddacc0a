"""Proof and content of fal's webhooks.

fal signs ``request id \\n user id \\n timestamp \\n sha256 hex of the raw body`` with Ed25519 and
publishes its keys (docs). The proof covers the bytes as they came, so it is made before anything is
parsed. Verification handles public values only: there is no secret whose comparison could leak by
its timing.

The signature proves that fal sent the call, not that it is about a request of ours: any customer
of fal's may name our URL as theirs. That is what the secret in the URL and the request id are for.

The request is the *body's* ``request_id``. ``gateway_request_id`` is another one after a retry
inside fal (seen: fal-ai/fal#703). *Assumed*: the signed header may carry either of the two; a
header that carries neither belongs to another body, and is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from clipmint.jobs.outcomes import Outcome, Succeeded
from clipmint.providers.base import WebhookCall, WebhookRejected
from clipmint.providers.fal import failures
from clipmint.providers.fal.addresses import is_request_id
from clipmint.providers.fal.keyset import KeySet
from clipmint.providers.fal.results import video_url
from clipmint.providers.transport import json_object

MAX_SKEW_SECONDS = 300
"""Older or newer than this is a replay (docs)."""

MAX_BODY_BYTES = 1 << 20
"""A result is a few kilobytes; no more than this is hashed for a stranger."""

# Printable ASCII: nothing that could move the line breaks of the signed message.
_ID = re.compile(r"[\x21-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")


def _header(headers: Mapping[str, str], name: str, shape: re.Pattern[str]) -> str:
    value = headers.get(f"x-fal-webhook-{name}")
    if not isinstance(value, str) or shape.fullmatch(value) is None:
        raise WebhookRejected(f"the header {name} is missing or malformed")
    return value


def prove(call: WebhookCall, keys: KeySet, now: float) -> str:
    """Prove that fal sent ``call`` within the last 300 s. The request id its header names.

    Raises
    ------
    WebhookRejected
        It is malformed, stale, or signed by no published key.
    ProviderUnavailable
        The published keys could not be had.
    """
    request_id = _header(call.headers, "request-id", _ID)
    user_id = _header(call.headers, "user-id", _ID)
    timestamp = _header(call.headers, "timestamp", _TIMESTAMP)
    signature = bytes.fromhex(_header(call.headers, "signature", _SIGNATURE))
    if abs(now - int(timestamp)) > MAX_SKEW_SECONDS:
        raise WebhookRejected("the timestamp is more than 300 s off")
    if len(call.body) > MAX_BODY_BYTES:
        raise WebhookRejected("the body is too large")
    digest = hashlib.sha256(call.body).hexdigest()
    signed = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode("ascii")

    if not _signed_by_any(keys.current(), signature, signed) and not (
        keys.refresh() and _signed_by_any(keys.current(), signature, signed)
    ):
        raise WebhookRejected("no published key verifies the signature")
    return request_id


def _signed_by_any(keys: Sequence[bytes], signature: bytes, signed: bytes) -> bool:
    # Here, so that only a function that is handed a webhook pays for the import.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
        except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no key
            continue
        return True
    return False


def read(body: bytes, proven_id: str) -> tuple[str, Outcome | None]:
    """The request a proven body is about, and its outcome if the body tells.

    Raises
    ------
    WebhookRejected
        It is no JSON object, names no request, or names another than its signed header does.
    """
    said = json_object(body)
    if said is None:
        raise WebhookRejected("the body is not a JSON object")
    request_id = said.get("request_id")
    if not isinstance(request_id, str) or not is_request_id(request_id):
        raise WebhookRejected("the body names no request")
    if proven_id not in (request_id, said.get("gateway_request_id")):
        raise WebhookRejected("the body is about another request than its header")
    return request_id, _outcome(said)


def _outcome(said: Mapping[str, object]) -> Outcome | None:
    """The outcome, or None where only a poll can tell: no payload (``payload_error`` says why:
    docs), no video in it, no reason for an error, or a status fal has not documented."""
    payload = said.get("payload")
    match said.get("status"):
        case "OK":
            url = video_url(payload)
            return Succeeded(url) if url else None
        case "ERROR":
            body = payload if isinstance(payload, dict) else None
            types = [*failures.error_types(body, {}), *failures.error_types(said, {})]
            if body is None and not types:
                return None
            error = said.get("error")
            return failures.failed(types, failures.status_in(error), failures.message(body), error)
        case _:
            return None
