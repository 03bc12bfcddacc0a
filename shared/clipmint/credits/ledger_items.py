"""The items of the Ledger table: accounts, entries of the journal, and used references."""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, LocalSecondaryIndex
from pynamodb.models import Model

from clipmint.tables import FromEnvironment, TableMeta


class BySequence(LocalSecondaryIndex[Any]):
    """A user's journal in the order it was written."""

    class Meta:
        index_name = "by_sequence"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    sequence = NumberAttribute(range_key=True)


class AccountItem(Model):
    """A user's account, at ``sk = ACCOUNT``. Its number is not named ``sequence``: it stays out of
    the journal's index.

    An account that is not plain has ``purchased``, ``lots`` and ``debt`` instead of ``available``:
    what is available depends on the time. So a function of an earlier release cannot read it, and
    answers 503, during an update or after a roll-back; it would write the account without its lots
    and debt.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("LEDGER_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True, default="ACCOUNT")
    available = NumberAttribute(null=True)
    purchased = NumberAttribute(null=True)
    lots = UnicodeAttribute(null=True)
    debt = NumberAttribute(null=True)
    held = NumberAttribute()
    last_sequence = NumberAttribute()
    open_jobs = NumberAttribute()
    hour = NumberAttribute()
    hour_jobs = NumberAttribute()
    open_clips = NumberAttribute(default=0)


class EntryItem(Model):
    """One line of a user's journal, at ``sk = ENTRY#…``."""

    class Meta(TableMeta):
        table_name = FromEnvironment("LEDGER_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    sequence = NumberAttribute()
    kind = UnicodeAttribute()
    credits = NumberAttribute()
    balance_after = NumberAttribute()
    held_after = NumberAttribute()
    created_at = UnicodeAttribute()
    job_id = UnicodeAttribute(null=True)
    stage = UnicodeAttribute(null=True)
    reference = UnicodeAttribute(null=True)
    debt_after = NumberAttribute(null=True)
    lots = UnicodeAttribute(null=True)
    credit_kind = UnicodeAttribute(null=True)
    expires_at = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)

    by_sequence = BySequence()


class ReferenceItem(Model):
    """Marks the reference of a grant, a clawback or an adjustment as used, for any user.

    ``reference`` begins with ``REFERENCE#``, ``CLAWBACK#`` or ``ADJUST#``.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("LEDGER_TABLE")

    reference = UnicodeAttribute(hash_key=True, attr_name="user_id")
    sk = UnicodeAttribute(range_key=True, default="REFERENCE")
    granted_to = UnicodeAttribute()
    credits = NumberAttribute()
    balance_after = NumberAttribute()
    debt_after = NumberAttribute(null=True)
    credit_kind = UnicodeAttribute(null=True)
    expires_at = UnicodeAttribute(null=True)
