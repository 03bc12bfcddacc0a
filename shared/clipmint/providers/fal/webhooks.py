"""Verification and content of fal's webhooks.

fal signs ``request id \\n user id \\n timestamp \\n sha256 hex of the raw body`` with Ed25519 and
publishes its keys (docs). The signature covers the raw bytes, so we verify it before we parse
anything. Verification uses public values only: there is no secret that timing could leak.

The signature proves that fal sent the call, but not that it concerns a request of ours: any
customer of fal can register our URL. The secret in the URL and the request id prove that part.

The request is the *body's* ``request_id``. ``gateway_request_id`` differs from it after a retry
inside fal (seen: fal-ai/fal#703). *Assumed*: the signed header may carry either of the two. If it
carries neither, the header belongs to another body, and we reject the call.
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
"""A timestamp that is further off is a replay (docs)."""

MAX_BODY_BYTES = 1 << 20
"""A result is a few kilobytes. We hash no larger body, because anyone can send one."""

# Printable ASCII: no character that could shift the line breaks of the signed message.
_ID = re.compile(r"[\x21-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")


def _header(headers: Mapping[str, str], name: str, shape: re.Pattern[str]) -> str:
    value = headers.get(f"x-fal-webhook-{name}")
    if not isinstance(value, str) or shape.fullmatch(value) is None:
        raise WebhookRejected(f"the header {name} is missing or malformed")
    return value


def prove(call: WebhookCall, keys: KeySet, now: float) -> str:
    """Verify that fal sent ``call`` within the last 300 s. Returns the request id in its header.

    Raises
    ------
    WebhookRejected
        The call is malformed, stale, or signed by no published key.
    ProviderUnavailable
        The published keys are not available.
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
    # Imported here, so that only a function that receives webhooks spends time on the import.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
        except (InvalidSignature, ValueError):  # ValueError: these 32 bytes are not a key
            continue
        return True
    return False


def read(body: bytes, proven_id: str) -> tuple[str, Outcome | None]:
    """The request id in a verified body, and the outcome if the body contains it.

    Raises
    ------
    WebhookRejected
        The body is not a JSON object, has no request id, or another one than its signed header.
    """
    notice = json_object(body)
    if notice is None:
        raise WebhookRejected("the body is not a JSON object")
    request_id = notice.get("request_id")
    if not isinstance(request_id, str) or not is_request_id(request_id):
        raise WebhookRejected("the body names no request")
    if proven_id not in (request_id, notice.get("gateway_request_id")):
        raise WebhookRejected("the body and its header name different requests")
    return request_id, _outcome(notice)


def _outcome(notice: Mapping[str, object]) -> Outcome | None:
    """The outcome, or None where we have to poll for it: no payload (``payload_error`` gives the
    reason: docs), no video in it, an error without a reason, or a status fal does not document."""
    payload = notice.get("payload")
    match notice.get("status"):
        case "OK":
            url = video_url(payload)
            return Succeeded(url) if url else None
        case "ERROR":
            body = payload if isinstance(payload, dict) else None
            types = [*failures.error_types(body, {}), *failures.error_types(notice, {})]
            if body is None and not types:
                return None
            error = notice.get("error")
            return failures.failed(types, failures.status_in(error), failures.message(body), error)
        case _:
            return None
