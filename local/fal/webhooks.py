"""fal's webhooks: signed with ED25519, delivered at least once, and with faults on request.

The signature covers four lines, ``request_id \\n user_id \\n timestamp \\n sha256_hex(raw body)``.
A 2xx acknowledges. A redirect is not followed and ends the delivery. After everything else it is
retried, with growing pauses. Every attempt is recorded on the submission.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.fal.settings import FalSettings
from local.fal.tasks import FalRequest
from local.simulator.authorities import authorities
from local.simulator.control import SettingsHolder
from local.simulator.faults import Fault

STALE_SECONDS = 3600
"""The age in seconds of a stale forgery; receivers must reject from 300 s."""


class Signer:
    """fal's signing keys. Two are published, because receivers must try all of them."""

    def __init__(self) -> None:
        self._retired = Ed25519PrivateKey.generate()
        self._active = Ed25519PrivateKey.generate()
        self._foreign = Ed25519PrivateKey.generate()

    def jwks(self) -> dict[str, Any]:
        """The published keys, as the JWKS document."""
        keys = (self._retired, self._active)
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": base64.urlsafe_b64encode(key.public_key().public_bytes_raw())
                    .rstrip(b"=")
                    .decode(),
                }
                for key in keys
            ]
        }

    def headers(
        self, request_id: str, user_id: str, timestamp: int, body: bytes, *, foreign: bool = False
    ) -> dict[str, str]:
        """The four webhook headers; ``foreign`` signs with a key that is not published."""
        digest = hashlib.sha256(body).hexdigest()
        message = "\n".join((request_id, user_id, str(timestamp), digest)).encode()
        key = self._foreign if foreign else self._active
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": str(timestamp),
            "X-Fal-Webhook-Signature": key.sign(message).hex(),
        }


@dataclass(frozen=True, slots=True)
class _Call:
    """One webhook call, ready to be sent."""

    kind: str
    body: bytes
    headers: Mapping[str, str]


class Deliverer:
    """Sends webhooks about finished requests; pass `deliver` to the queue."""

    def __init__(
        self,
        settings: SettingsHolder[FalSettings],
        signer: Signer,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._signer = signer
        # No proxies and no .netrc: a webhook goes directly to its URL.
        self._client = httpx.AsyncClient(
            transport=network, verify=authorities(), follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def deliver(self, request: FalRequest) -> None:
        """Deliver with the request's fault. Returns after the last attempt."""
        fault = request.webhook_fault or Fault("none", {})
        if request.webhook_url is None or fault.kind == "webhook_lost":
            return
        match fault.kind:
            case "webhook_late":
                await asyncio.sleep(float(fault.params["seconds"]))
                await self._pursue(request)
            case "webhook_duplicate":
                for _ in range(int(fault.params["copies"])):
                    await self._pursue(request)
            case "webhook_replayed":
                call = self._genuine(request)
                for _ in range(int(fault.params["copies"])):
                    await self._send(request, call, self._settings.now.webhook_first_timeout)
            case "webhook_forged":
                call = self._forged(request, fault)
                await self._send(request, call, self._settings.now.webhook_first_timeout)
                if fault.params["then_genuine"]:
                    await self._pursue(request)
            case _:
                await self._pursue(request)

    async def _pursue(self, request: FalRequest) -> None:
        """Send until acknowledged. assumption: each attempt has a new signature."""
        settings = self._settings.now
        pause = settings.webhook_backoff
        for attempt in range(settings.webhook_retries + 1):
            first = attempt == 0
            patience = settings.webhook_first_timeout if first else settings.webhook_retry_timeout
            status = await self._send(request, self._genuine(request), patience)
            if status is not None and 200 <= status < 400:
                return  # acknowledged or redirected: both are final
            await asyncio.sleep(pause * settings.time_factor)
            pause = min(pause * settings.webhook_backoff_growth, settings.webhook_backoff_limit)

    async def _send(self, request: FalRequest, call: _Call, patience: float) -> int | None:
        """Make one attempt. Returns the HTTP status, or None if there was no response."""
        record: dict[str, Any] = {
            "attempt": len(request.deliveries) + 1,
            "kind": call.kind,
            "sent_at": time.time(),
            "status": None,
            "error": None,
            "acknowledged": False,
        }
        request.deliveries.append(record)
        try:
            answer = await self._client.post(
                request.webhook_url or "",
                content=call.body,
                headers={"Content-Type": "application/json", **call.headers},
                timeout=patience,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            record["error"] = type(error).__name__
            return None
        else:
            record["status"] = answer.status_code
            record["acknowledged"] = answer.is_success
            return answer.status_code
        finally:
            request.webhook_tried.set()

    def _genuine(self, request: FalRequest) -> _Call:
        body = json.dumps(document(request)).encode()
        return _Call("genuine", body, self._sign(request, body))

    def _forged(self, request: FalRequest, fault: Fault) -> _Call:
        how = fault.params["how"]
        honest = json.dumps(document(request)).encode()
        body = json.dumps({**document(request), **fault.params["members"]}).encode()
        headers: dict[str, str] = {}
        if how == "foreign_key":
            headers = self._sign(request, body, foreign=True)
        elif how == "stale_timestamp":
            headers = self._sign(request, body, age=STALE_SECONDS)
        elif how == "altered_body":
            headers = self._sign(request, honest)
            body = body if body != honest else honest + b" "
        elif how != "unsigned":
            headers = self._sign(request, body)
            headers["X-Fal-Webhook-Signature"] = secrets.token_hex(64)
        return _Call(f"forged: {how}", body, headers)

    def _sign(
        self, request: FalRequest, body: bytes, *, age: int = 0, foreign: bool = False
    ) -> dict[str, str]:
        timestamp = int(time.time()) - age
        user_id = self._settings.now.user_id
        return self._signer.headers(request.request_id, user_id, timestamp, body, foreign=foreign)


def document(request: FalRequest) -> dict[str, Any]:
    """The body of the webhook of a finished request."""
    answer = request.answer
    if answer is None:
        raise ValueError("only a finished request has a webhook")
    body: dict[str, Any] = {
        "request_id": request.request_id,
        "gateway_request_id": request.gateway_request_id,
    }
    if fault := request.suffers("webhook_payload_null"):
        reason = fault.params["payload_error"]
        return {**body, "status": "OK", "payload": None, "payload_error": reason}
    if answer.ok:
        return {**body, "status": "OK", "payload": answer.body()}
    # assumption: cancelled requests are reported like failed ones
    error = answer.error or f"Invalid status code: {answer.status}"
    return {**body, "status": "ERROR", "error": error, "payload": answer.body()}
