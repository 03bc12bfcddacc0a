"""The messages for users: one for every failure and every error, and no provider's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from clipmint import clock, errors
from clipmint.api import gateway
from clipmint.errors import ClipmintError, InsufficientCredits, LimitReached
from clipmint.jobs.outcomes import USER_MESSAGES, FailureCode

PROVIDERS = re.compile(
    r"\b(fal|runway|runware|veo|sora|kling|gen-?4|google|openai|vertex|api|aws|s3|lambda)\b",
    re.IGNORECASE,
)


def kinds(of: type[ClipmintError] = ClipmintError) -> Iterator[type[ClipmintError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


KINDS = sorted(set(kinds()), key=lambda kind: kind.__name__)
# Base classes that are raised only as a subclass, or where no subclass fits.
CODES = {kind.code for kind in KINDS} | {ClipmintError.code}


@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_has_a_sentence_for_the_user(code: FailureCode) -> None:
    sentence = USER_MESSAGES[code]
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert not PROVIDERS.search(sentence)


def test_a_failures_name_is_its_value() -> None:
    assert {code.name: code.value for code in FailureCode} == {
        code.name: code.name for code in FailureCode
    }


def test_no_message_to_a_user_mentions_the_owners_account() -> None:
    assert not re.search(
        r"account|fund|balance|credit|key|pay",
        USER_MESSAGES[FailureCode.OWNER_ACCOUNT],
        re.IGNORECASE,
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[ClipmintError]) -> None:
    status = gateway.status_of(kind("sentence"))
    assert 400 <= status < 500 or status is HTTPStatus.SERVICE_UNAVAILABLE


def test_every_error_has_a_code_of_its_own() -> None:
    assert len(CODES) == len(KINDS) + 1
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in CODES)


def test_the_table_of_statuses_is_the_documented_one() -> None:
    by_status: dict[int, set[str]] = {}
    for kind in KINDS:
        by_status.setdefault(gateway.status_of(kind("sentence")), set()).add(kind.__name__)
    assert by_status == {
        400: {
            "InvalidRequest",
            "IdempotencyKeyRequired",
            "IdempotencyKeyInvalid",
            "ImageRequired",
            "ImageNotUploaded",
            "ImageInvalid",
            "SettingNotAllowed",
            "ModelUnavailable",
            "PromptRequired",
            "FramesRequired",
            "TooManyScenes",
            "TooManyEndpoints",
            "ResolutionNotAllowed",
            "TaskHasEnded",
        },
        401: {"WebhookNotProven"},
        402: {"InsufficientCredits"},
        403: {"UserMismatch", "ScopeRequired"},
        404: {
            "NotFound",
            "ModelNotFound",
            "JobNotFound",
            "ProjectNotFound",
            "SceneNotFound",
            "EndpointNotFound",
            "DeliveryNotFound",
            "VideoNotReady",
            "PackNotFound",
            "PurchaseNotFound",
        },
        405: {"MethodNotAllowed"},
        409: {
            "Conflict",
            "RequestInProgress",
            "PriceChanged",
            "CancelTooLate",
            "NothingToFetch",
            "JobRunning",
            "ReferenceReused",
            "TooManyLots",
            "EndpointDisabled",
            "SecretsStillSign",
            "PurchaseNotWaiting",
            "SceneBusy",
            "ProjectBusy",
        },
        422: {"IdempotencyKeyReused"},
        429: {"LimitReached"},
        503: {"TemporarilyUnavailable"},
    }


def test_the_tree_in_the_docstring_of_errors_has_all_of_them() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == [kind.__name__ for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_the_same_shape(kind: type[ClipmintError]) -> None:
    body = kind("What happened", details="More of it").body()
    assert list(body) == ["error", "code", "details", "timestamp"]
    assert (body["error"], body["code"], body["details"]) == (
        "What happened",
        kind.code,
        "More of it",
    )
    made_at = clock.from_iso(body["timestamp"])
    assert body["timestamp"].endswith("Z")
    assert abs((clock.now() - made_at).total_seconds()) < 5


def test_extras_come_after_the_shape_and_headers_stay_outside() -> None:
    poor = InsufficientCredits("Insufficient credits", extras={"current_credits": 1})
    assert list(poor.body()) == ["error", "code", "details", "timestamp", "current_credits"]
    hasty = LimitReached("Too many", headers={"Retry-After": "30"})
    assert "Retry-After" not in hasty.body()
    assert hasty.headers == {"Retry-After": "30"}
