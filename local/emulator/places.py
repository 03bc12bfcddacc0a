"""A queue for calls that wait for a worker, in the order of their arrival."""

import threading
from collections import deque


class Places:
    """A number of places. A call waits for a free place; the call that waited longest gets it."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                # Pass the place on directly, so that no later call can take it first.
                self._waiting.popleft().set()
            else:
                self._free += 1
