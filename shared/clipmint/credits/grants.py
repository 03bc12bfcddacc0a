"""Credits that are granted, clawed back, adjusted or expired.

A grant, a clawback and an adjustment happen once per reference. Each is one transaction
(`clipmint.credits.ledger`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pynamodb.exceptions import DoesNotExist

from clipmint import clock
from clipmint.credits import account_changes, ledger
from clipmint.credits.account import Account, Entry
from clipmint.credits.ledger_items import ReferenceItem
from clipmint.errors import InvalidRequest, ReferenceReused
from clipmint.lots import CreditKind
from clipmint.telemetry import CREDITS_CLAWED_BACK, CREDITS_GRANTED, count


def grant(
    user_id: str,
    amount: int,
    reference: str,
    *,
    kind: CreditKind = CreditKind.PURCHASED,
    expires_at: datetime | None = None,
    job_id: str | None = None,
    reason: str | None = None,
    late: bool = False,
) -> tuple[int, bool]:
    """Give a user credits, once per reference. A debt takes its part first.

    Parameters
    ----------
    amount
        Whole credits, at least 1.
    reference
        What the credits are for, such as a store's transaction id; unique over all users, because
        one purchase belongs to one user.
    expires_at
        From when the credits cannot be spent, to the millisecond. Purchased credits never end.
    job_id
        The job that the credits are goodwill for; ``reference`` is its `goodwill_reference` then.
    reason
        For the journal, which the user can read.
    late
        Whether credits that have ended may be granted, which expires them: an allowance that was
        paid in time, and reported after its period.

    Returns
    -------
    tuple
        The credits available right after the grant, and whether this is a replay of it.

    Raises
    ------
    InvalidRequest
        Less than one credit, purchased credits with an end, or credits that have ended.
    ReferenceReused
        The reference was used for another user, amount, kind or end.
    TooManyLots
        The user has too many credits with different ends; nothing was granted.
    """
    if amount < 1:
        raise InvalidRequest("A grant is at least one credit", details="amount: at least 1")
    if kind is CreditKind.PURCHASED and expires_at is not None:
        raise InvalidRequest("Purchased credits do not expire", details="expires_at: not allowed")
    ends = None if expires_at is None else clock.from_iso(clock.iso(expires_at))

    def change(before: Account) -> tuple[Account, list[Entry]]:
        now = clock.now()
        if ends is not None and ends <= now and not late:
            raise InvalidRequest("Credits cannot end in the past", details="expires_at: is over")
        return account_changes.grant(
            before,
            amount,
            reference,
            now,
            kind=kind,
            expires_at=ends,
            job_id=job_id,
            reason=reason,
        )

    used = ReferenceItem(
        f"REFERENCE#{reference}",
        granted_to=user_id,
        credits=amount,
        credit_kind=None if kind is CreditKind.PURCHASED else kind.value,
        expires_at=None if ends is None else clock.iso(ends),
    )
    written, replayed = _once(used, change)
    if not replayed:
        count(CREDITS_GRANTED, amount)
    return int(written.balance_after), replayed


def claw_back(
    user_id: str, amount: int, reference: str, *, kind: CreditKind = CreditKind.PURCHASED
) -> tuple[int, int, bool]:
    """Take refunded credits back, once per reference: what is available, and the rest as a debt.

    It may come before the grant of the purchase, which then repays the debt.

    Parameters
    ----------
    amount
        Whole credits, at least 1.
    reference
        The refund, such as a store's refund id; unique over all users.
    kind
        The kind of credits that was refunded. Credits of this kind are taken first.

    Returns
    -------
    tuple
        The credits available and the debt right after it, and whether this is a replay.

    Raises
    ------
    InvalidRequest
        Less than one credit.
    ReferenceReused
        The reference was used for another user, amount or kind.
    """
    if amount < 1:
        raise InvalidRequest("A clawback is at least one credit", details="amount: at least 1")

    def change(before: Account) -> tuple[Account, list[Entry]]:
        return account_changes.claw_back(before, amount, reference, kind, clock.now())

    used = ReferenceItem(
        f"CLAWBACK#{reference}",
        granted_to=user_id,
        credits=amount,
        credit_kind=None if kind is CreditKind.PURCHASED else kind.value,
    )
    written, replayed = _once(used, change)
    if not replayed:
        count(CREDITS_CLAWED_BACK, amount)
    return int(written.balance_after), int(written.debt_after or 0), replayed


def adjust(user_id: str, amount: int, reference: str, reason: str) -> tuple[int, int, bool]:
    """Correct a user's credits by hand, once per reference.

    Parameters
    ----------
    amount
        Whole credits, not 0. What a negative amount does not find available becomes a debt.
    reason
        For the journal, which the user can read.

    Returns
    -------
    tuple
        The credits available and the debt right after it, and whether this is a replay.

    Raises
    ------
    InvalidRequest
        The amount is 0.
    ReferenceReused
        The reference was used for another user or amount.
    """
    if not amount:
        raise InvalidRequest("An adjustment changes something", details="amount: not 0")

    def change(before: Account) -> tuple[Account, list[Entry]]:
        return account_changes.adjust(before, amount, reference, reason, clock.now())

    used = ReferenceItem(f"ADJUST#{reference}", granted_to=user_id, credits=amount)
    written, replayed = _once(used, change)
    return int(written.balance_after), int(written.debt_after or 0), replayed


def _once(
    used: ReferenceItem, change: Callable[[Account], tuple[Account, list[Entry]]]
) -> tuple[ReferenceItem, bool]:
    """Change an account once per reference: the reference as recorded, and whether it was before.

    Reference, entries and account are one transaction. So a crash cannot leave a reference that is
    used although its credits did not move, nor credits that move again.
    """

    def attempt() -> tuple[ReferenceItem, bool]:
        try:
            found = ReferenceItem.get(used.reference, "REFERENCE", consistent_read=True)
        except DoesNotExist:
            pass
        else:
            if _purpose(found) != _purpose(used):
                raise ReferenceReused("This reference was used for something else")
            return found, True
        before = ledger.account_of(used.granted_to)
        after, entries = change(before)
        used.balance_after = after.available
        used.debt_after = after.debt or None
        is_unused = ReferenceItem.reference.does_not_exist()
        ledger.write((before, after, entries), [(used, is_unused)])
        return used, False

    return ledger.retrying(attempt)


def _purpose(used: ReferenceItem) -> tuple[str, int, str | None, str | None]:
    return used.granted_to, int(used.credits), used.credit_kind, used.expires_at


def expire(user_id: str) -> int:
    """Record the credits of a user that have ended, if no other change of the account has done so.

    Returns the number of credits that expired.
    """

    def attempt() -> int:
        before = ledger.account_of(user_id)
        after, entries = account_changes.expire(before, clock.now())
        if entries:
            ledger.write((before, after, entries))
        return sum(entry.credits for entry in entries)

    return ledger.retrying(attempt)
