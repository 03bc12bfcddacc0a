"""The outcome of a submission as the provider reports it, and the user's message for a failure.

An outcome is ``Running | Succeeded | Failed``. A failure has a `FailureCode`. Users see the message
from the table here, never the provider's own message (`Failed.detail`), which is for the logs.
"""

from __future__ import annotations

from enum import StrEnum

from clipmint.catalog.costs import Cost
from clipmint.values import frozen


class FailureCode(StrEnum):
    """Why a job ended without a video; the API's ``error_code``."""

    CONTENT_POLICY = "CONTENT_POLICY"
    INVALID_INPUT = "INVALID_INPUT"
    INPUT_UNREADABLE = "INPUT_UNREADABLE"
    NO_OUTPUT = "NO_OUTPUT"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    OWNER_ACCOUNT = "OWNER_ACCOUNT"
    SUBMIT_UNKNOWN = "SUBMIT_UNKNOWN"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    MEDIA_INVALID = "MEDIA_INVALID"
    MEDIA_UNAVAILABLE = "MEDIA_UNAVAILABLE"
    NOT_AS_ORDERED = "NOT_AS_ORDERED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"

    @classmethod
    def _missing_(cls, value: object) -> FailureCode | None:
        # A newer version may have recorded it. The job has failed in any case.
        return cls.INTERNAL if isinstance(value, str) else None


USER_MESSAGES: dict[FailureCode, str] = {
    FailureCode.CONTENT_POLICY: (
        "The prompt or image was declined by the content policy. Change it and try again."
    ),
    FailureCode.INVALID_INPUT: "The video service could not use these inputs.",
    FailureCode.INPUT_UNREADABLE: (
        "The image could not be read. Check that its URL is public and that it is a valid image."
    ),
    FailureCode.NO_OUTPUT: "The model made no video from this prompt. Rephrase it and try again.",
    FailureCode.PROVIDER_ERROR: "Video generation failed. Please try again.",
    FailureCode.PROVIDER_TIMEOUT: "Video generation took too long. Please try again.",
    FailureCode.PROVIDER_UNAVAILABLE: "Video generation is busy right now. Please try again later.",
    # The user need not know about the owner's funds or key: the user sees a neutral sentence, the
    # owner an alarm.
    FailureCode.OWNER_ACCOUNT: "Video generation is not available right now.",
    FailureCode.SUBMIT_UNKNOWN: "Video generation could not be started. Please try again.",
    FailureCode.DEADLINE_EXCEEDED: "Video generation took too long. Please try again.",
    FailureCode.MEDIA_INVALID: "The generated file was not a playable video.",
    FailureCode.MEDIA_UNAVAILABLE: "The generated video could not be stored.",
    FailureCode.NOT_AS_ORDERED: "The generated video was not as ordered. Please try again.",
    FailureCode.CANCELLED: "The generation was cancelled.",
    FailureCode.INTERNAL: "Video generation failed. Please try again.",
}
"""The user's message per failure; every failure is free of charge."""

IMAGE_KEPT = "The image was made and kept; only the image was charged."
"""Added to the message when the image stage succeeded and the video stage did not."""


@frozen
class Running:
    """Not finished. ``position`` is the 0-based place in the provider's queue, if it has one."""

    position: int | None = None


@frozen
class Succeeded:
    """Finished; the provider keeps the file at ``media_url`` for a limited time.

    ``cost``: what the provider bills; None if it is not known.
    """

    media_url: str
    cost: Cost | None = None


@frozen
class Failed:
    """Finished without a file. ``detail`` is the provider's message, for logs only.

    ``transient``: the same request may succeed at another time, as a new submission. ``cost``: what
    the provider bills all the same; None if that is nothing or not known.
    """

    code: FailureCode
    detail: str = ""
    transient: bool = False
    cost: Cost | None = None


Outcome = Running | Succeeded | Failed
Finished = Succeeded | Failed


def is_rejected(outcome: Outcome | None) -> bool:
    """Whether a generation succeeded at its provider, and we did not use its file."""
    return isinstance(outcome, Failed) and outcome.code is FailureCode.NOT_AS_ORDERED


PROVIDERS_FAULT = frozenset(
    {
        FailureCode.PROVIDER_ERROR,
        FailureCode.PROVIDER_TIMEOUT,
        FailureCode.PROVIDER_UNAVAILABLE,
        FailureCode.OWNER_ACCOUNT,
        FailureCode.SUBMIT_UNKNOWN,
        FailureCode.DEADLINE_EXCEEDED,
        FailureCode.MEDIA_UNAVAILABLE,
    }
)
"""Failures that count against the provider: another request would likely fail too. After a refused
account, the provider makes nothing until the owner has corrected the key or the funds."""
