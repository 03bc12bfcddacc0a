"""The window in which the same order without an Idempotency-Key is one job."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from clipmint.orders.order_window import OrderWindow, join, leave

LENGTH = 30_000
TIMEOUT = 20_000


def arrive(window: OrderWindow | None, request: str, now: int) -> OrderWindow:
    return join(window, request, now=now, latest_end=now + TIMEOUT, length=LENGTH)


def end(window: OrderWindow, request: str, now: int) -> OrderWindow:
    return leave(window, request, now=now, length=LENGTH)


def test_the_same_order_right_after_the_first_belongs_to_it() -> None:
    window = end(arrive(None, "first", 0), "first", 300)
    assert arrive(window, "second", 500).key == "first"


def test_after_the_window_it_is_a_new_order() -> None:
    window = end(arrive(None, "first", 0), "first", 300)
    assert arrive(window, "second", 300 + LENGTH).key == "first"
    assert arrive(window, "second", 300 + LENGTH + 1).key == "second"


def test_the_retry_of_a_request_in_the_last_moment_belongs_to_the_same_order() -> None:
    """At 29.9 s a request belongs to the first order; its retry at 30.1 s must, too."""
    window = end(arrive(None, "first", 0), "first", 0)
    window = arrive(window, "at 29.9", 29_900)
    assert arrive(window, "at 30.1", 30_100).key == "first"
    window = end(window, "at 29.9", 30_000)
    assert arrive(window, "at 30.1", 30_100).key == "first"


def test_a_request_that_crashed_late_is_retried_as_the_same_order() -> None:
    window = arrive(None, "crashed after 20 s", 0)
    assert arrive(window, "retry", TIMEOUT + LENGTH).key == "crashed after 20 s"
    assert arrive(window, "later", TIMEOUT + LENGTH + 1).key == "later"


def test_the_end_of_one_of_two_requests_does_not_shorten_the_window_of_the_other() -> None:
    window = arrive(arrive(None, "slow", 0), "fast", 1_000)
    window = end(window, "fast", 1_500)
    # The slow one crashes after its twenty seconds, and its retry comes another 29 s later.
    assert arrive(window, "retry", TIMEOUT + 29_000).key == "slow"
    assert end(window, "slow", 2_000).until == 2_000 + LENGTH


@dataclass(frozen=True)
class Request:
    """One request: when it arrives after the one before, how long it runs, whether it crashes."""

    gap: int
    runs: int
    crashes: bool


REQUESTS = st.lists(
    st.builds(Request, st.integers(0, 70_000), st.integers(0, TIMEOUT), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(REQUESTS)
def test_a_request_belongs_to_the_order_of_one_that_ended_within_the_window(
    requests: list[Request],
) -> None:
    """Requests end, crash and overlap. The model knows when each request of an order ended."""
    window: OrderWindow | None = None
    now = 0
    order: dict[str, tuple[int, int, bool]] = {}  # arrival, end and crash by request
    running: list[tuple[int, str]] = []
    for number, request in enumerate(requests):
        now += request.gap
        for at, name in sorted(running):
            if at <= now and window is not None:
                running.remove((at, name))
                window = end(window, name, at)
        name, before = str(number), window.key if window else None
        window = arrive(window, name, now)
        joined = window.key == before
        within = any(ended + LENGTH >= now for _, ended, _ in order.values())
        if any(crashed for _, _, crashed in order.values()):
            latest = max(arrival for arrival, _, _ in order.values()) + TIMEOUT + LENGTH
            assert within <= joined <= (now <= latest)
        else:
            assert joined == within
        order = order if joined else {}
        order[name] = now, now + request.runs, request.crashes
        if not request.crashes:
            running.append((now + request.runs, name))
