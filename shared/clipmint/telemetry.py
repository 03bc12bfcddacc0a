"""Logs and metrics: structured, and free of secrets.

Nothing that could spend money or open a door is ever logged: no tokens, no provider keys, no
webhook URLs, no prompts. A job is named by its id.

Every metric there is stands in this module, with its dimensions and unit. `template.yaml` draws and
alarms on these and no others (a test compares the two). A dimension has a handful of values: each
combination is a metric that CloudWatch bills for, so a job or a user is never one. To all of them
Powertools adds ``service``, the name of the stack.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

logger = Logger()

# At DEBUG these log whole requests and answers, the owner's keys and task tokens among them, and
# Lambda's own log level would set them to it.
for _library in ("boto3", "botocore", "httpcore", "httpx", "pynamodb", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as CloudWatch knows it; it is always sent with all of its dimensions."""

    name: str
    dimensions: tuple[str, ...] = ()
    unit: MetricUnit = MetricUnit.Count


# Jobs. They end once, whoever ends them: the execution, the sweep or the user.
JOB_STARTED = Metric("JobStarted")
JOB_ENDED = Metric("JobEnded", ("outcome", "provider"))
JOB_SECONDS = Metric("JobSeconds", ("outcome", "provider"), MetricUnit.Seconds)
JOB_FAILED = Metric("JobFailed", ("reason",))
IMAGE_MADE_AGAIN = Metric("ImageMadeAgain")

# Money, in credits, counted where the ledger has written it.
CREDITS_GRANTED = Metric("CreditsGranted")
CREDITS_HELD = Metric("CreditsHeld")
CREDITS_CAPTURED = Metric("CreditsCaptured")
CREDITS_RELEASED = Metric("CreditsReleased")
PAID_ORPHAN = Metric("PaidOrphan")
PAID_ORPHAN_CREDITS = Metric("PaidOrphanCredits")

# Found by each scheduled sweep, also where there is nothing to find: their absence is an alarm.
OPEN_JOBS = Metric("OpenJobs")
OLDEST_OPEN_HOLD_SECONDS = Metric("OldestOpenHoldSeconds", unit=MetricUnit.Seconds)
OVERDUE_SECONDS = Metric("OverdueSeconds", unit=MetricUnit.Seconds)
LEDGER_DRIFT = Metric("LedgerDrift")
ACCOUNTS_AUDITED = Metric("AccountsAudited")

# What the sweep had to do that others should have done.
JOB_SWEPT = Metric("JobSwept", ("status",))
EXECUTION_DIED = Metric("ExecutionDied", ("status",))
EXECUTION_ENSURED = Metric("ExecutionEnsured")
SWEEP_FAILED = Metric("SweepFailed")

# Providers. PROVIDER_ERROR is 1 for an answer that is the provider's fault and 0 for any other, so
# its average is the error rate and its sample count the number of answers.
PROVIDER_ERROR = Metric("ProviderError", ("provider",))
SUBMISSION_ACCEPTED = Metric("SubmissionAccepted", ("provider",))
SUBMISSION_REFUSED = Metric("SubmissionRefused", ("provider", "reason"))
SUBMISSION_UNANSWERED = Metric("SubmissionUnanswered", ("provider",))
POLL_UNANSWERED = Metric("PollUnanswered", ("provider",))
OWNER_ACCOUNT_REFUSED = Metric("OwnerAccountRefused", ("provider",))
PROVIDER_NOT_CONFIGURED = Metric("ProviderNotConfigured", ("provider",))
CIRCUIT = Metric("Circuit", ("provider", "to"))
MEDIA_URL_EXPIRED = Metric("MediaUrlExpired", ("provider",))

# Webhooks.
WEBHOOK_ACCEPTED = Metric("WebhookAccepted", ("provider",))
WEBHOOK_DUPLICATE = Metric("WebhookDuplicate", ("provider",))
WEBHOOK_IGNORED = Metric("WebhookIgnored", ("provider",))
WEBHOOK_LATE = Metric("WebhookLate", ("provider",))
WEBHOOK_REJECTED = Metric("WebhookRejected", ("provider", "reason"))


def count(metric: Metric, value: float = 1, **dimensions: str) -> None:
    """Send one metric to CloudWatch, by an embedded-metric line in the log."""
    emit({metric: value}, **dimensions)


def emit(values: Mapping[Metric, float], **dimensions: str) -> None:
    """Send metrics that share their dimensions, in one line.

    It is printed at once and not at the end of the invocation, which may never come.
    """
    line = AmazonCloudWatchEMFProvider()
    for metric, value in values.items():
        line.add_metric(metric.name, metric.unit, value)
    for name, said in dimensions.items():
        line.add_dimension(name, said)
    line.flush_metrics()
