"""The next step for a submission: every recorded state with every property of a provider."""

from __future__ import annotations

from typing import get_args

import pytest

from clipmint.execution.submission_plan import IN_DOUBT, Step, next_step
from clipmint.jobs.job import SubmissionState
from clipmint.providers import registry
from clipmint.providers.base import AfterUnanswered

ALLOWED = ("wait", "resubmit", "fail")

TABLE: dict[SubmissionState | None, tuple[Step, Step, Step]] = {
    None: (Step.SEND, Step.SEND, Step.SEND),
    SubmissionState.REFUSED: (Step.SEND, Step.SEND, Step.SEND),
    SubmissionState.SENDING: (Step.MARK_UNKNOWN, Step.ASK_AND_RESEND, Step.GIVE_UP),
    SubmissionState.UNKNOWN: (Step.WAIT, Step.ASK_AND_RESEND, Step.WAIT),
    SubmissionState.SENT: (Step.WAIT, Step.WAIT, Step.WAIT),
}


@pytest.mark.parametrize(
    ("state", "allowed", "step"),
    [
        (state, allowed, step)
        for state, steps in TABLE.items()
        for allowed, step in zip(ALLOWED, steps, strict=True)
    ],
)
def test_each_state_and_each_provider_have_one_next_step(
    state: SubmissionState | None, allowed: AfterUnanswered, step: Step
) -> None:
    assert next_step(state, allowed) is step


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {None, *SubmissionState}
    assert set(ALLOWED) == set(get_args(AfterUnanswered))


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (None, Step.SEND),
        (SubmissionState.REFUSED, Step.SEND),
        (SubmissionState.SENDING, Step.TRY_LATER),
        (SubmissionState.UNKNOWN, Step.WAIT),
        (SubmissionState.SENT, Step.WAIT),
    ],
)
def test_without_a_key_a_task_that_a_provider_may_have_is_not_sent_elsewhere(
    state: SubmissionState | None, step: Step
) -> None:
    assert next_step(state, None) is step


def test_only_a_state_in_doubt_depends_on_the_provider() -> None:
    for state, steps in TABLE.items():
        assert (len(set(steps)) > 1) == (state in IN_DOUBT)


def test_nothing_is_sent_for_a_state_in_doubt_unless_the_provider_deduplicates() -> None:
    for state in IN_DOUBT:
        assert Step.SEND not in TABLE[state]
        assert [step is Step.ASK_AND_RESEND for step in TABLE[state]] == [False, True, False]


def test_every_provider_allows_one_of_these() -> None:
    for name in registry.NAMES:
        module = __import__(f"clipmint.providers.{name}", fromlist=[name])
        adapter = getattr(module, name.capitalize())
        assert adapter.after_unanswered in ALLOWED
