"""When an armed fault strikes, and which rules are refused."""

from __future__ import annotations

from typing import Any

import pytest

from local.simulator.faults import Event, FaultBook, FaultError, Kind

KINDS = {
    "late": Kind("webhook", "late", {"seconds": 5.0}),
    "lost": Kind("webhook", "lost"),
    "busy": Kind("submit", "busy", {"reason": "load", "loud": False}),
}
FOX = Event("veo", "a fox in the snow")


@pytest.fixture
def book() -> FaultBook:
    return FaultBook(KINDS)


def strikes(book: FaultBook, point: str, *events: Event) -> list[str | None]:
    taken = [book.take(point, event) for event in events]
    return [fault.kind if fault else None for fault in taken]


def test_a_fault_strikes_once_by_default(book: FaultBook) -> None:
    book.arm({"fault": {"kind": "lost"}})
    assert strikes(book, "webhook", FOX, FOX) == ["lost", None]


def test_a_fault_can_strike_a_number_of_times_or_always(book: FaultBook) -> None:
    book.arm({"fault": {"kind": "lost"}, "times": 2})
    book.arm({"fault": {"kind": "busy"}, "times": None})
    assert strikes(book, "webhook", *[FOX] * 4) == ["lost", "lost", None, None]
    assert strikes(book, "submit", *[FOX] * 20) == ["busy"] * 20


def test_the_nth_counts_only_what_matches(book: FaultBook) -> None:
    rule = {"match": {"prompt_contains": "fox", "nth": 2}, "fault": {"kind": "lost"}}
    book.arm(rule)
    bear = Event("veo", "a bear")
    assert strikes(book, "webhook", FOX, bear, FOX, FOX) == [None, None, "lost", None]
    assert (book.rules[0].seen, book.rules[0].fired) == (3, 1)


def test_a_fault_strikes_only_its_endpoint_and_its_point(book: FaultBook) -> None:
    book.arm({"match": {"endpoint": "sora"}, "fault": {"kind": "lost"}})
    assert strikes(book, "webhook", FOX) == [None]
    assert strikes(book, "submit", Event("sora", "a fox")) == [None]
    assert strikes(book, "webhook", Event("sora", "a fox")) == ["lost"]


def test_of_two_rules_the_older_strikes_first_and_spares_the_younger(book: FaultBook) -> None:
    book.arm({"fault": {"kind": "lost"}})
    book.arm({"fault": {"kind": "late", "seconds": 9}})
    assert strikes(book, "webhook", FOX, FOX, FOX) == ["lost", "late", None]


def test_parameters_that_are_not_named_have_their_defaults(book: FaultBook) -> None:
    book.arm({"fault": {"kind": "late"}})
    book.arm({"fault": {"kind": "late", "seconds": 1}})
    taken = [book.take("webhook", FOX) for _ in range(2)]
    assert [fault.params["seconds"] for fault in taken if fault] == [5.0, 1]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"fault": "lost"},
        {"fault": {"kind": "unheard of"}},
        {"fault": {"kind": ["lost"]}},
        {"fault": {"kind": "lost", "seconds": 5}},
        {"fault": {"kind": "late", "seconds": "five"}},
        {"fault": {"kind": "late", "seconds": True}},
        {"fault": {"kind": "busy", "loud": 1}},
        {"fault": {"kind": "busy", "reason": 7}},
        {"fault": {"kind": "lost"}, "times": 0},
        {"fault": {"kind": "lost"}, "times": 1.5},
        {"fault": {"kind": "lost"}, "match": {"nth": 0}},
        {"fault": {"kind": "lost"}, "match": {"endpoint": 7}},
        {"fault": {"kind": "lost"}, "match": {"colour": "blue"}},
        {"fault": {"kind": "lost"}, "often": True},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(book: FaultBook, document: Any) -> None:
    with pytest.raises(FaultError):
        book.arm(document)
    assert book.rules == []


def test_rules_are_disarmed_one_by_one_or_all_at_once(book: FaultBook) -> None:
    first = book.arm({"fault": {"kind": "lost"}})
    book.arm({"fault": {"kind": "busy"}})
    assert book.disarm(first.rule_id)
    assert not book.disarm(first.rule_id)
    assert [rule.fault.kind for rule in book.rules] == ["busy"]
    assert book.disarm()
    assert book.rules == []
