"""Settle: end the job and its holds in one transaction. Settling twice changes nothing."""

from __future__ import annotations

import functools
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.credits import holds
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import verdict
from clipmint.telemetry import OWNER_ACCOUNT_REFUSED, count, logger


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    logger.append_keys(job_id=event["job_id"])
    job = holds.settle(event["job_id"], functools.partial(verdict, error=event["error"] or None))
    if job.failure is FailureCode.OWNER_ACCOUNT:
        stage = job.current_stage or job.stages[-1]
        count(OWNER_ACCOUNT_REFUSED, provider=stage.provider)  # raises the owner's alarm
    return {"status": job.status.value}
