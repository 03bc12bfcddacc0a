"""How the providers are doing, as the owner's alarms are told.

Every answer is judged: was it the provider's fault? And an answer that says the owner's account is
no good rings the owner, whatever had been asked.
"""

from __future__ import annotations

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
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import (
    OWNER_ACCOUNT_REFUSED,
    POLL_UNANSWERED,
    PROVIDER_ERROR,
    count,
    logger,
)


def answered(provider: str, answer: Submitted) -> None:
    """A provider has answered a submission, or has not."""
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


def finished(provider: str, outcome: Finished) -> None:
    """A stage has come out, one way or the other, and that was recorded."""
    at_fault = isinstance(outcome, Failed) and outcome.code in PROVIDERS_FAULT
    count(PROVIDER_ERROR, int(at_fault), provider=provider)


def silent(provider: str, error: ProviderUnavailable | ProviderNotConfigured) -> None:
    """A question about something that was submitted got no usable answer, or could not be asked."""
    count(POLL_UNANSWERED, provider=provider)
    logger.warning("poll unanswered", extra={"provider": provider, "detail": str(error)})
    registry.forget_keys()  # a refused key is among the reasons, and may be mended
    if isinstance(error, AccountRefused | ProviderNotConfigured):
        # Without a key nobody can fetch what is under way there, and paid for.
        account_refused(provider)


def account_refused(provider: str) -> None:
    """Ring the owner: the key is missing or no good, or the funds are used up."""
    count(OWNER_ACCOUNT_REFUSED, provider=provider)
    registry.forget_keys()  # a mended key shall be found without a cold start
