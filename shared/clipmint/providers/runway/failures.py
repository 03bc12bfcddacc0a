"""Runway's failures and their meanings.

A failed task has a ``failureCode`` of dotted parts, from general to particular, such as
``SAFETY.INPUT.TEXT``. The set of codes is open: the longest known prefix decides. A rejected
submission has an HTTP status and, for 400, a list of what is wrong with the body (docs).

Users see a text chosen by the `FailureCode` alone; Runway's own message goes to the logs, as its
documentation asks. ``transient``: the same request may succeed at another time. It never permits us
to resend a submission that may have been accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus

from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.providers.transport import excerpt

_POLICY = Failed(FailureCode.CONTENT_POLICY)
_INVALID = Failed(FailureCode.INVALID_INPUT)
_UNREADABLE = Failed(FailureCode.INPUT_UNREADABLE)
_OWNER = Failed(FailureCode.OWNER_ACCOUNT)
_OURS = Failed(FailureCode.INTERNAL)
_BUSY = Failed(FailureCode.PROVIDER_UNAVAILABLE, transient=True)
_FAULT = Failed(FailureCode.PROVIDER_ERROR, transient=True)

NO_CODE = ""
UNKNOWN_CODE = Failed(FailureCode.PROVIDER_ERROR)

BY_FAMILY: Mapping[str, Failed] = {
    "SAFETY": _POLICY,
    "SAFETY.INPUT": _POLICY,  # TEXT, IMAGE, …: do not retry; not refunded (docs)
    "SAFETY.OUTPUT": _POLICY,  # VIDEO, IMAGE, TEXT: another seed might pass; the user decides
    "INPUT_PREPROCESSING.SAFETY": _POLICY,  # TEXT (docs), THIRD_PARTY (seen)
    "INPUT_PREPROCESSING.INTERNAL": _FAULT,
    "ASSET.INVALID": _UNREADABLE,  # dimensions, codec or aspect; our assets are all images
    "INTERNAL": _FAULT,
    "INTERNAL.BAD_OUTPUT": _FAULT,  # CODE01, …: Runway discarded the output; not charged
    "THIRD_PARTY.UNAVAILABLE": _BUSY,
    "THIRD_PARTY.INPUT_VALIDATION": _INVALID,  # (seen)
    NO_CODE: _FAULT,  # null or missing: retry later (docs)
}
"""Every family that Runway documents, and two that were seen. Other codes: `UNKNOWN_CODE`."""

BY_STATUS: Mapping[int, Failed] = {
    400: _INVALID,
    401: _OWNER,  # the key is not valid (docs)
    402: _OWNER,  # not used by Runway so far; it has no other meaning
    403: _OWNER,  # likewise: the key is valid, but has no permission for this
    404: _OURS,  # the catalog's endpoint is unknown to Runway
    405: _OURS,
    413: _INVALID,
    415: _OURS,
    422: _INVALID,
}
"""Rejections of a submission. Any other 4xx is `UNKNOWN_CODE`."""

BY_FIELD: Mapping[str, Failed] = {
    "promptImage": _UNREADABLE,  # fetched immediately; needs no redirect, HEAD, a length (docs)
    "referenceImages": _UNREADABLE,
    "model": _OURS,  # no longer offered
}
"""For a 400 that names a field. Any other field is a setting of the user's, or the prompt."""

# "You do not have enough credits to run this task." (seen). It has no HTTP status of its own.
_OUT_OF_CREDITS = re.compile(
    r"\b(enough|insufficient|no|out of) (remaining )?credits\b", re.IGNORECASE
)


def of_task(code: object, text: object) -> Failed:
    """The failure of a task that FAILED. ``code`` may be null; ``text`` is Runway's message."""
    name = code.strip().upper() if isinstance(code, str) else NO_CODE
    known = (BY_FAMILY[family] for family in _families(name) if family in BY_FAMILY)
    meant = next(known, UNKNOWN_CODE)
    reason = excerpt(text) if isinstance(text, str) else ""
    return replace(meant, detail=": ".join(filter(None, [excerpt(name), reason])))


def of_refusal(status: int, body: Mapping[str, object] | None, text: str) -> Failed:
    """The failure of a submission rejected with a 4xx. ``text`` is Runway's, fit for a log."""
    return replace(_refusal(status, body), detail=f"HTTP {status}: {text}")


def message(body: Mapping[str, object] | None) -> str:
    """The message in an error body, followed by the invalid fields.

    It contains no more of our request than Runway's own messages do.
    """
    body = body or {}
    # The gateway in front of the API uses ``message`` (seen).
    texts = [text for text in (body.get("error"), body.get("message")) if isinstance(text, str)]
    invalid = [f"{_field(issue)}: {issue.get('message', '')}" for issue in _issues(body)[:3]]
    return "; ".join([*texts[:1], *invalid])


def _refusal(status: int, body: Mapping[str, object] | None) -> Failed:
    if status == HTTPStatus.BAD_REQUEST and body:
        issues = _issues(body)
        # Only if no field is invalid: a message about a field might quote the prompt.
        if not issues and _OUT_OF_CREDITS.search(message(body)):
            return _OWNER
        if any(issue.get("code") == "unrecognized_keys" for issue in issues):
            return _OURS
        if issues:
            return BY_FIELD.get(_field(issues[0]), _INVALID)
    return BY_STATUS.get(status, UNKNOWN_CODE)


def _families(code: str) -> Iterator[str]:
    """``A.B.C``, ``A.B``, ``A``."""
    parts = code.split(".")
    return (".".join(parts[:length]) for length in range(len(parts), 0, -1))


def _issues(body: Mapping[str, object]) -> list[Mapping[str, object]]:
    issues = body.get("issues")
    listed = issues if isinstance(issues, list) else []
    return [issue for issue in listed if isinstance(issue, dict)]


def _field(issue: Mapping[str, object]) -> str:
    """The body's field that an issue concerns; empty if it concerns the whole body."""
    path = issue.get("path")
    return str(path[0]) if isinstance(path, list) and path else ""
