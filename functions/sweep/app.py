"""Sweep: end the jobs that nothing else will end.

On a schedule: jobs past their deadline, jobs without an execution, and jobs that are still open
after their execution has ended without an event. At once, by an event: the job of an execution that
failed, timed out or was aborted.

Each scheduled sweep also records which providers have a key, emits how long the oldest hold has
been open, and audits a slice of the ledger. ``{"audit": "<user id>"}`` audits one account now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock
from clipmint.catalog import model_store
from clipmint.credits import audit
from clipmint.execution import sweeping
from clipmint.jobs import job_store
from clipmint.providers import registry
from clipmint.providers.keys import KeysUnreadable
from clipmint.telemetry import (
    ACCOUNTS_AUDITED,
    EXECUTION_DIED,
    LEDGER_DRIFT,
    OLDEST_OPEN_HOLD_SECONDS,
    OPEN_JOBS,
    OVERDUE_SECONDS,
    SWEEP_FAILED,
    count,
    emit,
    logger,
)


class SweepIncomplete(Exception):
    """Some jobs could not be swept, or a slice could not be audited. The others were."""


RESERVE_MS = 20_000
"""Start no job with less than this time left for the function; the next sweep continues. The time
covers one provider that does not respond, because the sweep does not call it for further jobs."""

AUDIT_RESERVE_MS = 10_000
"""The same for the accounts of the audit."""


KEYS_RESERVE_MS = 35_000
"""The same for reading the owner's keys: 21 seconds if Secrets Manager does not respond."""


@dataclass
class _LastSweep:
    """The jobs that the last sweep of this process failed on. A new process has to find them again,
    which delays the others by a minute."""

    failed: frozenset[str] = frozenset()


_last_sweep = _LastSweep()


def forget() -> None:
    """Forget the last sweep, as a new process knows none."""
    _last_sweep.failed = frozenset()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    if event.get("source") == "aws.states":
        return {"settled": int(_execution_failed(event["detail"]))}
    if "audit" in event:
        return {"drift": audit.confirmed_drift(event["audit"])}

    done = sweeping.sweep_all(
        lambda: context.get_remaining_time_in_millis() >= RESERVE_MS, _last_sweep.failed
    )
    _last_sweep.failed, swept = frozenset(done.failed), done.counts
    recorded = context.get_remaining_time_in_millis() < KEYS_RESERVE_MS or _record_providers()
    audited = _audit_safely(lambda: context.get_remaining_time_in_millis() >= AUDIT_RESERVE_MS)
    _report(done.holds, audited or audit.Audit(0, 0))
    if swept["failed"] or audited is None or not recorded:
        also = ("" if audited else ", the audit") + ("" if recorded else ", the providers")
        raise SweepIncomplete(f"{swept['failed']} jobs{also}")
    return swept


def _record_providers() -> bool:
    """Let the functions that offer models know which providers have a key now."""
    registry.forget_keys()
    try:
        model_store.record_providers(registry.configured())
    except KeysUnreadable:
        pass  # what was recorded stays; the owner has an alarm of its own for this
    except Exception:  # noqa: BLE001  (jobs are swept and reported in any case)
        logger.exception("providers could not be recorded")
        count(SWEEP_FAILED)
        return False
    return True


def _audit_safely(has_time: Callable[[], bool]) -> audit.Audit | None:
    try:
        return audit.audit(audit.slice_at(clock.now()), audit.SLICES, has_time)
    except Exception:  # noqa: BLE001  (jobs are swept and reported whether or not the ledger can be read)
        logger.exception("accounts could not be audited")
        count(SWEEP_FAILED)
        return None


def _report(holds: sweeping.Holds, audited: audit.Audit) -> None:
    """Emit every metric, also one that is zero: a missing metric means that no sweep runs."""
    now = clock.now()
    age = (now - holds.oldest).total_seconds() if holds.oldest else 0
    overdue = clock.epoch(now) - holds.deadline if holds.deadline else 0
    emit(
        {
            OPEN_JOBS: holds.jobs,
            OLDEST_OPEN_HOLD_SECONDS: age,
            OVERDUE_SECONDS: max(0, overdue),
            ACCOUNTS_AUDITED: audited.accounts,
            LEDGER_DRIFT: audited.drift,
        }
    )


def _execution_failed(detail: dict[str, Any]) -> bool:
    # For this event alone: the next run of this process may be a scheduled sweep.
    with logger.append_context_keys(job_id=detail["name"]):
        logger.error("execution failed", extra={"status": detail["status"]})
        count(EXECUTION_DIED, status=detail["status"])
        if job_store.get(detail["name"]) is None:
            return False  # an execution that was started by hand
        return sweeping.settle(detail["name"], detail["status"], set())
