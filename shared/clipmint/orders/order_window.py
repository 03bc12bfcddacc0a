"""When two requests without an Idempotency-Key are the same order. Pure.

A request belongs to the order whose window is open when it arrives; otherwise it begins a new order
with a new window. A window is open as long as one of its requests may be running, and for some
seconds after the last of them has ended. So the retry of any request of the window arrives while it
is open, also the retry of a request that arrived in its last moment, and of one that took long and
crashed. Fixed intervals of time would separate a request before their edge from its retry behind
it, and so would a window that is measured from the order's first request.
"""

from __future__ import annotations

from collections.abc import Set

from clipmint.values import frozen


@frozen
class OrderWindow:
    """The window of one order.

    Attributes
    ----------
    key
        The idempotency key of the order.
    running
        Ids of the requests that have not ended, as far as is known: one that crashed stays.
    until
        When the window closes, in epoch milliseconds.
    """

    key: str
    running: Set[str]
    until: int


def join(
    window: OrderWindow | None, request: str, *, now: int, latest_end: int, length: int
) -> OrderWindow:
    """The window to which a request belongs that arrives now.

    Parameters
    ----------
    window
        The last window for the same order of the same user, or None if there was none.
    request
        The request's id, and the key of the order if it begins one. It must be unique.
    now, latest_end
        When the request arrives, and when its process is stopped, in epoch milliseconds.
    length
        How long the window stays open after its last request, in milliseconds.
    """
    until = latest_end + length
    if window is None or window.until < now:
        return OrderWindow(request, frozenset({request}), until)
    return OrderWindow(window.key, {*window.running, request}, max(window.until, until))


def leave(window: OrderWindow, request: str, *, now: int, length: int) -> OrderWindow:
    """The window after a request has ended now.

    While others may be running, it closes as it would have without this end.
    """
    running = window.running - {request}
    return OrderWindow(window.key, running, window.until if running else now + length)
