"""The date at which a commit is tested, and which tests run at it."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from tests.support import shifted_date
from tests.support.clock import virtual_time

TODAY = date(2026, 11, 28)
COMMITS = [hashlib.sha1(str(number).encode()).hexdigest() for number in range(400)]  # noqa: S324
ROOT = Path(__file__).parents[2]


def test_a_commit_always_has_the_same_date() -> None:
    assert [shifted_date.date_of(commit, TODAY) for commit in COMMITS] == [
        shifted_date.date_of(commit, TODAY) for commit in COMMITS
    ]
    assert shifted_date.date_of(COMMITS[0], TODAY) == datetime(2040, 7, 17, 8, 10, 35, tzinfo=UTC)


@pytest.mark.parametrize("today", [TODAY, date(2028, 2, 28), date(2028, 2, 29), date(2095, 12, 31)])
def test_dates_lie_between_tomorrow_and_twenty_years_ahead(today: date) -> None:
    latest = today.replace(day=28, year=today.year + 20)
    for commit in COMMITS:
        assert today < shifted_date.date_of(commit, today).date() <= latest


def test_leap_days_and_month_ends_come_up_often_and_other_days_and_times_too() -> None:
    dates = [shifted_date.date_of(commit, TODAY) for commit in COMMITS]
    leap_days = [moment for moment in dates if (moment.month, moment.day) == (2, 29)]
    ends = [moment for moment in dates if (moment + timedelta(days=1)).day == 1]
    assert len(leap_days) > 60
    assert len(ends) - len(leap_days) > 60
    assert len(dates) - len(ends) > 120
    assert {moment.year for moment in leap_days} == {2028, 2032, 2036, 2040, 2044}
    assert {moment.hour for moment in dates} == set(range(24))


def test_the_date_is_read_in_any_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(shifted_date.VARIABLE, "2028-03-01T05:44:30+05:45")
    moment = shifted_date.asked()
    assert moment == datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC)
    assert shifted_date.written(moment) == "2028-02-29T23:59:30Z"
    monkeypatch.setenv(shifted_date.VARIABLE, "2028-02-29T23:59:30")
    with pytest.raises(ValueError, match="time zone"):
        shifted_date.asked()
    monkeypatch.delenv(shifted_date.VARIABLE)
    assert shifted_date.asked() is None


def test_tests_that_talk_to_other_processes_stay_at_the_real_date() -> None:
    for path in shifted_date.AT_THE_REAL_DATE:
        assert (ROOT / path).exists()
        assert not shifted_date.runs_shifted(ROOT / path / "test_something.py")
    assert shifted_date.runs_shifted(Path(__file__))
    assert shifted_date.runs_shifted(ROOT / "tests/e2e_of_another_kind/test_something.py")


def test_this_test_runs_at_the_date_that_was_asked_for(tmp_path: Path) -> None:
    asked = shifted_date.asked()
    if asked is None:
        (tmp_path / "file").touch()  # whose time is the system's
        asked = datetime.fromtimestamp((tmp_path / "file").stat().st_mtime, UTC)
    assert abs(datetime.now(UTC) - asked) < timedelta(days=1)


def test_virtual_time_is_the_time_of_every_clock_and_library() -> None:
    moment = datetime(2041, 5, 6, 7, 8, 9, 250_000, tzinfo=UTC)
    with virtual_time(moment) as clock:
        began = time.monotonic()
        token = jwt.encode({"exp": moment + timedelta(seconds=60)}, "k" * 32)
        assert datetime.now(UTC) == clock.now() == moment
        assert time.time() == clock.seconds() == moment.timestamp()
        jwt.decode(token, "k" * 32, ["HS256"])
        clock.forward(seconds=61)
        assert datetime.now(UTC) == moment + timedelta(seconds=61)
        assert time.monotonic() - began == 61
        with pytest.raises(jwt.ExpiredSignatureError):
            jwt.decode(token, "k" * 32, ["HS256"])
        clock.to_next_hour()
        assert datetime.now(UTC) == datetime(2041, 5, 6, 8, tzinfo=UTC)
        clock.move_to(moment)
        assert time.time() == moment.timestamp()
    assert datetime.now(UTC).year != 2041


def test_virtual_time_does_not_change_the_time_zone() -> None:
    before = time.tzname, time.localtime(0)
    with virtual_time():
        assert (time.tzname, time.localtime(0)) == before
