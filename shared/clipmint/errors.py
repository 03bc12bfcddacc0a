"""Every error that an HTTP client can receive, as one tree.

A message describes the error to the client and never exposes an internal fault. One table in
`clipmint.api.http_api` maps each error to an HTTP status.

::

    ClipmintError
    ├── InvalidRequest              the body, a parameter or a header is not acceptable
    │   ├── IdempotencyKeyRequired
    │   ├── IdempotencyKeyInvalid
    │   ├── ImageRequired
    │   ├── ImageNotUploaded
    │   ├── ImageInvalid
    │   ├── SettingNotAllowed
    │   ├── ModelUnavailable
    │   ├── PromptRequired
    │   ├── FramesRequired
    │   ├── TooManyScenes
    │   ├── TooManyEndpoints
    │   ├── ResolutionNotAllowed
    │   └── TaskHasEnded            a compatible endpoint's request to cancel it
    ├── InsufficientCredits
    ├── UserMismatch                a body naming another user
    ├── ScopeRequired               an admin call without the admin scope
    ├── MethodNotAllowed            the path exists, for another method
    ├── NotFound
    │   ├── ModelNotFound
    │   ├── JobNotFound             unknown, or another user's: the response is the same
    │   ├── ProjectNotFound         likewise
    │   ├── SceneNotFound           likewise
    │   ├── EndpointNotFound        of the owner's webhooks
    │   ├── DeliveryNotFound
    │   ├── VideoNotReady           the job exists, and not its file
    │   ├── PackNotFound
    │   └── PurchaseNotFound
    ├── Conflict
    │   ├── RequestInProgress       a request with the same key is being processed
    │   ├── PriceChanged            the price is not the one that the client expects
    │   ├── CancelTooLate
    │   ├── NothingToFetch          the job waits for no file of a provider
    │   ├── JobRunning
    │   ├── ReferenceReused
    │   ├── TooManyLots             credits with too many different ends
    │   ├── EndpointDisabled
    │   ├── SecretsStillSign        another rotation would end one that was promised for a day
    │   ├── PurchaseNotWaiting      it was applied or dismissed before
    │   ├── SceneBusy               a job is rendering the scene
    │   └── ProjectBusy             jobs of the project are still running
    ├── IdempotencyKeyReused        the same key with another body
    ├── LimitReached
    ├── WebhookNotProven            forged, stale, or not about a submission that we made
    └── TemporarilyUnavailable      nothing was lost; the client should retry
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from clipmint import clock


class ClipmintError(Exception):
    """Base of every error that an HTTP client can receive.

    Parameters
    ----------
    message
        One sentence; the ``error`` member of the response.
    details
        Optional further text.
    extras
        Further JSON members of the response, such as ``required_credits``.
    headers
        HTTP headers of the response, such as ``Retry-After``.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        details: str | None = None,
        extras: Mapping[str, int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.extras = dict(extras or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON body that every error response has."""
        return {
            "error": self.message,
            "code": self.code,
            "details": self.details,
            "timestamp": clock.iso(clock.now()),
            **self.extras,
        }


class InvalidRequest(ClipmintError):
    code = "INVALID_REQUEST"


class IdempotencyKeyRequired(InvalidRequest):
    code = "IDEMPOTENCY_KEY_REQUIRED"


class IdempotencyKeyInvalid(InvalidRequest):
    code = "IDEMPOTENCY_KEY_INVALID"


class ImageRequired(InvalidRequest):
    code = "IMAGE_REQUIRED"


class ImageNotUploaded(InvalidRequest):
    code = "IMAGE_NOT_UPLOADED"


class ImageInvalid(InvalidRequest):
    code = "IMAGE_INVALID"


class PromptRequired(InvalidRequest):
    code = "PROMPT_REQUIRED"


class FramesRequired(InvalidRequest):
    code = "FRAMES_REQUIRED"


class SettingNotAllowed(InvalidRequest):
    code = "SETTING_NOT_ALLOWED"


class ModelUnavailable(InvalidRequest):
    code = "MODEL_UNAVAILABLE"


class TooManyScenes(InvalidRequest):
    code = "TOO_MANY_SCENES"


class TooManyEndpoints(InvalidRequest):
    code = "TOO_MANY_WEBHOOKS"


class ResolutionNotAllowed(InvalidRequest):
    code = "RESOLUTION_NOT_ALLOWED"


class TaskHasEnded(InvalidRequest):
    code = "TASK_HAS_ENDED"


class InsufficientCredits(ClipmintError):
    code = "INSUFFICIENT_CREDITS"


class UserMismatch(ClipmintError):
    code = "USER_MISMATCH"


class ScopeRequired(ClipmintError):
    code = "SCOPE_REQUIRED"


class MethodNotAllowed(ClipmintError):
    code = "METHOD_NOT_ALLOWED"


class NotFound(ClipmintError):
    code = "NOT_FOUND"


class ModelNotFound(NotFound):
    code = "MODEL_NOT_FOUND"


class JobNotFound(NotFound):
    code = "JOB_NOT_FOUND"


class ProjectNotFound(NotFound):
    code = "PROJECT_NOT_FOUND"


class SceneNotFound(NotFound):
    code = "SCENE_NOT_FOUND"


class EndpointNotFound(NotFound):
    code = "WEBHOOK_NOT_FOUND"


class DeliveryNotFound(NotFound):
    code = "DELIVERY_NOT_FOUND"


class VideoNotReady(NotFound):
    code = "VIDEO_NOT_READY"


class PackNotFound(NotFound):
    code = "PACK_NOT_FOUND"


class PurchaseNotFound(NotFound):
    code = "PURCHASE_NOT_FOUND"


class Conflict(ClipmintError):
    code = "CONFLICT"


class RequestInProgress(Conflict):
    code = "REQUEST_IN_PROGRESS"


class PriceChanged(Conflict):
    code = "PRICE_CHANGED"


class CancelTooLate(Conflict):
    code = "CANCEL_TOO_LATE"


class NothingToFetch(Conflict):
    code = "NOTHING_TO_FETCH"


class JobRunning(Conflict):
    code = "JOB_RUNNING"


class SceneBusy(Conflict):
    code = "SCENE_BUSY"


class ReferenceReused(Conflict):
    code = "REFERENCE_REUSED"


class TooManyLots(Conflict):
    code = "TOO_MANY_LOTS"


class EndpointDisabled(Conflict):
    code = "WEBHOOK_DISABLED"


class SecretsStillSign(Conflict):
    code = "WEBHOOK_SECRETS_STILL_SIGN"


class PurchaseNotWaiting(Conflict):
    code = "PURCHASE_NOT_WAITING"


class ProjectBusy(Conflict):
    code = "PROJECT_BUSY"


class IdempotencyKeyReused(ClipmintError):
    code = "IDEMPOTENCY_KEY_REUSED"


class LimitReached(ClipmintError):
    code = "RATE_LIMITED"


class WebhookNotProven(ClipmintError):
    code = "WEBHOOK_NOT_PROVEN"


class TemporarilyUnavailable(ClipmintError):
    code = "TEMPORARILY_UNAVAILABLE"


def price_changed(expected: int, now: int) -> PriceChanged:
    """The error for an order whose price is not the expected one."""
    return PriceChanged(
        "The price has changed",
        details=f"{now} credits now, {expected} were expected; nothing was held",
        extras={"credits": now, "expected_credits": expected},
    )


def limit_reached(
    message: str, *, details: str, limit: int, used: int, wait_seconds: int
) -> LimitReached:
    """The error for a user who has used a limit up. ``wait_seconds``: when it may succeed."""
    return LimitReached(
        message,
        details=details,
        headers={
            "Retry-After": str(wait_seconds),
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used)),
            "X-RateLimit-Reset": str(wait_seconds),
        },
    )


def try_again(
    message: str, *, details: str | None = None, seconds: int = 1
) -> TemporarilyUnavailable:
    """The answer when the same request can succeed after so many seconds."""
    return TemporarilyUnavailable(message, details=details, headers={"Retry-After": str(seconds)})
