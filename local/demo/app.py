"""The app's side of the API: only what an app on a phone can do.

An order has an Idempotency-Key, so it can be retried after any failure. The app waits for the
time in ``Retry-After``.
"""

from __future__ import annotations

import functools
import time
import uuid
from typing import Any

import httpx

from local.running import RunningStack

TIMEOUT_SECONDS = 30
ATTEMPTS = 5
ASK_AGAIN = frozenset({409, 429, 503})
"""Statuses that, together with a Retry-After, ask for a retry."""


class UnexpectedAnswer(httpx.HTTPError):
    """The API answered with an error where the demo expects none."""


class App(httpx.Client):
    """One user's requests to a stack's API; with ``admin``, the owner's."""

    def __init__(self, stack: RunningStack, user: str, **claims: Any) -> None:
        headers = stack.bearer(user, **claims)
        # The stack is on this computer: ignore the environment's proxies.
        super().__init__(
            base_url=stack.api_url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def request(self, method: str, url: Any, **parts: Any) -> httpx.Response:
        """Raises `UnexpectedAnswer` for an error that a retry does not resolve."""
        for _ in range(ATTEMPTS):
            answer = super().request(method, url, **parts)
            if answer.status_code not in ASK_AGAIN or "Retry-After" not in answer.headers:
                break
            time.sleep(retry_after(answer))
        if not answer.is_success:
            found = f"{answer.status_code}: {answer.text[:300]}"
            raise UnexpectedAnswer(f"{method} {url} answered {found}")
        return answer

    def read(self, path: str, **query: str) -> dict[str, Any]:
        """The JSON object at a path."""
        return dict(self.get(path, params=query).json())

    def credits(self) -> dict[str, Any]:
        """The user's account."""
        return self.read("/v1/credits")

    def journal(self) -> list[dict[str, Any]]:
        """All entries of the user's account, oldest first."""
        page = self.read("/v1/credits/entries")
        newest_first = page["entries"]
        while page["cursor"]:
            page = self.read("/v1/credits/entries", cursor=page["cursor"])
            newest_first += page["entries"]
        return list(reversed(newest_first))

    def grant(self, user: str, amount: int, **more: str) -> dict[str, Any]:
        """As the owner, grant a user credits. Returns the account."""
        body = {"user_id": user, "amount": amount, "reference": f"purchase-{uuid.uuid4()}"}
        return dict(self.post("/v1/admin/grants", json=body | more).json())


def once() -> dict[str, str]:
    """The header of a new order. A retry sends the same one."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def retry_after(answer: httpx.Response) -> float:
    """Seconds until the next request; 2 if the response has no Retry-After."""
    return float(answer.headers.get("Retry-After", 2))


@functools.cache
def public() -> httpx.Client:
    """For public and presigned URLs and for presigned forms, which need no token."""
    return httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
