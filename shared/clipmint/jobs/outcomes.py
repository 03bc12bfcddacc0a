"""What a provider says of a submission, and what the user is told when it is bad news.

An outcome is ``Running | Succeeded | Failed``. A failure carries a `FailureCode`; the words a user
sees come from the table here and never from the provider, whose own words (`Failed.detail`) are
for the operator's logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


USER_MESSAGES: dict[FailureCode, str] = {
    FailureCode.CONTENT_POLICY: (
        "The prompt or image was declined by the content policy. Change it and try again."
    ),
    FailureCode.INVALID_INPUT: "The video service could not use these inputs.",
    FailureCode.INPUT_UNREADABLE: (
        "The image could not be read. Check that its URL is public and that it is a valid image."
    ),
    FailureCode.NO_OUTPUT: "No video came out of this prompt. Rephrase it and try again.",
    FailureCode.PROVIDER_ERROR: "Video generation failed. Please try again.",
    FailureCode.PROVIDER_TIMEOUT: "Video generation took too long. Please try again.",
    FailureCode.PROVIDER_UNAVAILABLE: "Video generation is busy right now. Please try again later.",
    # The owner's funds or key are the owner's business: the user sees a neutral sentence, the
    # operator an alarm.
    FailureCode.OWNER_ACCOUNT: "Video generation is not available right now.",
    FailureCode.SUBMIT_UNKNOWN: "Video generation could not be started. Please try again.",
    FailureCode.DEADLINE_EXCEEDED: "Video generation took too long. Please try again.",
    FailureCode.MEDIA_INVALID: "The generated file was not a playable video.",
    FailureCode.MEDIA_UNAVAILABLE: "The generated video could not be stored.",
    FailureCode.CANCELLED: "The generation was cancelled.",
    FailureCode.INTERNAL: "Video generation failed. Please try again.",
}
"""What a user sees per failure; every one of them is free of charge."""

IMAGE_KEPT = "The image was made and kept; only the image was charged."
"""What is added where the picture came out and the video did not."""


@dataclass(frozen=True, slots=True)
class Running:
    """Not finished. ``position`` is the 0-based place in the provider's queue, if it has one."""

    position: int | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Finished; the file is at ``media_url`` for a while (the provider's, not yet ours)."""

    media_url: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Finished without a file. ``detail`` is the provider's, for logs only.

    ``transient``: the same request may well succeed another time, as a new submission.
    """

    code: FailureCode
    detail: str = ""
    transient: bool = False


Outcome = Running | Succeeded | Failed
Finished = Succeeded | Failed

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
"""What counts against a provider: another request would fare no better. A refused account is the
owner's to mend, and until then that provider makes nothing."""
