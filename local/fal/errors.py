"""The result of a model run: its output, or one of fal's two forms of error.

Request-level errors come from fal's platform (``{"detail": text, "error_type": code}``), model
errors from the model's code (``{"detail": [{loc, msg, type, …}]}``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

DOCS_URL = "https://docs.fal.ai/errors"

REQUEST_ERRORS: Mapping[str, int] = {
    "request_timeout": 504,
    "startup_timeout": 504,
    "runner_scheduling_failure": 503,
    "runner_connection_timeout": 503,
    "runner_disconnected": 503,
    "runner_connection_refused": 503,
    "runner_connection_error": 503,
    "runner_incomplete_response": 502,
    "runner_server_error": 500,
    "internal_error": 500,
    "client_disconnected": 499,
    "client_cancelled": 499,
    "bad_request": 400,
}
"""Request-level codes and the HTTP status of the result."""

MODEL_MESSAGES: Mapping[str, tuple[int, tuple[str, ...], str]] = {
    "content_policy_violation": (
        422,
        ("body", "prompt"),
        (
            "The content could not be processed because it contained material flagged by a"
            " content checker."
        ),
    ),
    "no_media_generated": (
        422,
        ("body",),
        "The model did not generate the expected output for this prompt. Try another prompt.",
    ),
    "file_download_error": (
        422,
        ("body", "image_url"),
        "Failed to download the file. Please check if the URL is accessible and try again.",
    ),
    # assumption: the following texts are ours, their types and statuses are fal's
    "image_load_error": (422, ("body", "image_url"), "Failed to load the image."),
    "file_too_large": (422, ("body", "image_url"), "The file is too large."),
    "internal_server_error": (500, ("body",), "Internal server error"),
    "generation_timeout": (504, ("body",), "The generation timed out."),
    "downstream_service_error": (400, ("body",), "A downstream service failed."),
    "downstream_service_unavailable": (500, ("body",), "A downstream service is unavailable."),
}
"""Model error types: HTTP status of the result, location, message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a run. ``body`` is built per fetch, because media URLs may be renewed.

    ``error`` and ``error_type`` are the members of the COMPLETED status, if it has them.
    """

    status: int
    body: Callable[[], Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    billed: bool = False

    @property
    def ok(self) -> bool:
        return self.status < 400


def request_error(error_type: str, detail: str) -> Answer:
    """A failure of fal's platform; ``error_type`` is a key of `REQUEST_ERRORS`."""
    return Answer(
        status=REQUEST_ERRORS[error_type],
        body=lambda: {"detail": detail, "error_type": error_type},
        headers={"X-Fal-Error-Type": error_type},
        error=detail,
        error_type=error_type,
    )


def model_error(error_type: str, submitted: Any, location: tuple[str, ...] | None = None) -> Answer:
    """A failure that the model reports; ``error_type`` is a key of `MODEL_MESSAGES`."""
    status, where, message = MODEL_MESSAGES[error_type]
    return model_errors(
        [
            {
                "loc": list(location or where),
                "msg": message,
                "type": error_type,
                "url": f"{DOCS_URL}#{error_type}",
                "ctx": {},
                "input": submitted,
            }
        ],
        status,
    )


def model_errors(details: list[dict[str, Any]], status: int = 422) -> Answer:
    """Model-level details, unchanged. assumption: the status has no error for these."""
    retryable = "true" if status >= 500 else "false"
    return Answer(
        status=status, body=lambda: {"detail": details}, headers={"X-Fal-Retryable": retryable}
    )
