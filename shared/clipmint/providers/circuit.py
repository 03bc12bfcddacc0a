"""A circuit breaker per provider: one that keeps failing is not called for a while.

It is Powertools' circuit breaker. Its state is shared through the Idempotency table, whose shape
fits. It guards submissions only: polls are free, and a provider that refuses new tasks may still
finish earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitInfo,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerDynamoDBPersistence,
)
from botocore.exceptions import BotoCoreError, ClientError

from clipmint import aws, tables
from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import Busy, Rejected, Submitted, Unanswered
from clipmint.telemetry import CIRCUIT, count, logger
from clipmint.values import frozen

FAILURES_TO_OPEN = 5
SECONDS_OPEN = 60
"""After so many failures in a row the circuit is open for so long: the provider is skipped. Then
one job tries it. Powertools counts in each process's own memory, so one busy process opens the
circuit, and the others read that in the table."""


@frozen
class Open:
    """The provider keeps failing and was not called."""


class _Failing(Exception):
    """Carries an answer through the circuit breaker, which counts exceptions."""

    def __init__(self, answer: Submitted) -> None:
        super().__init__(type(answer).__name__)
        self.answer = answer


def guarded(
    provider: str, submit: Callable[[], Submitted], *, timeout_counts: bool
) -> Submitted | Open:
    """Submit, unless the provider's circuit is open. What ``submit`` raises is not counted.

    Parameters
    ----------
    timeout_counts
        Whether a missing answer counts as the provider's failure. False if the provider fetches the
        user's image during the call: a slow host of one user must not close a provider for all.
    """
    try:
        answer: Submitted = _breaker(provider)(_counted)(submit, timeout_counts)
    except _Failing as failing:
        return failing.answer
    except CircuitBreakerOpenError:
        return Open()
    return answer


def state_of(provider: str) -> CircuitInfo:
    """A provider's circuit as the table has it. It counts as closed if the table cannot be read."""
    return store().get_state(_name(provider)).to_circuit_info()


def _name(provider: str) -> str:
    return f"provider#{provider}"


def _breaker(provider: str) -> Any:
    return circuit_breaker(
        name=_name(provider),
        persistence_store=store(),
        on_transition=_report,
        config=CircuitBreakerConfig(
            failure_threshold=FAILURES_TO_OPEN,
            recovery_timeout=SECONDS_OPEN,
            success_threshold=1,  # every call that tries a failing provider is a user's job
            handled_exceptions=_Failing,
        ),
    )


def _counted(submit: Callable[[], Submitted], timeout_counts: bool) -> Submitted:
    answer = submit()
    if _is_failure(answer) and (timeout_counts or not isinstance(answer, Unanswered)):
        raise _Failing(answer)
    return answer


def _is_failure(answer: Submitted) -> bool:
    if isinstance(answer, Rejected):
        # No funds or a bad key: every job gets the same answer until the owner corrects it.
        return answer.failure.code is FailureCode.OWNER_ACCOUNT
    return isinstance(answer, Busy | Unanswered)


def _report(transition: CircuitTransition) -> None:
    name = transition.circuit_name.removeprefix("provider#")
    count(CIRCUIT, provider=name, to=transition.to_state.value)


class _Store(CircuitBreakerDynamoDBPersistence):
    """Lets jobs through if the table cannot be written, as Powertools does if it cannot be read."""

    def try_acquire_half_open(self, name: str, owner: str, opened_at: int) -> bool:
        try:
            return bool(super().try_acquire_half_open(name, owner, opened_at))
        except (ClientError, BotoCoreError):
            logger.warning("circuit state could not be written", exc_info=True)
            return True


@aws.once
def store() -> CircuitBreakerDynamoDBPersistence:
    """Where the circuits are kept."""
    return _Store(table_name=tables.name_in("IDEMPOTENCY_TABLE"), boto3_client=aws.dynamodb())
