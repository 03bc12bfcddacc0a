"""Structured logs and metrics, without secrets.

We never log a value that grants access or can spend money (tokens, provider keys, webhook URLs),
nor a prompt. A log line identifies a job by its id.

This module defines every metric, with its dimensions and unit. The dashboard and the alarms in
`template.yaml` use exactly these (a test compares the two). A dimension has only a few values,
because CloudWatch bills each combination as a metric. A job id or user id is therefore never a
dimension. Powertools adds the dimension ``service``, the name of the stack, to every metric.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from clipmint.values import frozen

logger = Logger()

# At DEBUG these libraries log whole requests and responses, including the owner's keys and task
# tokens. Without this, Lambda's log level would apply to them.
for _library in ("boto3", "botocore", "httpcore", "httpx", "pynamodb", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)


@frozen
class Metric:
    """A CloudWatch metric. It is always emitted with all of its dimensions."""

    name: str
    dimensions: tuple[str, ...] = ()
    unit: MetricUnit = MetricUnit.Count


# Jobs. A job ends once, by its execution, by the sweep or by the user.
JOB_STARTED = Metric("JobStarted")
JOB_ENDED = Metric("JobEnded", ("outcome", "provider"))
JOB_SECONDS = Metric("JobSeconds", ("outcome", "provider"), MetricUnit.Seconds)
JOB_FAILED = Metric("JobFailed", ("reason",))
IMAGE_MADE_AGAIN = Metric("ImageMadeAgain")

# Money, in credits. Emitted after the ledger's transaction has succeeded.
CREDITS_GRANTED = Metric("CreditsGranted")
CREDITS_HELD = Metric("CreditsHeld")
CREDITS_CAPTURED = Metric("CreditsCaptured")
CREDITS_RELEASED = Metric("CreditsReleased")
CREDITS_EXPIRED = Metric("CreditsExpired")
CREDITS_CLAWED_BACK = Metric("CreditsClawedBack")
PAID_ORPHAN = Metric("PaidOrphan")
PAID_ORPHAN_CREDITS = Metric("PaidOrphanCredits")

# Each scheduled sweep emits these, also when the value is 0: a missing value raises an alarm.
OPEN_JOBS = Metric("OpenJobs")
OLDEST_OPEN_HOLD_SECONDS = Metric("OldestOpenHoldSeconds", unit=MetricUnit.Seconds)
OVERDUE_SECONDS = Metric("OverdueSeconds", unit=MetricUnit.Seconds)
LEDGER_DRIFT = Metric("LedgerDrift")
ACCOUNTS_AUDITED = Metric("AccountsAudited")

# Records that this version cannot read.
UNREADABLE_RECORD = Metric("UnreadableRecord")

# Work that the sweep did because another function failed to do it.
JOB_SWEPT = Metric("JobSwept", ("status",))
EXECUTION_DIED = Metric("ExecutionDied", ("status",))
EXECUTION_ENSURED = Metric("ExecutionEnsured")
SWEEP_FAILED = Metric("SweepFailed")

# Providers. PROVIDER_ERROR is 1 for a response that is the provider's fault and 0 for any other, so
# its average is the error rate and its sample count is the number of responses.
PROVIDER_ERROR = Metric("ProviderError", ("provider",))
# PROVIDER_COST is in USD: as the provider reports it, or by its list price. The records on the jobs
# are exact; the metric lacks what was recorded right before a crash.
PROVIDER_COST = Metric("ProviderCost", ("provider",), MetricUnit.NoUnit)
SUBMISSION_ACCEPTED = Metric("SubmissionAccepted", ("provider",))
SUBMISSION_REFUSED = Metric("SubmissionRefused", ("provider", "reason"))
SUBMISSION_UNANSWERED = Metric("SubmissionUnanswered", ("provider",))
POLL_UNANSWERED = Metric("PollUnanswered", ("provider",))
OWNER_ACCOUNT_REFUSED = Metric("OwnerAccountRefused", ("provider",))
PROVIDER_NOT_CONFIGURED = Metric("ProviderNotConfigured", ("provider",))
PROVIDER_KEYS_UNREADABLE = Metric("ProviderKeysUnreadable")
CIRCUIT = Metric("Circuit", ("provider", "to"))
MEDIA_HOST_NOT_LISTED = Metric("MediaHostNotListed")
NOT_AS_ORDERED = Metric("NotAsOrdered")
MEDIA_URL_EXPIRED = Metric("MediaUrlExpired", ("provider",))

# Purchases that stores report.
PURCHASE_REPORTED = Metric("PurchaseReported", ("store",))
PURCHASE_WAITING = Metric("PurchaseWaiting", ("store",))
PURCHASE_REJECTED = Metric("PurchaseRejected", ("store",))
STORE_SECRETS_UNREADABLE = Metric("StoreSecretsUnreadable")

# Webhooks.
WEBHOOK_ACCEPTED = Metric("WebhookAccepted", ("provider",))
WEBHOOK_DUPLICATE = Metric("WebhookDuplicate", ("provider",))
WEBHOOK_IGNORED = Metric("WebhookIgnored", ("provider",))
WEBHOOK_LATE = Metric("WebhookLate", ("provider",))
WEBHOOK_REJECTED = Metric("WebhookRejected", ("provider", "reason"))

# Outgoing events.
EVENT_EMITTED = Metric("EventEmitted")
EVENT_DELAYED = Metric("EventDelayed")
DELIVERY_ATTEMPTED = Metric("DeliveryAttempted", ("outcome",))
ENDPOINT_DISABLED = Metric("EndpointDisabled")


def count(metric: Metric, value: float = 1, **dimensions: str) -> None:
    """Emit one metric to CloudWatch, as a log line in the embedded metric format."""
    emit({metric: value}, **dimensions)


def emit(values: Mapping[Metric, float], **dimensions: str) -> None:
    """Emit metrics that share their dimensions, in one log line.

    The line is printed immediately: the function may be killed before the invocation ends.
    """
    line = AmazonCloudWatchEMFProvider()
    for metric, value in values.items():
        line.add_metric(metric.name, metric.unit, value)
    for name, dimension in dimensions.items():
        line.add_dimension(name, dimension)
    line.flush_metrics()
