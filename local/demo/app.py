"""The app's side of the API: what a phone would do, and nothing a phone could not.

A start carries an Idempotency-Key, so it may be sent again whatever became of the first attempt;
``Retry-After`` is honoured wherever the API sends it.
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
"""Statuses that, with a Retry-After, mean: later."""
CHUNK_BYTES = 256 * 1024


class UnexpectedAnswer(Exception):
    """The API answered with an error where the demo expects none."""


class App:
    """One user's (or the owner's) connection to the API. ``headers`` carry the token."""

    def __init__(self, api_url: str, headers: Mapping[str, str]) -> None:
        # No proxy of the environment stands between a laptop and itself.
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
        """Raises `UnexpectedAnswer` for an error that asking again does not mend."""
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
    """When to ask again, in seconds from now; 2 where the API does not say."""
    return float(answer.headers.get("Retry-After", 2))


def upload(form: Mapping[str, Any], content: bytes) -> int:
    """Send a file with a presigned form; what S3 answers, 204 if it has taken it.

    The form is the permission: no token goes with it.
    """
    answer = _anybody().post(form["url"], data=form["fields"], files={"file": content})
    return answer.status_code


def look(url: str) -> tuple[int, bytes]:
    """What anybody gets from a public URL: a status and a body."""
    answer = _anybody().get(url)
    return answer.status_code, answer.content


def download(url: str, path: Path) -> str:
    """Save what a presigned URL leads to; the SHA-256 of what came, in hex.

    The URL is the permission: no token goes with it. Raises ``httpx.HTTPStatusError``. A file that
    is there was downloaded to its end.
    """
    digest = hashlib.sha256()
    unfinished = path.with_name(path.name + ".part")
    with (
        _anybody().stream("GET", url) as answer,
        unfinished.open("wb") as file,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    unfinished.replace(path)
    return digest.hexdigest()


@functools.cache
def _anybody() -> httpx.Client:
    """For URLs and forms that are their own permission."""
    return httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
