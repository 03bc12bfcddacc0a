"""Runware's errors: a code, a text, the wrong parameter, and the task.

Codes are camel case and follow patterns (``missingX``, ``invalidX``, ``unsupportedParameter``);
the documentation warns that they vary by model, so callers classify them by pattern. A code marked
as an assumption is our guess that follows the pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = "https://runware.ai/docs/platform/errors"

MESSAGES: Mapping[str, tuple[int, str]] = {
    "invalidApiKey": (401, "Invalid API key. Get one at https://my.runware.ai/signup"),
    # assumption: the spelling; the official SDK looks for "Credits" in the code
    "insufficientCredits": (402, "Insufficient credits. Add credits to your account to continue."),
    "rateLimitExceeded": (429, "The queue is at capacity. Please try again later."),
    "noAvailableServer": (503, "No server is available for this model right now."),
    "modelUnavailable": (503, "The model is temporarily unavailable."),
    "serviceUnavailable": (503, "The service is temporarily unavailable."),
    "timeoutProvider": (504, "The external provider did not respond within the timeout window."),
    "providerTimeout": (504, "The external provider did not respond in time."),
    "invalidProviderContent": (400, "The provider declined this content under its policy."),
    "contentPolicyViolation": (400, "The content violates the content policy."),
    "conflictTaskUUID": (400, "A task with this taskUUID already exists."),
    "inferenceError": (500, "Inference failed."),
    "downloadFailed": (400, "Failed to download the media at the given URL."),
    "uploadFailed": (500, "Failed to upload the result to the given endpoint."),
    "invalidModel": (400, "Invalid value for 'model' parameter"),
}
"""Codes that the simulator returns on its own or for a fault: HTTP status and text."""


class TaskError(Exception):
    """A task that was refused (with ``status``) or failed. ``parameter`` may be a list."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        parameter: str | list[str] | None = None,
        status: int | None = None,
    ) -> None:
        known_status, words = MESSAGES.get(code, (400, "The request could not be processed."))
        self.code = code
        self.message = message or words
        self.parameter = parameter
        self.status = status or known_status
        super().__init__(f"{code}: {self.message}")

    def as_json(self, task_type: object = None, task_uuid: object = None) -> dict[str, Any]:
        """One element of ``errors``. Members without a value are left out."""
        document = {
            "code": self.code,
            "message": self.message,
            "parameter": self.parameter,
            "taskType": task_type,
            "taskUUID": task_uuid,
            "documentation": DOCUMENTATION,
        }
        return {name: value for name, value in document.items() if value is not None}


def invalid(parameter: str) -> TaskError:
    """``invalidX`` for a wrong value of ``x``, with the text that the real service used."""
    return TaskError(
        f"invalid{_capital(parameter)}",
        f"Invalid value for '{parameter}' parameter",
        parameter=parameter,
    )


def missing(parameter: str) -> TaskError:
    return TaskError(
        f"missing{_capital(parameter)}",
        f"Missing required parameter '{parameter}'",
        parameter=parameter,
    )


def unsupported(parameter: str, model: str) -> TaskError:
    return TaskError(
        "unsupportedParameter",
        f"The parameter '{parameter}' is not supported by the model '{model}'",
        parameter=parameter,
    )


def incompatible(*parameters: str) -> TaskError:
    """The error of parameters that exclude each other; its ``parameter`` is a list."""
    names = " and ".join(f"'{name}'" for name in parameters)
    return TaskError(
        "incompatibleParameters",
        f"The parameters {names} cannot be used together",
        parameter=list(parameters),
    )


def _capital(parameter: str) -> str:
    name = parameter.rpartition(".")[2]
    return name[:1].upper() + name[1:]
