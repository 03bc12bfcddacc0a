"""IAM, if it is enforced: callbacks belong to their state machine, loopback counts as TLS.

- Upstream authorises `states:SendTaskSuccess` and the related calls against every resource; AWS
  (and SAM's StepFunctionsCallbackPolicy) against the state machine that issued the token.
- The bucket policies reject requests without TLS, but the emulator uses plain HTTP on loopback. So
  the AWS port marks each request as a proxy that terminates TLS would.

Not enforced, here or upstream: the state machine's own role.
"""

import json
from typing import Any

from ministack.core import iam_actions

from local.emulator.callbacks import engine
from local.emulator.http_api import Application, Receive, Scope, Send
from local.emulator.settings import Settings
from local.emulator.upstream import corrects


class OverTls:
    """Marks every request as one that arrived over TLS."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await self._application(scope, receive, send)


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings

    @corrects(iam_actions, "extract_resource_arn", digest="82f51700695c")
    def resource_arn(original: Any, service: str, *request: Any) -> Any:
        body = request[3]
        if service == "states" and b"taskToken" in body:
            machine = engine.machine_of(json.loads(body).get("taskToken"))
            if machine is not None:
                return machine
        return original(service, *request)
