"""What providers call when a submission is finished.

Believed only if proven: the URL carries a secret of this very submission, the provider's adapter
checks what the provider signs, and the call must be about the submission we made. Then one
conditional write records the outcome, and the sleeping execution is woken. Anything else changes
nothing. A delivery that repeats itself wakes the execution again, in case the first one died
between the two.
"""

from __future__ import annotations

import base64
import hmac
import json
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import api, execution, jobs
from clipmint.domain.errors import (
    ClipmintError,
    NotFound,
    TemporarilyUnavailable,
    WebhookNotProven,
)
from clipmint.domain.jobs import Job, Stage
from clipmint.domain.outcomes import Running
from clipmint.providers import registry
from clipmint.providers.base import (
    Notice,
    ProviderUnavailable,
    WebhookCall,
    WebhookRejected,
    WebhookSender,
)
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import count, logger


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    path = event.get("pathParameters") or {}
    provider_name = path.get("provider", "")
    try:
        job, stage = _addressed(path)
        logger.append_keys(job_id=job.job_id, stage=stage.name)
        result = _receive(job, stage, _call(event))
    except ClipmintError as error:
        known = provider_name if provider_name in registry.NAMES else "unknown"
        count("WebhookRejected", provider=known, reason=error.code)
        logger.warning("webhook rejected", extra={"code": error.code, "details": error.details})
        return _answer(api.status_of(error), error.body())
    finally:
        logger.remove_keys(["job_id", "stage"])
    count(f"Webhook{result.capitalize()}", provider=provider_name)
    return _answer(HTTPStatus.OK, {"result": result})


def _addressed(path: dict[str, str]) -> tuple[Job, Stage]:
    """The submission the URL names, if it holds its secret."""
    try:
        job = jobs.get(str(UUID(path.get("job_id", ""))))
    except ValueError:
        job = None
    stage = job.stage(path.get("stage", "")) if job else None
    if job and stage and stage.submission and stage.provider == path.get("provider"):
        ours = stage.submission.webhook_token.encode()
        if hmac.compare_digest(ours, path.get("token", "").encode()):
            return job, stage
    # One answer for all of it: which part was wrong is nobody's business.
    raise NotFound("There is nothing at this path")


def _receive(job: Job, stage: Stage, call: WebhookCall) -> str:
    try:
        provider = registry.provider(stage.provider)
        if not isinstance(provider, WebhookSender):
            raise NotFound("There is nothing at this path")
        notice = provider.read_webhook(call, stage.endpoint)
        # Unknown if the answer to our submission was lost, or this call overtook it: the URL's
        # secret says that the call is about our submission, and so we learn its id. Where the
        # provider knows it by our own id, it is never unknown.
        handle = registry.handle_of(stage) or notice.handle
        ours = stage.submission.task_id if stage.submission else ""
        expected = ours if provider.after_unanswered == "resubmit" else handle.request_id
        if notice.handle.request_id != expected:
            raise WebhookNotProven("The webhook is about another submission")
        if notice.outcome is None and (job.is_terminal or stage.outcome is not None):
            execution.wake(stage)  # nothing to learn; the first delivery may have died before this
            return "duplicate"
        outcome = notice.outcome or provider.poll(handle)
    except WebhookRejected as error:
        raise WebhookNotProven("The webhook is not proven", details=str(error)) from None
    except (ProviderUnavailable, ProviderNotConfigured):
        raise TemporarilyUnavailable("The webhook could not be checked; deliver it again") from None
    if isinstance(outcome, Running):
        return "ignored"
    try:
        job = jobs.record_outcome(
            job.job_id, stage.name, outcome, handle=handle, task_id=ours or None
        )
        result = "accepted"
    except jobs.JobMoved as moved:
        job, result = moved.job, "duplicate"
    except jobs.JobFinished:
        job = jobs.get(job.job_id) or job
        result = "duplicate" if _knows(job, stage.name, notice) else "late"
    recorded = job.stage(stage.name)
    if recorded and not job.is_terminal:
        execution.wake(recorded)
    return result


def _knows(job: Job, stage_name: str, notice: Notice) -> bool:
    """Whether the outcome was recorded before, as opposed to: too late for a job that ended."""
    stage = job.stage(stage_name)
    return bool(
        stage
        and stage.outcome is not None
        and stage.submission
        and stage.submission.request_id == notice.handle.request_id
        and (notice.outcome is None or type(stage.outcome) is type(notice.outcome))
    )


def _call(event: dict[str, Any]) -> WebhookCall:
    body = event.get("body") or ""
    try:
        raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise WebhookNotProven("The body is unreadable") from None
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return WebhookCall(headers, raw)


def _answer(status: HTTPStatus, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body),
    }
