"""Runway's failures and what they mean to us.

A task that failed carries a ``failureCode`` of dotted parts, general to particular, such as
``SAFETY.INPUT.TEXT``, and an open set of them: the longest known beginning counts. A submission
that was refused has an HTTP status, and for 400 a list of what is wrong with the body (docs).

What a user reads follows from the `FailureCode` alone; Runway's own words go to the logs, as its
documentation asks. ``transient`` says that the same request may well succeed another time. It is
never a licence to send a submission again that may have been accepted.
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
    "SAFETY.INPUT": _POLICY,  # TEXT, IMAGE, …: not to be sent again, and not refunded (docs)
    "SAFETY.OUTPUT": _POLICY,  # VIDEO, IMAGE, TEXT: another seed might pass; the user decides
    "INPUT_PREPROCESSING.SAFETY": _POLICY,  # TEXT (docs), THIRD_PARTY (seen)
    "INPUT_PREPROCESSING.INTERNAL": _FAULT,
    "ASSET.INVALID": _UNREADABLE,  # dimensions, codec or aspect; our assets are all images
    "INTERNAL": _FAULT,
    "INTERNAL.BAD_OUTPUT": _FAULT,  # CODE01, …: not good enough for Runway itself, not charged
    "THIRD_PARTY.UNAVAILABLE": _BUSY,
    "THIRD_PARTY.INPUT_VALIDATION": _INVALID,  # (seen)
    NO_CODE: _FAULT,  # null or missing: try again later (docs)
}
"""Every family Runway documents, and two that were seen. Any other code is `UNKNOWN_CODE`."""

BY_STATUS: Mapping[int, Failed] = {
    400: _INVALID,
    401: _OWNER,  # the key is not valid (docs)
    402: _OWNER,  # not used by Runway so far; it can mean nothing else
    403: _OWNER,  # likewise: the key is good, and not for this
    404: _OURS,  # the catalog names what Runway does not have
    405: _OURS,
    413: _INVALID,
    415: _OURS,
    422: _INVALID,
}
"""Refusals of a submission. Any other 4xx is `UNKNOWN_CODE`."""

BY_FIELD: Mapping[str, Failed] = {
    "promptImage": _UNREADABLE,  # fetched while we wait: no redirects, HEAD answered, a size (docs)
    "referenceImages": _UNREADABLE,
    "model": _OURS,  # no longer offered
}
"""For a 400 that names a field. Any other field is a value the user chose, or the prompt."""

# "You do not have enough credits to run this task." (seen). There is no status for it.
_OUT_OF_CREDITS = re.compile(
    r"\b(enough|insufficient|no|out of) (remaining )?credits\b", re.IGNORECASE
)


def of_task(code: object, words: object) -> Failed:
    """The failure of a task that FAILED. ``code`` may be null; ``words`` are Runway's."""
    name = code.strip().upper() if isinstance(code, str) else NO_CODE
    known = (BY_FAMILY[family] for family in _families(name) if family in BY_FAMILY)
    meant = next(known, UNKNOWN_CODE)
    said = excerpt(words) if isinstance(words, str) else ""
    return replace(meant, detail=": ".join(filter(None, [excerpt(name), said])))


def of_refusal(status: int, body: Mapping[str, object] | None, words: str) -> Failed:
    """The failure of a submission refused with a 4xx. ``words`` are Runway's, fit for a log."""
    return replace(_refusal(status, body), detail=f"HTTP {status}: {words}")


def message(body: Mapping[str, object] | None) -> str:
    """The sentence in an error body, and what it says is wrong with which field.

    Never more of our request than Runway puts into its own sentences.
    """
    body = body or {}
    # The gateway in front of the API says ``message`` (seen).
    said = [word for word in (body.get("error"), body.get("message")) if isinstance(word, str)]
    wrong = [f"{_field(issue)}: {issue.get('message', '')}" for issue in _issues(body)[:3]]
    return "; ".join([*said[:1], *wrong])


def _refusal(status: int, body: Mapping[str, object] | None) -> Failed:
    if status == HTTPStatus.BAD_REQUEST and body:
        issues = _issues(body)
        # Only where nothing is wrong with the body: a sentence about a field might quote a prompt.
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
    """The field of the body an issue is about; empty where it is about the whole."""
    path = issue.get("path")
    return str(path[0]) if isinstance(path, list) and path else ""
