"""fal's errors and their meanings, as one table.

fal reports a failure in one of two shapes (docs): a failure of the request as ``{"detail": "…",
"error_type": "…"}``, with the same type in ``X-Fal-Error-Type``; or a failure of the model as
``{"detail": [{"type": "…", "msg": "…"}]}``. The type decides; if we do not know it, the HTTP status
does. Users see a text chosen by the `FailureCode` alone; fal's own message goes to the logs.

``transient``: the same request may succeed at another time. It never permits us to resend a
submission that may have been accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.providers.transport import excerpt
from clipmint.values import frozen


@frozen
class Meaning:
    """The failure that an error stands for."""

    code: FailureCode
    transient: bool = False


_POLICY = Meaning(FailureCode.CONTENT_POLICY)
_EMPTY = Meaning(FailureCode.NO_OUTPUT)
_UNREADABLE = Meaning(FailureCode.INPUT_UNREADABLE)
_INVALID = Meaning(FailureCode.INVALID_INPUT)
_CANCELLED = Meaning(FailureCode.CANCELLED)
_OWNER = Meaning(FailureCode.OWNER_ACCOUNT)
_SLOW = Meaning(FailureCode.PROVIDER_TIMEOUT, transient=True)
_BUSY = Meaning(FailureCode.PROVIDER_UNAVAILABLE, transient=True)
_FAULT = Meaning(FailureCode.PROVIDER_ERROR, transient=True)
_UNKNOWN = Meaning(FailureCode.PROVIDER_ERROR)

BY_TYPE: Mapping[str, Meaning] = {
    # Failures of the request (docs), with the HTTP status of each.
    "request_timeout": _SLOW,  # 504: not started within X-Fal-Request-Timeout
    "startup_timeout": _SLOW,  # 504
    "runner_scheduling_failure": _FAULT,  # 503
    "runner_connection_timeout": _FAULT,  # 503
    "runner_connection_refused": _FAULT,  # 503
    "runner_connection_error": _FAULT,  # 503
    "runner_disconnected": _FAULT,  # 503
    "runner_incomplete_response": _FAULT,  # 502
    "runner_server_error": _FAULT,  # 500
    "internal_error": _FAULT,  # 500
    "client_cancelled": _CANCELLED,  # 499: we cancelled it
    "client_disconnected": _FAULT,  # 499: not by us, the queue was the client
    "bad_request": _INVALID,  # 400
    # Failures of the model (docs; the first two also seen), 422 unless noted.
    "content_policy_violation": _POLICY,
    "no_media_generated": _EMPTY,
    "image_load_error": _UNREADABLE,
    "file_download_error": _UNREADABLE,
    "unsupported_image_format": _UNREADABLE,
    "unsupported_video_format": _INVALID,
    "unsupported_audio_format": _INVALID,
    "image_too_small": _INVALID,
    "image_too_large": _INVALID,
    "file_too_large": _INVALID,
    "face_detection_error": _INVALID,
    "feature_not_supported": _INVALID,
    "one_of": _INVALID,
    "missing": _INVALID,
    "value_error": _INVALID,
    "greater_than": _INVALID,
    "greater_than_equal": _INVALID,
    "less_than": _INVALID,
    "less_than_equal": _INVALID,
    "sequence_too_short": _INVALID,
    "sequence_too_long": _INVALID,
    "video_duration_too_long": _INVALID,
    "video_duration_too_short": _INVALID,
    "audio_duration_too_long": _INVALID,
    "audio_duration_too_short": _INVALID,
    "internal_server_error": _FAULT,  # 500
    "generation_timeout": _SLOW,  # 504
    "downstream_service_error": _UNKNOWN,  # 400: fal's partner rejected it
    "downstream_service_unavailable": _BUSY,  # 500
    "concurrent_requests_limit": _BUSY,  # 429
}
"""Every error type that fal documents."""

BY_STATUS: Mapping[int, Meaning] = {
    400: _INVALID,
    401: _OWNER,  # the key is wrong or revoked (seen)
    402: _OWNER,  # not used by fal so far; it has no other meaning
    403: _OWNER,  # "User is locked": the owner's balance is used up (seen)
    408: _SLOW,
    413: _INVALID,
    415: _INVALID,
    422: _INVALID,
    429: _BUSY,
    499: _CANCELLED,
    500: _FAULT,
    502: _FAULT,
    503: _BUSY,
    504: _SLOW,
}
"""For an error without a known type. Validation types are pydantic's and open-ended, hence 422."""

_STATUS_IN_TEXT = re.compile(r"status code: (\d{3})\b")


def meaning(types: Iterable[str], status: int | None) -> Meaning:
    """The meaning of the first known type, else of the status, else `PROVIDER_ERROR`."""
    for name in types:
        if name in BY_TYPE:
            return BY_TYPE[name]
    return BY_STATUS.get(status or 0, _UNKNOWN)


def error_types(body: Mapping[str, object] | None, headers: Mapping[str, str]) -> list[str]:
    """The error types in a response, the model's first: they are more specific."""
    body = body or {}
    named = [item.get("type") for item in _items(body)]
    named += [body.get("error_type"), headers.get("x-fal-error-type")]
    return [name for name in named if isinstance(name, str) and name]


def failed(types: Iterable[str], status: int | None, *messages: object) -> Failed:
    """The failure in a response. ``messages`` are fal's, in order of preference, for the logs."""
    types = list(types)
    meant = meaning(types, status)
    reason = next((excerpt(text) for text in messages if isinstance(text, str) and text), "")
    parts = [f"HTTP {status}" if status else "", ", ".join(map(excerpt, types[:3])), reason]
    return Failed(meant.code, ": ".join(filter(None, parts)), transient=meant.transient)


def message(body: Mapping[str, object] | None) -> str:
    """The message in an error body of either shape, without the input that fal echoes."""
    body = body or {}
    texts = [body.get("detail"), *(item.get("msg") for item in _items(body)), body.get("error")]
    return next((text for text in texts if isinstance(text, str) and text), "")


def status_in(text: object) -> int | None:
    """The HTTP status in a webhook's ``error``: ``Invalid status code: 422`` (docs)."""
    found = _STATUS_IN_TEXT.search(text) if isinstance(text, str) else None
    return int(found[1]) if found else None


def _items(body: Mapping[str, object]) -> list[Mapping[str, object]]:
    detail = body.get("detail")
    return [item for item in detail if isinstance(item, dict)] if isinstance(detail, list) else []
