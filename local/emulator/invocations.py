"""Lambda: functions invoked by other services, by version or alias, and without a free slot.

How upstream differs from AWS:

- A function invoked through a version or an alias sees the version's ARN in its context; on AWS it
  sees the ARN that it was invoked by.
- A throttled task of a state machine fails as `Lambda.Unknown`; AWS names it
  `Lambda.TooManyRequestsException`.
- EventBridge invokes a function once and ignores its result; AWS invokes it asynchronously.
- An asynchronous invocation through an alias has no retries of its own, and each throttled attempt
  uses up a retry. AWS returns a throttled event to the queue, until it is too old. (AWS waits for
  minutes between the attempts. Here it is seconds, as upstream.)
- No policy is checked. With IAM enforced, EventBridge and an HTTP API may invoke here only the
  function, version or alias whose policy allows it (`tasks` checks the role of a state machine).

The number of slots is `account_concurrency`. Calls beyond it are rejected at once, also those that
would only wait for a worker here.
"""

import contextvars
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway, eventbridge, lambda_svc, stepfunctions

from local.emulator.callbacks import Json, StepError
from local.emulator.identity import policy_allows
from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_AGE_SECONDS = 21_600
"""AWS's default of MaximumEventAgeInSeconds."""
REFUSED = (
    500,
    {"Content-Type": "application/json"},
    json.dumps({"message": "Internal Server Error"}).encode(),
)
"""The response of an HTTP API that may not invoke its function."""


def record_by_arn(original: Callable[..., Any], reference: str) -> Any:
    """A function's record and configuration, with the ARN that it is invoked by."""
    record, config, name = original(reference)
    qualifier = lambda_svc._resolve_name_and_qualifier(reference)[1]
    if config is not None and qualifier is not None:
        config = {**config, "FunctionArn": lambda_svc._policy_resource_arn(name, qualifier)}
    return record, config, name


def call_from_task(original: Callable[..., Any], function: str, event: object) -> Any:
    """Invoke the function of a task. A throttled call has AWS's error name."""
    try:
        return original(function, event)
    except StepError as error:
        if error.error == "Lambda.Unknown" and '"TooManyRequestsException"' in error.cause:
            raise StepError("Lambda.TooManyRequestsException", error.cause) from error
        raise


def invoke_later(function: Json, event: object) -> None:
    """Invoke a function asynchronously, with the retries and the age limit that it declares."""
    in_scope = contextvars.copy_context()
    threading.Thread(target=in_scope.run, args=(_deliver, function, event), daemon=True).start()


def _deliver(function: Json, event: object) -> None:
    declared = _declared(function["config"]["FunctionArn"])
    latest = time.monotonic() + declared.get("MaximumEventAgeInSeconds", LONGEST_AGE_SECONDS)
    retries = declared.get("MaximumRetryAttempts", 2)
    failures = 0
    pause = FIRST_PAUSE_SECONDS
    while True:
        result = lambda_svc._execute_function_with_config_scope(function, event)
        if not result.get("error"):
            return
        if not result.get("throttle"):
            failures += 1
        if failures > retries or time.monotonic() + pause > latest:
            break
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    target = declared.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if target:
        name = function["config"]["FunctionName"]
        lambda_svc._route_async_failure(target, name, event, result)


def _declared(arn: str) -> Json:
    """What an `AWS::Lambda::EventInvokeConfig` declares for a function, version or alias."""
    name, qualifier = lambda_svc._resolve_name_and_qualifier(arn)
    function = lambda_svc._functions.get(name) or {}
    names = [qualifier] if qualifier else ["$LATEST", None]
    found = (lambda_svc._event_invoke_config(function, each) for each in names)
    return next((declared for declared in found if declared), {})


def _enforce_policies() -> None:
    """Let an HTTP API and EventBridge invoke only what a function's policy allows."""

    @corrects(apigateway, "_invoke_lambda_proxy", digest="fbe5024fcd36")
    async def invoke_for_route(original: Any, integration: Json, *request: Any, **more: Any) -> Any:
        api_id, stage, route = request[0], request[1], request[7]
        method, _, path = route.partition(" ")
        source = (
            f"arn:aws:execute-api:{get_region()}:{get_account_id()}:{api_id}/{stage}/{method}{path}"
        )
        function = apigateway._extract_lambda_ref_from_integration_uri(
            integration["integrationUri"]
        )
        if not policy_allows("apigateway.amazonaws.com", source, function):
            return REFUSED
        return await original(integration, *request, **more)

    @corrects(eventbridge, "_invoke_target", digest="550e304af080")
    def invoke_target(original: Any, target: Json, event: Json, rule: Json, *more: Any) -> None:
        arn = target.get("Arn", "")
        if ":lambda:" not in arn or policy_allows("events.amazonaws.com", rule["Arn"], arn):
            original(target, event, rule, *more)


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    corrects(lambda_svc, "_get_func_record_for_ref", digest="492b4efe8f90")(record_by_arn)
    corrects(stepfunctions, "_call_lambda", digest="25830369b126")(call_from_task)

    @corrects(lambda_svc, "invoke_async_with_retry", digest="289fe4d3cbd4")
    def invoke_async(_original: Any, function: Json, event: object) -> None:
        invoke_later(function, event)

    @corrects(eventbridge, "_dispatch_to_lambda", digest="1f95adbaed3a")
    def deliver_event(_original: Any, arn: str, payload: str) -> None:
        record, config, _ = lambda_svc._get_func_record_for_ref(arn)
        if record is not None and config is not None:
            function = lambda_svc._execution_record_for_config(record, config)
            invoke_later(function, json.loads(payload))

    if settings.enforce_iam:
        _enforce_policies()
