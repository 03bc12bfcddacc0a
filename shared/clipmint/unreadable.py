"""Stored records that this version cannot read, such as those of a newer one after a roll-back.

What is accepted is checked strictly; what is stored is read tolerantly. Unknown attributes are
ignored. A record that cannot be read in spite of that is left out of a list, so that it does not
hide its neighbours. Where a decision depends on it, the caller gets 503 instead: a job that cannot
be read may be running. Each one is counted, which raises the owner's alarm, and its key is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from clipmint.errors import TemporarilyUnavailable, try_again
from clipmint.telemetry import UNREADABLE_RECORD, count, logger

S = TypeVar("S")
T = TypeVar("T")

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a record raises: an attribute is missing, or has another type or value. The errors
of PynamoDB and pydantic are subclasses."""

_READABLE_SOON_SECONDS = 60


def readable(
    found: Iterable[S], read: Callable[[S], T], kind: str, key: Callable[[S], str]
) -> Iterator[T]:
    """The records among ``found`` that can be read. Reports the others.

    Parameters
    ----------
    found
        Items, as PynamoDB iterates over them. One that fails there does not end the iteration.
    read
        Makes a value from an item.
    kind, key
        What an item is, and its key, for the log.
    """
    items = iter(found)
    while True:
        item: S | None = None
        try:
            item = next(items)
            value = read(item)
        except StopIteration:
            return
        except UNREADABLE as error:
            report(kind, "" if item is None else key(item), error)
        else:
            yield value


def required(read: Callable[[], T], kind: str, key: str) -> T:
    """A record on which a decision depends.

    Raises
    ------
    TemporarilyUnavailable
        It cannot be read. It has been reported.
    """
    try:
        return read()
    except UNREADABLE as error:
        report(kind, key, error)
        raise _not_readable(kind) from error


def _not_readable(kind: str) -> TemporarilyUnavailable:
    return try_again(f"The {kind} cannot be read at the moment", seconds=_READABLE_SOON_SECONDS)


def report(kind: str, key: str, error: Exception) -> None:
    """Count a record that could not be read, and log its key and the reason, without its values."""
    reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    logger.error("stored record unreadable", extra={"kind": kind, "key": key, "reason": reason})
    count(UNREADABLE_RECORD)
