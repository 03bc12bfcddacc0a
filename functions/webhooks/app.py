"""What providers call when a submission is finished.

It does not use the resolver of the other HTTP functions: that one parses and validates a user's
JSON; here the provider signs the body's bytes, and its adapter reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import gateway
from clipmint.errors import ClipmintError, WebhookNotProven
from clipmint.execution import delivery
from clipmint.providers import registry
from clipmint.providers.base import WebhookCall
from clipmint.telemetry import (
    WEBHOOK_ACCEPTED,
    WEBHOOK_DUPLICATE,
    WEBHOOK_IGNORED,
    WEBHOOK_LATE,
    WEBHOOK_REJECTED,
    Metric,
    count,
    logger,
)

RESULTS: Mapping[delivery.Result, Metric] = {
    "accepted": WEBHOOK_ACCEPTED,
    "duplicate": WEBHOOK_DUPLICATE,
    "ignored": WEBHOOK_IGNORED,
    "late": WEBHOOK_LATE,
}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    path = event.get("pathParameters") or {}
    provider, job_id, stage_name, token = (
        path.get(name, "") for name in ("provider", "job_id", "stage", "token")
    )
    try:
        job, stage = delivery.addressed(provider, job_id, stage_name, token)
        logger.append_keys(job_id=job.job_id, stage=stage.name)
        result = delivery.receive(job, stage, _call(event))
    except ClipmintError as error:
        known = provider if provider in registry.NAMES else "unknown"
        count(WEBHOOK_REJECTED, provider=known, reason=error.code)
        logger.warning("webhook rejected", extra={"code": error.code, "details": error.details})
        return gateway.response(gateway.status_of(error), error.body(), error.headers)
    finally:
        logger.remove_keys(["job_id", "stage"])
    count(RESULTS[result], provider=provider)
    return gateway.response(HTTPStatus.OK, {"result": result})


def _call(event: dict[str, Any]) -> WebhookCall:
    raw = gateway.raw_body(event, WebhookNotProven("The body is unreadable"))
    return WebhookCall(gateway.headers_of(event), raw)
