"""What to do next about a stage's submission, from what is recorded: pure.

==========  ==========================  ==========================  ==========================
recorded    provider allows ``wait``    ``resubmit``                ``fail``
==========  ==========================  ==========================  ==========================
nothing     send                        send                        send
refused     send                        send                        send
sending     mark unknown, wait          ask and resend              give up
unknown     wait                        ask and resend              wait
sent        wait                        wait                        wait
==========  ==========================  ==========================  ==========================

``sending`` is recorded before the call to the provider, so a retry that finds it does not know
whether the provider has the task: the attempt that wrote it crashed, or its answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from clipmint.jobs.job import SubmissionState
from clipmint.providers.base import AfterUnanswered


class Step(Enum):
    """What to do next."""

    SEND = auto()
    """Call the first provider that takes the task: no provider has it."""

    MARK_UNKNOWN = auto()
    """Record the doubt, then wait: the provider's webhook decides, or the deadline."""

    ASK_AND_RESEND = auto()
    """Poll by our task id, then send the same task again: the provider deduplicates by that id."""

    GIVE_UP = auto()
    """Fail the stage: the provider can neither be asked nor reports the task."""

    WAIT = auto()
    """Nothing: a webhook, a poll or the deadline decides."""

    TRY_LATER = auto()
    """Nothing yet: until the provider's key is back, it is not known what the provider allows."""


IN_DOUBT = frozenset({SubmissionState.SENDING, SubmissionState.UNKNOWN})
"""States that leave open whether the provider has the task. Only for these does the next step
depend on the provider."""

_AFTER_SENDING: Mapping[AfterUnanswered, Step] = {
    "wait": Step.MARK_UNKNOWN,
    "resubmit": Step.ASK_AND_RESEND,
    "fail": Step.GIVE_UP,
}


def next_step(state: SubmissionState | None, after_unanswered: AfterUnanswered | None) -> Step:
    """What to do next.

    Parameters
    ----------
    state
        As recorded; None if nothing was.
    after_unanswered
        What the provider allows after a lost answer; None while its key is missing.
    """
    match state:
        case None | SubmissionState.REFUSED:
            return Step.SEND
        case SubmissionState.SENT:
            return Step.WAIT
        case SubmissionState.SENDING:
            return _AFTER_SENDING[after_unanswered] if after_unanswered else Step.TRY_LATER
        case SubmissionState.UNKNOWN:
            return Step.ASK_AND_RESEND if after_unanswered == "resubmit" else Step.WAIT
