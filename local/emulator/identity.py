"""IAM, if it is enforced: who may invoke a function, who may call back, and what counts as TLS.

- Upstream authorises `states:SendTaskSuccess` and the related calls against every resource; AWS
  (and SAM's StepFunctionsCallbackPolicy) against the state machine that issued the token.
- The bucket policies reject requests without TLS, but the emulator uses plain HTTP on loopback. So
  the AWS port marks each request as a proxy that terminates TLS would.
- Upstream checks neither the role of a state machine nor the policy of a function. Here a state
  machine needs `lambda:InvokeFunction` on the ARN that it invokes: a role that names a function
  without its alias does not allow the alias, and the other way round. The same is true of the
  policies that admit an HTTP API or a rule (`invocations` asks for them).
"""

import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, lambda_svc

from local.emulator.callbacks import engine
from local.emulator.http_api import Application, Receive, Scope, Send
from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001


class OverTls:
    """Marks every request as one that arrived over TLS."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await self._application(scope, receive, send)


def role_allows(role: str, action: str, resource: str) -> bool:
    """Whether a role, by its ARN, may do something."""
    name, account = role.rpartition("/")[2], role.split(":")[4]
    context = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
    )
    policies = iam_evaluator._gather_role_policies(name, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    return bool(iam_evaluator.evaluate(context, policies, *limits).decision == "Allow")


def policy_allows(service: str, source: str, function: str) -> bool:
    """Whether the policy of a function lets a service invoke it (by this ARN) for a resource."""
    found = lambda_svc.function_policy_for_arn(function)
    context = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="Service",
        principal_account=get_account_id(),
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=get_region(),
        service_context={"aws:sourcearn": source},
    )
    policy = found[0] if found else None
    result = iam_evaluator.evaluate_resource_policy(policy, context, service=service)
    return bool(result.decision == "Allow")


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
