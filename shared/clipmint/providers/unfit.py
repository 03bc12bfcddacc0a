"""A task that cannot be put to its endpoint, found before anything is sent."""

from __future__ import annotations

from clipmint.jobs.outcomes import Failed, FailureCode


class UnfitTask(Exception):
    """The task does not fit its endpoint; ``failure`` says why, in our own words."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failed(code, detail)


def require_stated(name: str, value: object) -> None:
    """Refuse a task that leaves out what moves the price: a provider's default may change.

    Raises
    ------
    UnfitTask
        ``value`` is None: the catalog's fault, not the user's.
    """
    if value is None:
        raise UnfitTask(FailureCode.INTERNAL, f"the task states no {name}")
