"""Expire: delete uploaded images that were never used, and projects without their upload.

On a schedule. Each deletion can be repeated, so a run that fails or is cut off is continued by the
next one.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.projects import unused_images
from clipmint.telemetry import logger

RESERVE_MS = 20_000
"""Start no deletion with less than this time left for the function."""


class ExpireIncomplete(Exception):
    """Some projects could not be deleted. The others were."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001
    done = unused_images.delete_due(lambda: context.get_remaining_time_in_millis() >= RESERVE_MS)
    if any(done.values()):
        logger.info("unused images", extra=done)
    if done["failed"]:
        raise ExpireIncomplete(f"{done['failed']} projects")
    return done
