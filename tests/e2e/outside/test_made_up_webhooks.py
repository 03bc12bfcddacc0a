"""Webhooks made up byte by byte and sent over a socket: none changes the job that its address
names.

`tests/integration/functions/test_webhooks_fuzzed.py` makes up many more, without a gateway.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from local.running import RunningStack
from tests.e2e.test_webhook_forgery import give_up, webhook_url
from tests.support.backstage import job_item, ledger_items, until_tracked
from tests.support.customer import Customer

SIGNED = {
    "X-Fal-Webhook-Request-Id": "764cabcf-b745-4b3e-ae38-1200304cf45b",
    "X-Fal-Webhook-User-Id": "user-1",
    "X-Fal-Webhook-Timestamp": "{now}",
    "X-Fal-Webhook-Signature": "ab" * 64,
}
BODY = json.dumps({"request_id": SIGNED["X-Fal-Webhook-Request-Id"], "status": "OK"}).encode()
Made = tuple[str, list[tuple[str, str]], bytes]


def made_up(path: str) -> Iterator[Made]:
    """Path, headers and body of each."""
    plain = list(SIGNED.items())
    yield path, [], b""
    yield path, plain, BODY
    yield path, [*plain, *plain], BODY
    for name in SIGNED:
        yield path, [*plain, (name, "x")], BODY
        yield path, [(name, "x"), *plain], BODY
        yield path, [(n.upper() if n == name else n, v) for n, v in plain], BODY
        yield path, [(n, "" if n == name else v) for n, v in plain], BODY
        yield path, [(n, "9" * 6_000 if n == name else v) for n, v in plain], BODY
        yield path, [(n, "é\x80\xff" if n == name else v) for n, v in plain], BODY
    for encoding in ("gzip", "br", "base64", "identity, gzip"):
        yield path, [*plain, ("Content-Encoding", encoding)], BODY
    for kind in ("application/octet-stream", "multipart/form-data; boundary=x", "text/xml"):
        yield path, [*plain, ("Content-Type", kind)], BODY
    for body in (b"\x00\xff\xfe", b"[" * 100_000, b"{" + b" " * 2_000_000 + b"}", BODY * 2):
        yield path, plain, body
    base, provider, job_id, stage, token = path.rsplit("/", 4)
    for wrong in (
        f"{base}/{provider}/{job_id}/{stage}/{token}%00",
        f"{base}/{provider}/{job_id}/{stage}/%ED%A0%80",
        f"{base}/{provider}/{job_id}/{stage}/%FF",
        f"{base}/{provider}/{job_id}/{stage}/{token}/..%2f",
        f"{base}/{provider}/{job_id}/image/{token}",
        f"{base}/runware/{job_id}/{stage}/{token}",
        f"{base}/{provider}/%2e%2e/{stage}/{token}",
        f"{base}/{provider}/{job_id}/{stage}/",
    ):
        yield wrong, plain, BODY


def status_of(address: tuple[str, int], made: Made) -> tuple[int, bytes]:
    path, headers, body = made
    head = [f"POST {path} HTTP/1.1", f"Host: {address[0]}", "Connection: close"]
    head += [f"{name}: {value.format(now=int(time.time()))}" for name, value in headers]
    head += [f"Content-Length: {len(body)}", "", ""]
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall("\r\n".join(head).encode("latin-1") + body)
        with connection.makefile("rb") as answer:
            raw = answer.read()
    return int(raw.split(b" ", 2)[1]), raw.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("model_id", ["patient-t2v", "runware-veo-3.1"])
def test_no_forged_webhook_changes_a_job(stack: RunningStack, ada: Customer, model_id: str) -> None:
    provider = stack.simulators["fal" if model_id == "patient-t2v" else "runware"]
    provider.arm("slow_generation", seconds=3_600, times=None, prompt_contains=ada.word)
    job_id = ada.order(model_id=model_id)
    until_tracked(stack, job_id)
    parts = urlsplit(webhook_url(stack, job_id))
    assert parts.hostname
    assert parts.port
    before = ledger_items(stack, ada.user_id)
    seen = set()
    for made in made_up(parts.path):
        status, body = status_of((parts.hostname, parts.port), made)
        assert status in {400, 401, 404, 413, 431, 503}, (made[0], made[1], body[:300])
        assert b"Traceback" not in body
        seen.add(status)
    assert seen >= {401, 404}
    video = job_item(stack, job_id)["video"]
    assert video.get("outcome") is None
    assert ledger_items(stack, ada.user_id) == before
    assert ada.video(job_id)["status"] == "processing"
    give_up(stack, ada, job_id)
