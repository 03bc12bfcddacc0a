"""The demo's own audit of a journal, as printed."""

from __future__ import annotations

from typing import Any

import pytest

from local.demo.checks import faults_of_journal


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (0, {"credits": 31}),
        (1, {"sequence": 3}),
        (1, {"balance_after": 29}),
        (2, {"held_after": 1}),
        (2, {"kind": "release"}),
        (2, {"job_id": "other"}),
    ],
)
def test_a_journal_that_does_not_add_up_is_noticed(line: int, change: dict[str, Any]) -> None:
    names = ("sequence", "kind", "credits", "balance_after", "held_after", "job_id")
    journal = [
        dict(zip(names, values, strict=True))
        for values in [
            (1, "grant", 30, 30, 0, None),
            (2, "hold", 10, 20, 10, "job"),
            (3, "capture", 10, 20, 0, "job"),
        ]
    ]
    assert faults_of_journal(journal, 20, 0) == []
    assert faults_of_journal(journal, 21, 0) != []
    journal[line] |= change
    assert faults_of_journal(journal, 20, 0) != []
