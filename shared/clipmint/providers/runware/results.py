"""What a submission became, read from Runware's answer to ``getResponse``.

A task is finished when there is a file: its ``status`` may be missing then (seen; the SDK looks for
the URL, too). An empty ``data`` is said of a task that is waiting as well as of one nobody knows
(seen), so it is `Running` until the job's deadline. Answers are cumulative and may repeat a result;
of several files of the one we ordered, the first is as good as any.

The hard part is whose error an error is. Our key may be refused, or Runware itself be down, while
the task runs on and will be paid for: a refund would forget a video that exists. So an error ends a
task only where it says that it is about the task; all others are about our question.

``NSFWContent`` is only set where a check was made (docs: ``safety.checkContent``; we ask for none,
as it is charged for, and Veo has its own). A file so marked is handed to nobody: the owner may have
switched the check on for the account, and then the mark is a refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import AccountRefused, ProviderUnavailable
from clipmint.providers.runware.envelope import Envelope, Error
from clipmint.providers.runware.failures import ACCOUNT, Kind
from clipmint.providers.transport import Answer, excerpt
from clipmint.providers.urls import usable_media_url

_FILES = ("videoURL", "imageURL")
_INFERENCES = frozenset({"videoInference", "imageInference"})

# Said of our key, our purse or Runware's health as readily as of a task.
_OF_THE_CALL = frozenset({Kind.FUNDS, Kind.RATE, Kind.ACCESS, Kind.SERVER})
# Said of a malformed question as readily as of a task.
_AMBIGUOUS = frozenset({Kind.CONFLICT, Kind.INVALID, Kind.NO_SUCH_MODEL, Kind.UNKNOWN})


def read_result(answer: Answer, task_id: str, secrets: Iterable[str]) -> Outcome:
    """The outcome of the task, from the answer to a question for it.

    Raises
    ------
    ProviderUnavailable
        The answer does not say; ask again.
    """
    said = Envelope.read(answer, task_id, secrets)
    unusable = AccountRefused if answer.refuses_account else ProviderUnavailable
    if said is None:
        raise unusable(f"HTTP {answer.status}: a result that is no JSON object")
    if (outcome := _file(said.items)) is not None:
        return outcome
    if fate := next((error for error in said.errors if _is_fate(error, answer)), None):
        return fate.failed
    if any(error.kind in ACCOUNT for error in said.errors):
        raise AccountRefused(said.words(answer.status))
    if any(error.kind is not Kind.NO_SUCH_TASK for error in said.errors):
        raise ProviderUnavailable(said.words(answer.status))
    if said.errors or (answer.accepts and said.has_data):
        return Running()
    raise unusable(f"HTTP {answer.status}: an answer without data")


def _file(items: Iterable[Mapping[str, object]]) -> Outcome | None:
    """The outcome the task's items amount to, or None if it goes on."""
    marked = unusable = False
    for item in items:
        found = [item[name] for name in _FILES if item.get(name)]
        url = next(filter(None, map(usable_media_url, found)), None)
        if url is not None and item.get("NSFWContent") is not True:
            return Succeeded(url)
        marked = marked or url is not None
        unusable = unusable or bool(found) or item.get("status") == "success"
    if marked:
        return Failed(FailureCode.CONTENT_POLICY, "the result is marked NSFWContent")
    if unusable:
        named = excerpt(", ".join(sorted({name for item in items for name in item})))
        return Failed(FailureCode.PROVIDER_ERROR, f"a result without a usable URL: {named}")
    return None


def _is_fate(error: Error, answer: Answer) -> bool:
    """Whether this is how the task ended, rather than how our question did."""
    if error.kind is Kind.NO_SUCH_TASK or not (error.addressed or error.of_item):
        return False
    if error.kind is Kind.POLICY:
        return True  # no question has content
    if error.task_type and error.task_type not in _INFERENCES:
        return False
    says_so = error.task_type in _INFERENCES or error.of_item
    if error.kind in _OF_THE_CALL:
        return says_so and answer.accepts
    # An answer that is itself an error may be about our question, which names the same task.
    return says_so or (answer.accepts and error.kind not in _AMBIGUOUS)
