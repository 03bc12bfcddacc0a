"""docs/comparison.md: what each order came to, and which results are losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

AT_ONCE = 20
OPENING = """\
# Comparison

Written by `make peers`, which anyone can repeat: all three systems run on one computer, against a
simulated fal."""


@dataclass(frozen=True)
class Outcome:
    """What one order came to. ``billed``: the generations that fal bills. ``credits``: what the
    caller pays, or nothing without accounts.
    """

    status: str
    whole: bool
    billed: int
    credits: str
    seconds: float

    @property
    def harm(self) -> list[str]:
        """What the owner or the caller loses."""
        completed = self.status == "completed"
        return [
            text
            for text, true in (
                ("billed twice", self.billed > 1),
                ("billed, no video", self.billed > 0 and not self.whole and not completed),
                ("completed, no whole video", completed and not self.whole),
            )
            if true
        ]

    def cell(self) -> str:
        """The outcome as a cell of the table."""
        facts = [
            f"`{self.status}`",
            "video" if self.whole else "no video",
            f"{self.billed} billed",
            *([self.credits] if self.credits else []),
            f"{self.seconds:.1f} s",
        ]
        mark = f"✗ **{', '.join(self.harm)}**: " if self.harm else ""
        return mark + " · ".join(facts)


@dataclass(frozen=True)
class Speed:
    """Seconds. ``added``: the median time from the order to the whole file, without the time in
    which fal had the order. ``together``: until twenty callers have their files.
    """

    added: float
    together: float


def table(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table: a row per name."""
    lines = [
        ["", *columns],
        ["---"] * (1 + len(columns)),
        *([name, *row] for name, row in rows.items()),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def document(
    speeds: Mapping[str, Speed],
    outcomes: Mapping[str, Sequence[Outcome]],
    versions: Mapping[str, str],
    about: Mapping[str, str],
    method: str,
) -> str:
    """docs/comparison.md. ``method`` states how it was measured. ``outcomes`` are in the order of
    ``speeds``, by the name of the case.
    """
    names = list(speeds)
    facts = {**about, "date": f"{datetime.now(UTC):%Y-%m-%d}", **versions}
    harmed = [
        sum(bool(row[column].harm) for row in outcomes.values()) for column in range(len(names))
    ]
    rows = {
        "time added to one order": [f"{each.added:.2f} s" for each in speeds.values()],
        f"{AT_ONCE} orders at once": [f"{each.together:.1f} s" for each in speeds.values()],
        **{name: [each.cell() for each in row] for name, row in outcomes.items()},
        "results with ✗": [f"{count} of {len(outcomes)}" for count in harmed],
    }
    sections = (
        OPENING,
        method,
        table([""], {name: [fact] for name, fact in facts.items()}),
        table(names, rows),
        _judgement(speeds),
    )
    return "\n\n".join(sections) + "\n"


def _judgement(speeds: Mapping[str, Speed]) -> str:
    """What the table shows about speed, and what it does not measure."""
    by_added = sorted(speeds, key=lambda name: speeds[name].added)
    by_together = sorted(speeds, key=lambda name: speeds[name].together)
    return f"""\
## Where the others are better

- **Speed.** Added to one order, from the least to the most: {", ".join(by_added)}. {AT_ONCE} at
  once: {", ".join(by_together)}. Clipmint records each step before the next and copies the file
  into the owner's bucket; here its functions share one computer with an emulator of AWS.
- **Set-up.** fal-client is one package, LiteLLM one process; Clipmint is an installation on AWS.
- **Scope.** LiteLLM serves many more providers and kinds of models with one API. Clipmint makes
  videos and images with fal, Runway and Runware.

Not measured: LiteLLM with a database, its budgets per key, and its fallbacks to other models."""
