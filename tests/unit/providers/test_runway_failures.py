"""The table of Runway's failures: complete, and correct about what is transient."""

from __future__ import annotations

import pytest

from clipmint.jobs.outcomes import USER_MESSAGES, Failed, FailureCode
from clipmint.providers.runway.failures import (
    BY_FAMILY,
    BY_FIELD,
    BY_STATUS,
    NO_CODE,
    UNKNOWN_CODE,
    of_task,
)


@pytest.mark.parametrize(
    ("code", "meant", "transient"),
    [
        ("SAFETY.INPUT.TEXT", FailureCode.CONTENT_POLICY, False),
        ("SAFETY.INPUT.IMAGE", FailureCode.CONTENT_POLICY, False),
        ("SAFETY.OUTPUT.VIDEO", FailureCode.CONTENT_POLICY, False),
        ("SAFETY.OUTPUT.IMAGE", FailureCode.CONTENT_POLICY, False),
        ("SAFETY.SOMETHING.NEW", FailureCode.CONTENT_POLICY, False),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", FailureCode.CONTENT_POLICY, False),
        ("INPUT_PREPROCESSING.SAFETY.THIRD_PARTY", FailureCode.CONTENT_POLICY, False),
        ("INPUT_PREPROCESSING.INTERNAL", FailureCode.PROVIDER_ERROR, True),
        ("ASSET.INVALID", FailureCode.INPUT_UNREADABLE, False),
        ("INTERNAL", FailureCode.PROVIDER_ERROR, True),
        ("INTERNAL.BAD_OUTPUT.CODE01", FailureCode.PROVIDER_ERROR, True),
        ("INTERNAL.BAD_OUTPUT.CODE07", FailureCode.PROVIDER_ERROR, True),
        ("INTERNAL.SOMETHING.NEW", FailureCode.PROVIDER_ERROR, True),
        ("THIRD_PARTY.UNAVAILABLE", FailureCode.PROVIDER_UNAVAILABLE, True),
        ("THIRD_PARTY.INPUT_VALIDATION", FailureCode.INVALID_INPUT, False),
        (None, FailureCode.PROVIDER_ERROR, True),
        ("", FailureCode.PROVIDER_ERROR, True),
        ("SOMETHING.NEW", FailureCode.PROVIDER_ERROR, False),
        ("SAFETYNET", FailureCode.PROVIDER_ERROR, False),
        ("THIRD_PARTY", FailureCode.PROVIDER_ERROR, False),
        (" internal ", FailureCode.PROVIDER_ERROR, True),
    ],
)
def test_the_longest_known_prefix_of_a_code_decides_its_meaning(
    code: str | None, meant: FailureCode, transient: bool
) -> None:
    failure = of_task(code, None)
    assert (failure.code, failure.transient) == (meant, transient)


def every_meaning() -> list[Failed]:
    return [*BY_FAMILY.values(), *BY_STATUS.values(), *BY_FIELD.values(), UNKNOWN_CODE]


def test_every_meaning_has_a_sentence_for_the_user() -> None:
    assert all(USER_MESSAGES[meant.code] for meant in every_meaning())


def test_a_users_own_mistake_is_never_called_transient() -> None:
    users = {
        FailureCode.CONTENT_POLICY,
        FailureCode.INVALID_INPUT,
        FailureCode.INPUT_UNREADABLE,
        FailureCode.OWNER_ACCOUNT,
        FailureCode.INTERNAL,
    }
    assert {meant.code for meant in every_meaning() if meant.transient} & users == set()


def test_a_missing_code_is_a_line_of_the_table_like_any_other() -> None:
    assert of_task(None, "it broke") == Failed(
        BY_FAMILY[NO_CODE].code, "it broke", transient=BY_FAMILY[NO_CODE].transient
    )


def test_a_long_message_from_the_provider_is_cut_to_one_line() -> None:
    assert len(of_task("INTERNAL", "x" * 10_000).detail) < 400
