"""The outcome of a submission, read from Runware's response to ``getResponse``.

A task is finished when there is a file; its ``status`` may then be missing (seen; the SDK also
searches for the URL). ``data`` is empty for a waiting task as well as for an unknown one (seen), so
the task is `Running` until the job's deadline. Responses are cumulative and may repeat a result. We
order one file; if there are several, we take the first. `cost_of` reads its cost.

The hard part: does an error belong to the task or to our ``getResponse`` request? Runware may
reject our key, or be down, while the task runs on and has to be paid for: with a refund, a video
that exists would be lost. An error therefore ends a task only if it states that it belongs to the
task. Every other error belongs to our request.

``NSFWContent`` is only set if Runware has checked the content (docs: ``safety.checkContent``). We
do not request the check, because it costs extra and Veo has its own. The owner may have enabled it
for the account; then the mark is a refusal, and we deliver no file that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import AccountRefused, ProviderUnavailable
from clipmint.providers.runware.envelope import Envelope, Error, cost_of
from clipmint.providers.runware.failures import ACCOUNT, Kind
from clipmint.providers.transport import Response, excerpt
from clipmint.providers.urls import usable_media_url

_FILES = ("videoURL", "imageURL")
_INFERENCES = frozenset({"videoInference", "imageInference"})

# Kinds that can also concern our key, our funds or Runware's health instead of the task.
_OF_THE_CALL = frozenset({Kind.FUNDS, Kind.RATE, Kind.ACCESS, Kind.SERVER})
# Kinds that can also concern a malformed getResponse request instead of the task.
_AMBIGUOUS = frozenset({Kind.CONFLICT, Kind.INVALID, Kind.NO_SUCH_MODEL, Kind.UNKNOWN})


def read_result(response: Response, task_id: str, secrets: Iterable[str]) -> Outcome:
    """The outcome of the task, from the response to ``getResponse``.

    Raises
    ------
    ProviderUnavailable
        The response does not determine the outcome; retry.
    """
    envelope = Envelope.read(response, task_id, secrets)
    unusable = AccountRefused if response.is_account_error else ProviderUnavailable
    if envelope is None:
        raise unusable(f"HTTP {response.status}: the result is not a JSON object")
    if (outcome := _file(envelope.items)) is not None:
        return outcome
    if fatal := next((error for error in envelope.errors if _ended_task(error, response)), None):
        return fatal.failed
    if any(error.kind in ACCOUNT for error in envelope.errors):
        raise AccountRefused(envelope.summary(response.status))
    if any(error.kind is not Kind.NO_SUCH_TASK for error in envelope.errors):
        raise ProviderUnavailable(envelope.summary(response.status))
    if envelope.errors or (response.is_success and envelope.has_data):
        return Running()
    raise unusable(f"HTTP {response.status}: the response has no data")


def _file(items: Sequence[Mapping[str, object]]) -> Outcome | None:
    """The outcome in the task's items, or None while the task is running."""
    marked = unusable = False
    cost = next(filter(None, map(cost_of, items)), None)
    for item in items:
        found = [item[name] for name in _FILES if item.get(name)]
        url = next(filter(None, map(usable_media_url, found)), None)
        if url is not None and item.get("NSFWContent") is not True:
            return Succeeded(url, cost_of(item))
        marked = marked or url is not None
        unusable = unusable or bool(found) or item.get("status") == "success"
    if marked:
        return Failed(FailureCode.CONTENT_POLICY, "the result is marked NSFWContent", cost=cost)
    if unusable:
        named = excerpt(", ".join(sorted({name for item in items for name in item})))
        detail = f"the result has no usable URL: {named}"
        return Failed(FailureCode.PROVIDER_ERROR, detail, cost=cost)
    return None


def _ended_task(error: Error, response: Response) -> bool:
    """Whether the task ended with this error; otherwise it belongs to our getResponse request."""
    if error.kind is Kind.NO_SUCH_TASK or not (error.addressed or error.of_item):
        return False
    if error.kind is Kind.POLICY:
        return True  # a getResponse request has no content to reject
    if error.task_type and error.task_type not in _INFERENCES:
        return False
    about_task = error.task_type in _INFERENCES or error.of_item
    if error.kind in _OF_THE_CALL:
        return about_task and response.is_success
    # An error response may concern our getResponse request, which names the same task.
    return about_task or (response.is_success and error.kind not in _AMBIGUOUS)
