"""What is true of the lots in a journal: they are spent in order, end in time, and return.

`LotBooks` reads the journal's items and computes the lots again. It shares no code with the
product. `tests.support.invariants` uses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]
Parts = dict[int, int]
"""Credits by lot."""

_INTO = {"grant": 1, "release": 1, "hold": -1, "expire": -1, "clawback": -1, "adjust": -1}
_TURNS = {"promo": 0, "allowance": 1}
_NEVER = "9999"


def parts_of(item: Item) -> Parts:
    """The lots of an item, an entry's or an account's."""
    return {int(one["lot"]): int(one["credits"]) for one in _lots(item)}


def _lots(item: Item) -> list[dict[str, Any]]:
    found = json.loads(item.get("lots") or "[]")
    assert isinstance(found, list)
    return found


@dataclass
class LotBooks:
    """Lots after the entries so far: what is left of each, its kind and end, and the debt."""

    left: Parts = field(default_factory=dict)
    terms: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    debt: int = 0
    taken: dict[tuple[Any, Any], Parts] = field(default_factory=dict)
    """What each open hold took from lots."""
    payments: dict[int, str | None] = field(default_factory=dict)
    """The payment that each lot belongs to; None if grants share it."""

    def move(self, entry: Item) -> Iterator[str]:
        """Follow one entry, and yield what is wrong with it."""
        kind, parts = entry["kind"], parts_of(entry)
        if parts and kind not in _INTO:
            yield f"moves lots {parts}"
            return
        if any(part <= 0 for part in parts.values()) or len(parts) < len(_lots(entry)):
            yield f"moves {_lots(entry)}"
        if sum(parts.values()) > abs(int(entry["credits"])):
            yield f"moves {parts} in lots, which is more than its credits"
        yield from self._rules(kind)(entry, parts)
        yield from self._add(entry)
        self.debt = int(entry.get("debt_after") or 0)
        if self.debt < 0:
            yield f"leaves a debt of {self.debt}"

    def _rules(self, kind: str) -> Any:
        return {
            "grant": self._grant,
            "hold": self._hold,
            "expire": self._expire,
            "release": self._release,
            "capture": self._capture,
        }.get(kind, self._any)

    def _any(self, _entry: Item, _parts: Parts) -> Iterator[str]:
        return iter(())

    def _grant(self, entry: Item, _parts: Parts) -> Iterator[str]:
        """The lot of a payment gets what is granted for it or returned to it, and nothing else."""
        what, _, name = str(entry.get("reference")).partition(":")
        if what == "return":
            name = name.rpartition(":")[0]  # without the number of the return
        for one in _lots(entry):
            of = name if one.get("own") else None
            before = self.payments.setdefault(int(one["lot"]), of)
            if before != of:
                yield f"adds credits of {of} to lot {one['lot']} of {before}"

    def _hold(self, entry: Item, parts: Parts) -> Iterator[str]:
        if self._ended(entry):
            yield f"spends while {self._ended(entry)} have ended"
        if self.debt:
            yield f"begins a job with a debt of {self.debt}"
        expected, rest = {}, int(entry["credits"])
        for lot in sorted(self.left, key=self._turn):
            if part := min(rest, self.left[lot]):
                expected[lot] = part
                rest -= part
        if parts != expected:
            yield f"spends {parts} of lots, and not {expected}"
        self.taken[entry["job_id"], entry["stage"]] = parts

    def _turn(self, lot: int) -> tuple[str, int, int]:
        """What ends sooner is spent first, then promotions, allowances, purchases, then by age."""
        kind, ends = self.terms[lot]
        return (ends or _NEVER, _TURNS.get(kind, 2), lot)

    def _expire(self, entry: Item, parts: Parts) -> Iterator[str]:
        if parts != self._ended(entry):
            yield f"expires {parts}, and {self._ended(entry)} have ended"
        if sum(parts.values()) != int(entry["credits"]):
            yield f"expires {entry['credits']} credits, which are not those of {parts}"

    def _release(self, entry: Item, parts: Parts) -> Iterator[str]:
        before = self.taken.pop((entry["job_id"], entry["stage"]), {})
        repaid = self.debt - int(entry.get("debt_after") or 0)
        if any(part > before.get(lot, 0) for lot, part in parts.items()):
            yield f"returns {parts} of {before}"
        if sum(before.values()) - sum(parts.values()) > repaid:
            yield f"returns only {parts} of {before}"

    def _capture(self, entry: Item, _parts: Parts) -> Iterator[str]:
        self.taken.pop((entry["job_id"], entry["stage"]), None)
        return iter(())

    def _ended(self, entry: Item) -> Parts:
        """The lots that have ended when an entry is written; times sort as text."""
        at = entry["created_at"]
        return {lot: n for lot, n in self.left.items() if (self.terms[lot][1] or _NEVER) <= at}

    def _add(self, entry: Item) -> Iterator[str]:
        for one in _lots(entry):
            lot, terms = int(one["lot"]), (one["kind"], one.get("expires_at"))
            if self.terms.setdefault(lot, terms) != terms:
                yield f"has lot {lot} as {terms}, and it was {self.terms[lot]}"
            if terms[0] not in _TURNS:
                yield f"has a lot of {terms[0]} credits"
            self.left[lot] = self.left.get(lot, 0) + _INTO[entry["kind"]] * int(one["credits"])
            if self.left[lot] < 0:
                yield f"takes more from lot {lot} than it had"
            if not self.left[lot]:
                del self.left[lot]
