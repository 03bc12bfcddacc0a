"""Runware's error codes: every known code has a meaning, in the documented order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.runware.failures import BY_STATUS, RULES, Kind, meaning

# The codes the SDK names, by the sort it puts them in.
NAMED: dict[FailureCode, list[str]] = {
    FailureCode.OWNER_ACCOUNT: [
        *("insufficientCredits", "creditsExhausted", "quotaExceeded", "lowBalance"),
        *("paymentRequired", "environmentPaused"),
        *("invalidApiKey", "missingApiKey", "unauthorized", "forbidden", "permissionDenied"),
        *("insufficientPermissions", "authenticationFailed", "authFailed", "authTimeout"),
        *("invalidAuthentication", "invalidCredentials", "missingAuthentication"),
        *("tokenExpired", "tokenInvalid", "tokenMissing", "tokenRevoked"),
        *("accountSuspended", "accountDisabled", "organizationSuspended"),
        *("organizationDisabled", "workspaceSuspended", "workspaceDisabled"),
    ],
    FailureCode.CONTENT_POLICY: [
        *("contentPolicyViolation", "providerContentPolicyViolation"),
        *("sensitiveContentDetected", "unsafeContentDetected", "nsfwContentDetected"),
        *("promptBlocked", "imageBlocked", "moderationFailed", "invalidProviderContent"),
    ],
    FailureCode.PROVIDER_TIMEOUT: [
        *("timeout", "timeoutProvider", "providerTimeout", "requestTimeout", "inferenceTimedOut"),
    ],
    FailureCode.PROVIDER_UNAVAILABLE: [
        *("rateLimitExceeded", "providerRateLimitExceeded"),
        *("noAvailableServer", "modelUnavailable", "modelNotReady", "modelDisabled"),
    ],
    FailureCode.PROVIDER_ERROR: [
        *("internalServerError", "serviceUnavailable", "serverUnavailable", "standardError"),
        *("unknownError", "undefinedError", "defaultError", "unrecognizedResponse"),
        *("inferenceError", "processingFailed", "taskFailed", "downloadFailed", "uploadFailed"),
        *("mediaStorageFileCouldNotBeMoved", "providerError", "providerUnauthorized"),
    ],
    FailureCode.INVALID_INPUT: [
        *("invalidPositivePrompt", "missingPositivePrompt", "duplicateTask", "valueTooLarge"),
        *("unsupportedParameter", "arrayTooSmall", "unknownParameter", "maxLengthExceeded"),
        *("incompatibleParameters", "mismatchProviderSettingsProvider", "validationFailed"),
        *("unknownProviderSettingsProvider", "parameterConflict"),
    ],
    FailureCode.INPUT_UNREADABLE: ["invalidInputImage", "unsupportedImageFormat", "imageNotFound"],
    FailureCode.INTERNAL: ["conflictTaskUUID", "modelNotFound", "unknownModel", "invalidModel"],
    FailureCode.CANCELLED: ["taskCancelled"],
    FailureCode.MEDIA_UNAVAILABLE: ["resultExpired"],
}
PAIRS = [(code, name) for code, names in NAMED.items() for name in names]


@pytest.mark.parametrize(("code", "name"), PAIRS, ids=[name for _, name in PAIRS])
def test_every_code_the_sdk_names_has_its_meaning_in_any_case(code: FailureCode, name: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert meaning(spelling, 200).code is code


def test_a_time_out_is_recognised_also_where_the_sdk_does_not() -> None:
    assert meaning("timeoutProvider", 200).kind is Kind.TIMEOUT
    assert meaning("timeoutProvider", 200).transient


def test_the_first_rule_that_matches_decides() -> None:
    assert meaning("invalidApiKey", 200).kind is Kind.ACCESS
    assert meaning("providerQuotaExceeded", 200).kind is Kind.FUNDS
    assert meaning("authTimeout", 200).kind is Kind.ACCESS
    assert meaning("tokenExpired", 200).kind is Kind.ACCESS
    assert meaning("providerTimeout", 200).kind is Kind.TIMEOUT


@pytest.mark.parametrize("code", ["downloadFailed", "invalidInputs", "invalidValue"])
@pytest.mark.parametrize(
    "parameter", ["inputs", "inputs.frameImages", "inputs.frameImages[0].image"]
)
def test_an_unreadable_image_is_an_error_of_the_user(code: str, parameter: str) -> None:
    assert meaning(code, 400, parameter).code is FailureCode.INPUT_UNREADABLE


def test_another_failed_download_is_an_error_of_runware() -> None:
    assert meaning("downloadFailed", 500).code is FailureCode.PROVIDER_ERROR
    assert meaning("unsupportedParameter", 400, "inputs.seedImage").kind is Kind.INVALID


def test_for_an_uninformative_code_the_status_decides() -> None:
    for status, meant in BY_STATUS.items():
        assert meaning("neverHeardOf", status) == meant
    assert meaning("neverHeardOf", 200).kind is Kind.UNKNOWN
    assert meaning("", 418).code is FailureCode.PROVIDER_ERROR


@pytest.mark.parametrize("status", [401, 402])
@pytest.mark.parametrize("code", ["unsupportedParameter", "neverHeardOf", ""])
def test_unpaid_or_unauthorized_concerns_the_owner_with_any_code(status: int, code: str) -> None:
    assert meaning(code, status).code is FailureCode.OWNER_ACCOUNT


def test_every_kind_has_a_rule() -> None:
    assert {rule.meaning.kind for rule in RULES} == set(Kind) - {Kind.UNKNOWN}


def test_only_an_error_that_ends_by_itself_is_transient() -> None:
    passing = {rule.meaning.code for rule in RULES if rule.meaning.transient}
    assert passing == {
        FailureCode.PROVIDER_ERROR,
        FailureCode.PROVIDER_TIMEOUT,
        FailureCode.PROVIDER_UNAVAILABLE,
    }


@given(st.text(max_size=40), st.integers(100, 599))
def test_every_code_has_a_meaning(code: str, status: int) -> None:
    assert isinstance(meaning(code, status).code, FailureCode)
