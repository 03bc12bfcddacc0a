"""The table of fal's errors: complete, and correct about what is transient."""

from __future__ import annotations

import pytest

from clipmint.jobs.outcomes import USER_MESSAGES, FailureCode
from clipmint.providers.fal.failures import BY_STATUS, BY_TYPE

REQUEST_TYPES = [
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_disconnected",
    "runner_connection_refused",
    "runner_connection_error",
    "client_disconnected",
    "client_cancelled",
    "runner_incomplete_response",
    "runner_server_error",
    "internal_error",
    "bad_request",
]
MODEL_TYPES = [
    "content_policy_violation",
    "no_media_generated",
    "image_load_error",
    "file_download_error",
    "image_too_small",
    "image_too_large",
    "file_too_large",
    "face_detection_error",
    "one_of",
    "missing",
    "value_error",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "feature_not_supported",
    "sequence_too_short",
    "sequence_too_long",
    "unsupported_image_format",
    "unsupported_video_format",
    "unsupported_audio_format",
    "video_duration_too_long",
    "video_duration_too_short",
    "audio_duration_too_long",
    "audio_duration_too_short",
    "internal_server_error",
    "generation_timeout",
    "downstream_service_error",
    "downstream_service_unavailable",
    "concurrent_requests_limit",
]


@pytest.mark.parametrize("kind", [*REQUEST_TYPES, *MODEL_TYPES])
def test_every_documented_error_type_has_a_meaning(kind: str) -> None:
    assert USER_MESSAGES[BY_TYPE[kind].code]


def test_the_tables_hold_no_type_that_is_not_documented() -> None:
    assert set(BY_TYPE) == {*REQUEST_TYPES, *MODEL_TYPES}


def test_a_users_own_mistake_is_never_called_transient() -> None:
    users = {
        FailureCode.CONTENT_POLICY,
        FailureCode.NO_OUTPUT,
        FailureCode.INVALID_INPUT,
        FailureCode.INPUT_UNREADABLE,
        FailureCode.CANCELLED,
        FailureCode.OWNER_ACCOUNT,
    }
    meanings = [*BY_TYPE.values(), *BY_STATUS.values()]
    assert {meant.code for meant in meanings if meant.transient} & users == set()
