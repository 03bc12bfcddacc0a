"""Runware's error codes and their meanings, as one table.

Runware documents the shape of an error but no closed list of codes, and warns that codes vary
between models and may change (docs: errors). Its SDK classifies them by pattern, in a fixed order.
`RULES` follows that order (SDK: ``derive_code``), with three differences:

- Case never matters. The SDK searches for ``Timeout`` and so misses ``timeoutProvider``, the
  example in the docs. ``insufficientCredits`` and ``creditsExhausted`` mean the same.
- ``conflictTaskUUID`` has a rule of its own: it means that Runware already knows the task.
- The SDK's "not found" and "provider" each have several meanings here: a deleted task is not an
  unknown model, and a full cluster is not a failed run.

``transient``: the same request may succeed at another time, as a new submission.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto

from clipmint.jobs.outcomes import FailureCode
from clipmint.values import frozen


class Kind(Enum):
    """The kind of an error, for decisions that the `FailureCode` alone does not determine."""

    CONFLICT = auto()
    FUNDS = auto()
    RATE = auto()
    POLICY = auto()
    ACCESS = auto()
    TIMEOUT = auto()
    CANCELLED = auto()
    NO_SUCH_TASK = auto()
    NO_SUCH_MODEL = auto()
    EXPIRED = auto()
    SERVER = auto()
    CAPACITY = auto()
    RUN = auto()
    UNREADABLE = auto()
    INVALID = auto()
    UNKNOWN = auto()


@frozen
class Meaning:
    """The kind of an error, and the failure of a task that ended with it."""

    kind: Kind
    code: FailureCode
    transient: bool = False


@frozen
class Rule:
    """A code that contains ``pattern``, in any case, has this ``meaning``.

    With ``parameter``, only if the name of the invalid parameter contains that pattern too.
    """

    pattern: re.Pattern[str]
    meaning: Meaning
    parameter: re.Pattern[str] | None = None

    def matches(self, code: str, parameter: str) -> bool:
        named = self.parameter is None or self.parameter.search(parameter) is not None
        return named and self.pattern.search(code) is not None


def _rule(
    pattern: str,
    kind: Kind,
    code: FailureCode,
    *,
    transient: bool = False,
    parameter: str | None = None,
) -> Rule:
    return Rule(
        re.compile(pattern, re.IGNORECASE),
        Meaning(kind, code, transient),
        re.compile(parameter, re.IGNORECASE) if parameter else None,
    )


RULES: tuple[Rule, ...] = (
    _rule(
        r"^(conflict|duplicate)TaskUUID$|^taskUUID(Conflict|AlreadyExists)$|^taskAlreadyExists$",
        Kind.CONFLICT,
        FailureCode.INTERNAL,
    ),
    # The owner's credits are used up, or the owner has paused the account.
    _rule(
        r"credits|quota|balance|^paymentRequired$|^environmentPaused$",
        Kind.FUNDS,
        FailureCode.OWNER_ACCOUNT,
    ),
    _rule(r"rateLimit", Kind.RATE, FailureCode.PROVIDER_UNAVAILABLE, transient=True),
    _rule(
        r"contentPolicy|(sensitive|unsafe|nsfw)Content|(prompt|image)Blocked|^moderation"
        r"|^invalidProviderContent$",
        Kind.POLICY,
        FailureCode.CONTENT_POLICY,
    ),
    # Errors of our key. A partner's error about Runware's own keys begins with "provider" (below).
    _rule(
        r"apiKey|^(unauthorized|forbidden|permissionDenied|insufficientPermissions)$"
        r"|^(authentication|auth)(Failed|Timeout)$|^(invalid|missing)Authentication$"
        r"|^invalidCredentials$|^token(Expired|Invalid|Missing|Revoked)$"
        r"|^(account|organization|workspace)(Suspended|Disabled)$",
        Kind.ACCESS,
        FailureCode.OWNER_ACCOUNT,
    ),
    _rule(r"time(d)?-?out", Kind.TIMEOUT, FailureCode.PROVIDER_TIMEOUT, transient=True),
    _rule(r"^taskCancel", Kind.CANCELLED, FailureCode.CANCELLED),
    # The poll found no task with this id (`results` then keeps waiting).
    _rule(r"^task.*NotFound$", Kind.NO_SUCH_TASK, FailureCode.PROVIDER_ERROR, transient=True),
    _rule(
        r"^model.*NotFound$|^(unknown|invalid|unsupported)Model",
        Kind.NO_SUCH_MODEL,
        FailureCode.INTERNAL,
    ),
    # *Assumed*: any other resource that a task names is one of its images.
    _rule(r"NotFound$", Kind.UNREADABLE, FailureCode.INPUT_UNREADABLE),
    _rule(r"Expired$", Kind.EXPIRED, FailureCode.MEDIA_UNAVAILABLE),
    _rule(
        r"^(internalServer|standard|unknown|undefined|default)Error$"
        r"|^(service|server)Unavailable$|^unrecognizedResponse$",
        Kind.SERVER,
        FailureCode.PROVIDER_ERROR,
        transient=True,
    ),
    _rule(
        r"^noAvailableServer|^model(Unavailable|NotReady|Disabled)$",
        Kind.CAPACITY,
        FailureCode.PROVIDER_UNAVAILABLE,
        transient=True,
    ),
    # *Assumed*: Runware could not fetch or decode an image that it calls invalid, because the
    # format in which we name images never changes.
    _rule(
        r"^(invalid|unsupported).*(image|frame)",
        Kind.UNREADABLE,
        FailureCode.INPUT_UNREADABLE,
    ),
    _rule(
        r"^(downloadFailed$|invalid)",
        Kind.UNREADABLE,
        FailureCode.INPUT_UNREADABLE,
        parameter=r"^inputs\b|image|frame",
    ),
    _rule(
        r"^(inferenceError|processingFailed|taskFailed|downloadFailed|uploadFailed)$"
        r"|^mediaStorage|^provider",
        Kind.RUN,
        FailureCode.PROVIDER_ERROR,
        transient=True,
    ),
    _rule(
        r"^(invalid|missing|duplicate|unsupported|value|array|max|mismatch)|conflict"
        r"|^unknown(Parameter|ProviderSettings)|^incompatible|^validation",
        Kind.INVALID,
        FailureCode.INVALID_INPUT,
    ),
)
"""The first matching rule decides."""

BY_STATUS: Mapping[int, Meaning] = {
    400: Meaning(Kind.INVALID, FailureCode.INVALID_INPUT),
    401: Meaning(Kind.ACCESS, FailureCode.OWNER_ACCOUNT),
    402: Meaning(Kind.FUNDS, FailureCode.OWNER_ACCOUNT),
    403: Meaning(Kind.ACCESS, FailureCode.OWNER_ACCOUNT),
    404: Meaning(Kind.NO_SUCH_MODEL, FailureCode.INTERNAL),
    405: Meaning(Kind.NO_SUCH_MODEL, FailureCode.INTERNAL),
    413: Meaning(Kind.INVALID, FailureCode.INVALID_INPUT),
    415: Meaning(Kind.INVALID, FailureCode.INVALID_INPUT),
    422: Meaning(Kind.INVALID, FailureCode.INVALID_INPUT),
    429: Meaning(Kind.RATE, FailureCode.PROVIDER_UNAVAILABLE, transient=True),
    500: Meaning(Kind.SERVER, FailureCode.PROVIDER_ERROR, transient=True),
    502: Meaning(Kind.SERVER, FailureCode.PROVIDER_ERROR, transient=True),
    503: Meaning(Kind.CAPACITY, FailureCode.PROVIDER_UNAVAILABLE, transient=True),
    504: Meaning(Kind.TIMEOUT, FailureCode.PROVIDER_TIMEOUT, transient=True),
}
"""For an error whose code we do not know."""

_UNKNOWN = Meaning(Kind.UNKNOWN, FailureCode.PROVIDER_ERROR)
_OWNERS = frozenset({401, 402})  # used only for the key and the funds (docs)


ACCOUNT = frozenset({Kind.ACCESS, Kind.FUNDS})
"""Errors of the owner's key or funds, for any request."""


def meaning(code: str, status: int, parameter: str = "") -> Meaning:
    """The meaning of an error with this code, in a response with this HTTP status."""
    if status in _OWNERS:
        return BY_STATUS[status]
    for rule in RULES:
        if rule.matches(code, parameter):
            return rule.meaning
    return BY_STATUS.get(status, _UNKNOWN)
