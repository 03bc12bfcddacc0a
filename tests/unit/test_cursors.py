"""Cursors keep their format, so that a client can continue a list after an update."""

from __future__ import annotations

import base64

import pytest

from clipmint import cursors
from clipmint.errors import InvalidRequest

TIME, ID = "2026-03-01T09:30:00.250Z", "0b54ad9c-6f2b-4f31-9d5e-0d6f1a7c2b11"


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_cursor_contains_the_time_and_the_id_of_an_item() -> None:
    cursor = encoded(f'["{TIME}","{ID}"]')
    assert cursors.after_item(TIME, ID) == cursor
    assert cursors.item_in(cursor) == (TIME, ID)


def test_a_cursor_of_the_journal_contains_a_sequence_number() -> None:
    assert cursors.before_sequence(4_711) == encoded("4711")
    assert cursors.sequence_in(encoded("4711")) == 4_711


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", "7", f'["{TIME}"]', f'["{TIME}","1"]', f'["1","{ID}"]', "[1,2]"]
)
def test_a_text_that_contains_no_item_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.item_in(encoded(text))


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "0", "-1", "1.5", "Infinity", "1" + "0" * 18, '"1"']
)
def test_a_text_that_contains_no_sequence_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.sequence_in(encoded(text))


@pytest.mark.parametrize("cursor", ["ü", "a", "====", "%00"])
def test_a_text_that_is_not_base64_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.item_in(cursor)
    with pytest.raises(InvalidRequest):
        cursors.sequence_in(cursor)
