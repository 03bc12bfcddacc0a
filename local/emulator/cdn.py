"""CloudFront: the deployed distribution, at the root of a port of its own.

Upstream serves a distribution as CloudFront does (with the origin's bucket policy and the cache and
header policies of the template), but only if the request's Host is the distribution's domain, which
no resolver on this computer knows. The distribution and the bucket's policy also require https,
which loopback does not use. Upstream applies that policy to the reads of the distribution even if
IAM is not enforced.
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
            # Upstream does this, but only if IAM is enforced.
            pin_request_origin((scope.get("client") or ("127.0.0.1",))[0], secure_transport=True)
        await self._application(scope, receive, send)

    def _domain(self) -> str:
        """The newest distribution's domain, or an unused one if nothing is deployed."""
        # The account of the request is not known here, so read the store of all accounts.
        domains = [str(found["DomainName"]) for found in cloudfront._distributions._data.values()]
        return domains[-1] if domains else "none.cloudfront.net"
