"""The app's side of the API: only what an app on a phone can do.

A start has an Idempotency-Key, so it can be retried after any failure. The app waits for the
time in ``Retry-After``.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_SECONDS = 30
ATTEMPTS = 5
ASK_AGAIN = frozenset({409, 429, 503})
"""Statuses that, together with a Retry-After, ask for a retry."""
CHUNK_BYTES = 256 * 1024


class UnexpectedAnswer(Exception):
    """The API answered with an error where the demo expects none."""


class App:
    """One user's (or the owner's) connection to the API. ``headers`` carry the token."""

    def __init__(self, api_url: str, headers: Mapping[str, str]) -> None:
        # The stack is on this computer: ignore the environment's proxies.
        self._client = httpx.Client(
            base_url=api_url, headers=dict(headers), timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: str) -> httpx.Response:
        return self._call("GET", path, params=query)

    def post(
        self, path: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._call("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return self._call("PUT", path, json=body)

    def all_entries(self) -> list[dict[str, Any]]:
        """The user's whole journal, oldest line first."""
        newest_first: list[dict[str, Any]] = []
        query: dict[str, str] = {}
        while True:
            page = self.get("/v1/credits/entries", **query).json()
            newest_first += page["entries"]
            if page["cursor"] is None:
                return newest_first[::-1]
            query = {"cursor": page["cursor"]}

    def _call(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """Raises `UnexpectedAnswer` for an error that a retry does not resolve."""
        for _ in range(ATTEMPTS):
            answer = self._client.request(method, path, **parts)
            if answer.status_code not in ASK_AGAIN or "Retry-After" not in answer.headers:
                break
            time.sleep(retry_after(answer))
        if not answer.is_success:
            raise UnexpectedAnswer(
                f"{method} {path} answered {answer.status_code}: {answer.text[:300]}"
            )
        return answer


def retry_after(answer: httpx.Response) -> float:
    """Seconds until the next request; 2 if the response has no Retry-After."""
    return float(answer.headers.get("Retry-After", 2))


def upload(form: Mapping[str, Any], content: bytes) -> int:
    """Upload a file with a presigned form. Returns S3's status: 204 if it stored the file.

    The form is the permission, so no token is sent.
    """
    answer = _public_client().post(form["url"], data=form["fields"], files={"file": content})
    return answer.status_code


def get_public(url: str) -> tuple[int, bytes]:
    """The status and the body of a public URL, read without a token."""
    answer = _public_client().get(url)
    return answer.status_code, answer.content


def download(url: str, path: Path) -> str:
    """Save the file of a presigned URL. Returns its SHA-256 in hex.

    The URL is the permission, so no token is sent. Raises ``httpx.HTTPStatusError``. A file
    at ``path`` is always complete.
    """
    digest = hashlib.sha256()
    unfinished = path.with_name(path.name + ".part")
    with (
        _public_client().stream("GET", url) as answer,
        unfinished.open("wb") as file,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    unfinished.replace(path)
    return digest.hexdigest()


@functools.cache
def _public_client() -> httpx.Client:
    """A client without a token, for public and presigned URLs and for presigned forms."""
    return httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
