"""What writes of projects and scenes share: conditions, actions, transactions and retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from clipmint import aws, clock
from clipmint.errors import try_again
from clipmint.projects.project_items import ProjectItem, SceneItem

MAX_ATTEMPTS = 8
"""Attempts at one write while other calls change the same project. With the pauses between them
they take about two seconds at most."""

EXISTS = ProjectItem.sk.exists() & ProjectItem.deleting.does_not_exist()
"""Condition of every change of a project: it exists and is not being deleted."""

T = TypeVar("T")


def now() -> datetime:
    """The current time in milliseconds, the precision in which items store it."""
    return clock.from_iso(clock.iso(clock.now()))


def assignments(item: type[ProjectItem | SceneItem], values: Mapping[str, Any]) -> list[Action]:
    """The actions that set these attributes of an item. None removes an attribute."""
    return [
        getattr(item, name).remove() if value is None else getattr(item, name).set(value)
        for name, value in values.items()
    ]


def no_expiry() -> list[Action]:
    """The actions after which a project does not expire any more (`projects.unused_images`)."""
    return [
        ProjectItem.unused.remove(),
        ProjectItem.expires_at.remove(),
        ProjectItem.look_at.remove(),
    ]


def change(*actions: Action) -> list[Action]:
    """The actions of one change of a project, which also increments its revision. A changed
    project does not expire."""
    return [
        *actions,
        *no_expiry(),
        ProjectItem.updated_at.set(clock.iso(clock.now())),
        ProjectItem.revision.set(ProjectItem.revision + 1),
    ]


def unchanged(revision: int) -> Condition:
    """The condition that a project still has the revision that was read."""
    condition: Condition = EXISTS & (ProjectItem.revision == revision)
    return condition


def transaction() -> TransactWrite:
    return aws.write_transaction(ProjectItem)


def retrying(attempt: Callable[[], T]) -> T:
    """Call ``attempt`` again while other calls change the same project."""
    return aws.retry_on_conflict(
        attempt,
        attempts=MAX_ATTEMPTS,
        longest_pause=aws.growing_pause,
        otherwise=try_again("The project is busy", details="Send the same request again"),
    )
