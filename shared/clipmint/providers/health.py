"""How the providers are doing, counted for the owner's alarms.

Every answer is counted as the provider's fault or not. An answer that refuses the owner's account
(its key or its funds) raises an alarm of its own, for each kind of request.
"""

from __future__ import annotations

from clipmint.catalog.costs import Cost
from clipmint.jobs.outcomes import PROVIDERS_FAULT, Failed, FailureCode, Finished
from clipmint.providers import registry
from clipmint.providers.base import (
    Accepted,
    AccountRefused,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Unanswered,
)
from clipmint.providers.keys import KeysUnreadable
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import (
    OWNER_ACCOUNT_REFUSED,
    POLL_UNANSWERED,
    PROVIDER_COST,
    PROVIDER_ERROR,
    count,
    logger,
)


def submission_answered(provider: str, answer: Submitted) -> None:
    """Count the answer to a submission, or that there was none."""
    if isinstance(answer, Accepted):
        at_fault = False
    elif isinstance(answer, Rejected):
        at_fault = answer.failure.code in PROVIDERS_FAULT
    else:
        at_fault = True
    count(PROVIDER_ERROR, int(at_fault), provider=provider)
    refused = isinstance(answer, Rejected) and answer.failure.code is FailureCode.OWNER_ACCOUNT
    if refused or (isinstance(answer, Unanswered) and answer.account_refused):
        account_refused(provider)


def outcome_recorded(provider: str, outcome: Finished) -> None:
    """Count a stage's outcome, once it is recorded."""
    at_fault = isinstance(outcome, Failed) and outcome.code in PROVIDERS_FAULT
    count(PROVIDER_ERROR, int(at_fault), provider=provider)
    billed(provider, outcome.cost)


def billed(provider: str, cost: Cost | None) -> None:
    """Count a cost of the owner's, once it is recorded; not one whose value in USD is unknown."""
    if cost is not None and cost.usd:
        count(PROVIDER_COST, cost.usd, provider=provider)


def no_answer(
    provider: str, error: ProviderUnavailable | ProviderNotConfigured | KeysUnreadable
) -> None:
    """Count a poll or a cancellation that got no usable answer, or could not be sent."""
    count(POLL_UNANSWERED, provider=provider)
    logger.warning("poll unanswered", extra={"provider": provider, "detail": str(error)})
    registry.forget_keys()  # a refused key may be the reason, and the owner may have replaced it
    if isinstance(error, AccountRefused | ProviderNotConfigured):
        # Without a key, files that the owner pays for cannot be fetched.
        account_refused(provider)


def account_refused(provider: str) -> None:
    """Raise the owner's alarm: the key is missing or refused, or the funds are used up."""
    count(OWNER_ACCOUNT_REFUSED, provider=provider)
    registry.forget_keys()  # so that a new key is found without a cold start
