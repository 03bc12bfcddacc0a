"""Polling and cancelling at a provider: the one place that knows what a failure to ask means.

Both are free and can be repeated. If a provider gives no usable answer, or its key is missing or
cannot be read, this is counted (`clipmint.providers.health`) and nothing is known about the task.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clipmint.jobs.job import Handle, Stage
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome
from clipmint.providers import health, registry
from clipmint.providers.base import Provider, ProviderUnavailable
from clipmint.providers.keys import KeysUnreadable
from clipmint.providers.registry import ProviderNotConfigured


class NoAnswer(Exception):
    """The provider could not be asked, or gave no usable answer. It has been counted."""


@contextmanager
def asking(provider: str) -> Iterator[None]:
    """Count a failure to ask this provider within the block, and raise it as `NoAnswer`."""
    try:
        yield
    except (ProviderUnavailable, ProviderNotConfigured, KeysUnreadable) as error:
        health.no_answer(provider, error)
        raise NoAnswer(provider) from error


def poll(stage: Stage) -> Outcome | None:
    """What the provider reports for a stage's submission.

    Returns
    -------
    Running, Succeeded, Failed or None
        None if the provider gave no usable answer, or has not confirmed the submission: then there
        is no id to poll by.
    """
    handle = stage.handle
    if handle is None:
        return None
    try:
        with asking(stage.provider):
            return registry.provider(stage.provider).poll(handle)
    except NoAnswer:
        return None


def cancel_or_poll(provider: Provider, handle: Handle) -> Outcome:
    """Cancel a task if it has not begun; otherwise, what the provider reports for it.

    Returns
    -------
    Running, Succeeded or Failed
        ``Failed`` with the code ``CANCELLED`` if it has not begun and now never will.

    Raises
    ------
    ProviderUnavailable
    """
    # In this order. Runway forgets a cancelled task, and a poll for a forgotten task proves
    # nothing: only the cancellation can report that an earlier attempt has cancelled it.
    if provider.cancel(handle):
        return Failed(FailureCode.CANCELLED)
    return provider.poll(handle)


def is_cancelled(outcome: Outcome | None) -> bool:
    """Whether a task was cancelled before it began."""
    return isinstance(outcome, Failed) and outcome.code is FailureCode.CANCELLED
