"""fal's side of the wire, for unit tests: scripted answers below httpx, and a webhook signer."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clipmint.providers.base import Task, WebhookCall
from clipmint.providers.fal import Fal, FalSettings, addresses
from tests.support.tasks import task_of
from tests.support.wire import Reply, Wire

KEY = "key-id:key-secret"
NOW = 1_790_000_000
REQUEST_ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
ENDPOINT = "fal-ai/veo3.1"
QUEUE = "https://queue.fal.run"
BASE = f"{QUEUE}/fal-ai/veo3.1/requests/{REQUEST_ID}"
VIDEO = "https://v3b.fal.media/files/b/0a8/output.mp4"
HANDLE = addresses.handle(QUEUE, ENDPOINT, REQUEST_ID, {})


def submission_answer(**changes: object) -> dict[str, object]:
    return {
        "status": "IN_QUEUE",
        "request_id": REQUEST_ID,
        "response_url": BASE,
        "status_url": f"{BASE}/status",
        "cancel_url": f"{BASE}/cancel",
        "queue_position": 0,
    } | changes


def task(**changes: object) -> Task:
    settings: dict[str, object] = {
        "task_id": "1a2b3c4d-0000-4000-8000-000000000001",
        "endpoint": "fal-ai/veo3.1",
        "prompt": "a lighthouse in the rain",
        "resolution": "720p",
        "aspect_ratio": "16:9",
        "duration_seconds": 8,
    }
    return task_of("fal", **(settings | changes))  # type: ignore[arg-type]


def fal(
    *replies: Reply, now: Callable[[], float] = lambda: NOW, **settings: object
) -> tuple[Fal, Wire]:
    """An adapter on a scripted wire."""
    wire = Wire(list(replies))
    given = FalSettings(**({"key": KEY} | settings))
    return Fal(given, httpx.MockTransport(wire), now), wire


def answer(
    status: int, body: object = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """JSON for anything but bytes; the header fal's own answers carry."""
    own = {"x-fal-request-id": REQUEST_ID}
    if isinstance(body, bytes):
        return httpx.Response(status, content=body, headers=headers)
    return httpx.Response(status, json=body, headers={**own, **(headers or {})})


def status_answer(status: str, **members: object) -> httpx.Response:
    code = 200 if status == "COMPLETED" else 202
    return answer(code, {"status": status, "request_id": REQUEST_ID, **members})


class Signer:
    """Signs as fal does, with a key pair of its own."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)

    @property
    def jwk(self) -> dict[str, str]:
        raw = self._key.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return {"kty": "OKP", "crv": "Ed25519", "x": x}

    def call(
        self,
        body: object,
        *,
        request_id: str = REQUEST_ID,
        user_id: str = "user-1",
        timestamp: int | str = NOW,
    ) -> WebhookCall:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = "\n".join([request_id, user_id, str(timestamp), hashlib.sha256(raw).hexdigest()])
        return WebhookCall(
            headers={
                "content-type": "application/json",
                "x-fal-webhook-request-id": request_id,
                "x-fal-webhook-user-id": user_id,
                "x-fal-webhook-timestamp": str(timestamp),
                "x-fal-webhook-signature": self._key.sign(signed.encode()).hex(),
            },
            body=raw,
        )


def jwks(*signers: Signer) -> httpx.Response:
    return httpx.Response(200, json={"keys": [signer.jwk for signer in signers]})
