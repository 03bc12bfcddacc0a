"""A scripted wire below httpx, for adapters of any provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class Wire:
    """Answers requests in the order scripted, and remembers them."""

    replies: list[Reply]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.requests]
