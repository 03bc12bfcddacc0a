"""Requests to the HTTP API, as an app sends them, with the retries that the API asks for."""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from operations.steps import Unexpected

TIMEOUT_SECONDS = 60
ATTEMPTS = 6
LONGEST_WAIT_SECONDS = 20
RETRIED = frozenset({409, 429, 503})
"""Statuses that, together with a Retry-After, ask for a retry."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def http_client(base_url: str = "", headers: Mapping[str, str] | None = None) -> httpx.Client:
    """An HTTP client. The environment's proxies apply, but not to this computer."""
    local = urlsplit(base_url).hostname in LOOPBACK
    return httpx.Client(
        base_url=base_url,
        headers=headers,
        timeout=TIMEOUT_SECONDS,
        trust_env=not local,
        verify=_tls(),
    )


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for all clients: loading the authorities takes longer than a request."""
    return httpx.create_ssl_context()


class AppClient:
    """The API with one token, or with none."""

    def __init__(self, api_url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = http_client(api_url, headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        expect: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request. All requests of this program can be repeated.

        Raises `Unexpected` for another status than the expected one, `httpx.HTTPError` without a
        response.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(1)
                continue
            if response.status_code == expect or attempt == ATTEMPTS:
                break
            if response.status_code not in RETRIED or "Retry-After" not in response.headers:
                break
            time.sleep(min(float(response.headers["Retry-After"]), LONGEST_WAIT_SECONDS))
        if response.status_code != expect:
            raise Unexpected(
                f"{method} {path} answered {response.status_code} instead of {expect.value}:"
                f" {response.text[:300]}"
            )
        return response

    def get(self, path: str) -> Any:
        """The JSON body of a GET that succeeds."""
        return self.call("GET", path).json()


def fetch(url: str) -> httpx.Response:
    """GET a public or presigned URL, without a token. Raises `httpx.HTTPError`, `Unexpected`."""
    with http_client(url) as client:
        response = client.get(url, follow_redirects=False)
    if response.status_code != HTTPStatus.OK:
        where = urlsplit(url)
        raise Unexpected(
            f"GET {where.hostname}{where.path} answered {response.status_code} instead of 200:"
            f" {response.text[:300]}"
        )
    return response
