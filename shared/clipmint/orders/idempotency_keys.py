"""Idempotency keys: one key of one user is one job.

The job's id is derived from the user and the key, so a retry always finds its own job.
"""

from __future__ import annotations

import re
import uuid

from clipmint.errors import IdempotencyKeyInvalid, IdempotencyKeyRequired
from clipmint.values import frozen

MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
_JOB_NAMESPACE = uuid.UUID("6f1d0b5e-0c0b-5d0e-9a53-3f1f6c1b7a10")
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")


@frozen
class Order:
    """One user's call that starts jobs, under an idempotency key.

    ``fingerprint`` identifies what is ordered: another fingerprint under the same key is another
    order.
    """

    user_id: str
    key: str
    fingerprint: str

    @property
    def job_id(self) -> str:
        """The id of the order's job; if it starts many clips, of the first one."""
        return job_id_for(self.user_id, self.key)


def parse_idempotency_key(header: str | None) -> str:
    """The key, from a bare or a quoted (RFC 8941 string) header value.

    Raises
    ------
    IdempotencyKeyRequired
        There is no such header.
    IdempotencyKeyInvalid
        Empty, longer than 255 characters, or not printable ASCII.
    """
    if header is None:
        raise IdempotencyKeyRequired(
            "The Idempotency-Key header is required",
            details="Send a new UUID for each generation, and the same one when you retry it",
        )
    key = header.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1].strip()
    if not key or len(key) > MAX_IDEMPOTENCY_KEY_CHARACTERS or not _PRINTABLE_ASCII.fullmatch(key):
        raise IdempotencyKeyInvalid(
            "The Idempotency-Key header is not valid",
            details=f"1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters",
        )
    return key


def job_id_for(user_id: str, idempotency_key: str) -> str:
    """The id (UUIDv5) of the job of this user and key; if it starts many clips, of the first."""
    # The length makes the pair unambiguous: ("a", "b:c") and ("a:b", "c") differ.
    return str(uuid.uuid5(_JOB_NAMESPACE, f"{len(user_id)}:{user_id}:{idempotency_key}"))
