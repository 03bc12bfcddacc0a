"""Uploaded images that are never used: until when they are kept, and their deletion.

``POST /v1/images`` makes a project with the attributes ``unused``, ``expires_at`` and ``look_at``.
They are removed permanently by the first change of the project, or when a job sends the image to a
provider. Such a project is never deleted by us. The others are in the index `by_expiry`:

- after `project.FORM_LIFE` they are looked at: without an image, the project is deleted;
- after ``expires_at`` the project is deleted with its image.

A job and the deletion may need the same image at the same moment. Both write the project's item
under a condition, so one of them wins: after `used_images.keep` the deletion finds no ``unused``
attribute, and after the project is marked as ``deleting``, `used_images.keep` returns False and the
job ends free of charge.
The deletion is that of `clipmint.projects.project_store`: a retry continues it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pynamodb.exceptions import DoesNotExist, UpdateError
from pynamodb.expressions.condition import Condition

from clipmint import aws, clock
from clipmint.media import uploads
from clipmint.projects import project_store
from clipmint.projects import project_writes as writes
from clipmint.projects.project_items import UNUSED, ProjectItem
from clipmint.telemetry import logger

NEVER_CHANGED = 1
"""The revision of such a project. A version that does not know these attributes leaves them where
they are when it changes a project: between a roll-back and the next update."""


def delete_due(has_time: Callable[[], bool]) -> dict[str, int]:
    """Delete what is due, the oldest first, while there is time.

    Returns how many projects were ``deleted``, ``uploaded`` (they have an image, and are looked at
    again when they expire), ``kept`` meanwhile, and how many ``failed``.
    """
    done = {"deleted": 0, "uploaded": 0, "kept": 0, "failed": 0}
    now = clock.epoch(clock.now())
    for found in ProjectItem.by_expiry.query(UNUSED, ProjectItem.look_at <= now):
        if not has_time():
            break
        try:
            done[_look_at(found.user_id, found.sk)] += 1
        except Exception:  # noqa: BLE001  (one broken project must not protect the others)
            logger.exception("unused image could not be deleted", extra={"project": found.sk})
            done["failed"] += 1
    return done


def _look_at(user_id: str, sk: str) -> str:
    try:
        item = ProjectItem.get(user_id, sk, consistent_read=True)
    except DoesNotExist:
        return "deleted"
    if not item.unused:
        return "kept"  # the index is late
    try:
        if not item.deleting:
            if int(item.revision) != NEVER_CHANGED:
                item.update(writes.no_expiry(), condition=writes.EXISTS)
                return "kept"
            if not _is_due(item, clock.now()):
                expires = clock.epoch(clock.from_iso(item.expires_at))
                item.update([ProjectItem.look_at.set(expires)], condition=_still_unused(item))
                return "uploaded"
            # Without changing `unused`: after a crash the next run continues.
            item.update([ProjectItem.deleting.set(True)], condition=_still_unused(item))
    except UpdateError as error:
        if not aws.condition_failed(error):
            raise
        return "kept"
    project_store.finish_deletion(item)
    return "deleted"


def _is_due(item: ProjectItem, now: datetime) -> bool:
    if now >= clock.from_iso(item.expires_at):
        return True
    return not uploads.exist(item.user_id, item.project_id)


def _still_unused(item: ProjectItem) -> Condition:
    condition: Condition = writes.unchanged(int(item.revision)) & ProjectItem.unused.exists()
    return condition
