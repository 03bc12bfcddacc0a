"""CloudFront: the deployed distribution, at the root of a port of its own.

Upstream serves a distribution's viewers faithfully (the origin's bucket policy, the cache and
header policies of the template) where a request's Host is the distribution's own domain, which no
resolver on this computer knows. And the distribution wants https, which loopback does without, and
so does the bucket's policy, which upstream applies to what the distribution reads even where IAM is
not enforced.
"""

from ministack.core.iam_evaluator import pin_request_origin
from ministack.services import cloudfront

from local.emulator.http_api import Application, Receive, Scope, Send

# ruff: noqa: SLF001


class OwnDistribution:
    """Serves the one deployed distribution at the root of `port`."""

    def __init__(self, application: Application, port: int) -> None:
        self._application = application
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["server"][1] == self._port:
            replaced = {b"host": self._domain().encode(), b"x-forwarded-proto": b"https"}
            kept = [pair for pair in scope["headers"] if pair[0].lower() not in replaced]
            scope = {**scope, "headers": [*kept, *replaced.items()]}
            # Upstream does this itself, but only where IAM is enforced.
            pin_request_origin((scope.get("client") or ("127.0.0.1",))[0], secure_transport=True)
        await self._application(scope, receive, send)

    def _domain(self) -> str:
        """The newest distribution's domain; one nobody has while nothing is deployed."""
        # No request's account yet, so past the account-scoped view of the store.
        domains = [str(found["DomainName"]) for found in cloudfront._distributions._data.values()]
        return domains[-1] if domains else "none.cloudfront.net"
