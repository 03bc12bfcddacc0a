"""A circuit breaker per provider: one that keeps failing is left alone for a while.

Powertools' circuit breaker, its state shared through DynamoDB (in the Idempotency table, which has
the shape it wants). It wraps submissions only: questions are cheap, and a provider that refuses new
tasks may still be finishing old ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerDynamoDBPersistence,
)
from botocore.exceptions import BotoCoreError, ClientError

from clipmint import aws
from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import Busy, Rejected, Submitted, Unanswered
from clipmint.telemetry import CIRCUIT, count, logger

FAILURES_TO_OPEN = 5
SECONDS_OPEN = 60
"""After so many failures in a row a provider is skipped for so long, then tried with one job.
Powertools counts in each function's own memory, so it is one busy instance that opens a circuit,
and the table that tells the others."""


@dataclass(frozen=True, slots=True)
class Open:
    """The provider keeps failing and was not called."""


class _ProviderUnwell(Exception):
    """Carries an answer through the breaker, which counts exceptions."""

    def __init__(self, answer: Submitted) -> None:
        super().__init__(type(answer).__name__)
        self.answer = answer


def guarded(
    provider: str, submit: Callable[[], Submitted], *, blames_silence: bool
) -> Submitted | Open:
    """Submit, unless the provider's circuit is open. What ``submit`` raises does not count.

    ``blames_silence`` is False where a missing answer may be the user's doing: a provider that
    fetches their picture while we wait must not be shut for everybody by a slow host of theirs.
    """

    def call() -> Submitted:
        answer = submit()
        if _is_unwell(answer) and (blames_silence or not isinstance(answer, Unanswered)):
            raise _ProviderUnwell(answer)
        return answer

    protected = circuit_breaker(
        name=f"provider#{provider}",
        persistence_store=store(),
        on_transition=_report,
        config=CircuitBreakerConfig(
            failure_threshold=FAILURES_TO_OPEN,
            recovery_timeout=SECONDS_OPEN,
            success_threshold=1,  # every probe is somebody's job
            handled_exceptions=_ProviderUnwell,
        ),
    )(call)
    try:
        answer: Submitted = protected()
    except _ProviderUnwell as unwell:
        return unwell.answer
    except CircuitBreakerOpenError:
        return Open()
    return answer


def _is_unwell(answer: Submitted) -> bool:
    if isinstance(answer, Rejected):
        # No funds or a bad key: every job will hear the same until the owner mends it.
        return answer.failure.code is FailureCode.OWNER_ACCOUNT
    return isinstance(answer, Busy | Unanswered)


def _report(transition: CircuitTransition) -> None:
    name = transition.circuit_name.removeprefix("provider#")
    count(CIRCUIT, provider=name, to=transition.to_state.value)


class _Store(CircuitBreakerDynamoDBPersistence):
    """Powertools' own lets jobs through if the table cannot be read, but not if the right to probe
    cannot be written down: this does."""

    def try_acquire_half_open(self, name: str, owner: str, opened_at: int) -> bool:
        try:
            return bool(super().try_acquire_half_open(name, owner, opened_at))
        except (ClientError, BotoCoreError):
            logger.warning("circuit state could not be written", exc_info=True)
            return True


@aws.once
def store() -> CircuitBreakerDynamoDBPersistence:
    """Where the circuits are kept."""
    return _Store(table_name=os.environ["IDEMPOTENCY_TABLE"], boto3_client=aws.dynamodb())
