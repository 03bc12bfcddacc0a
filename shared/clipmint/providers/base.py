"""The port every provider adapter implements.

The rest of the system knows a provider only through `Provider`. Submitting costs the owner money,
so its answer says precisely how sure we are: `Accepted`, `Busy` and `Rejected` are certain,
`Unanswered` is not, and whoever gets it must never simply send again.

::

    ProviderError
    ├── ProviderUnavailable   a question (poll, cancel) got no usable answer; ask again later
    │   └── AccountRefused    because the owner's key or funds are no good
    └── WebhookRejected       the call is not proven to come from the provider
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, Outcome


class ProviderError(Exception):
    """Base of what an adapter raises."""


class ProviderUnavailable(ProviderError):
    """No usable answer to a question that is free to ask again."""


class AccountRefused(ProviderUnavailable):
    """The question was refused for the owner's key or funds: somebody has to mend them."""


class WebhookRejected(ProviderError):
    """A webhook that is forged, stale or unreadable. It must change nothing."""


@dataclass(frozen=True, slots=True)
class Task:
    """One stage as we ask a provider for it.

    Attributes
    ----------
    task_id
        A random UUIDv4 of ours, recorded before the call; the same when it is sent again.
    endpoint
        The provider's own name of the model, from the catalog's route.
    prompt
        Free text, 1 to 5,000 characters.
    image_url, last_image_url
        Public https URLs of the first and last frame.
    resolution, aspect_ratio, duration_seconds
        Settings as the catalog allows them for this model; None where the model has none.
    webhook_url
        Where the provider shall report to; None where it cannot reach us (a laptop).
    start_within_seconds
        How late it may begin: one still queued after that must not run, and cost, for a job that
        has been given up. None where the provider may take its time.
    reference_image_urls
        Public https URLs of pictures an image shall take after.
    resent
        An earlier attempt with this very ``task_id`` may have been accepted. Only a provider that
        deduplicates by it is ever asked again, and only an answer that settles the earlier attempt
        too is certain: everything else is `Unanswered`.
    """

    task_id: str
    endpoint: str
    prompt: str
    image_url: str | None = None
    last_image_url: str | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    duration_seconds: int | None = None
    webhook_url: str | None = None
    start_within_seconds: int | None = None
    reference_image_urls: tuple[str, ...] = ()
    resent: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the task, and the owner pays for it."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class Busy:
    """Certainly not accepted, and worth another try: refused connection, 429, 503."""

    detail: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Certainly not accepted, and it never will be."""

    failure: Failed


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The bytes may have arrived and nobody told us: maybe paid for. Never send again blindly.

    ``account_refused``: what there was of an answer is about the owner's key or funds.
    """

    detail: str
    account_refused: bool = False


Submitted = Accepted | Busy | Rejected | Unanswered


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One HTTP call to our webhook URL, as it arrived. Header names are lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """A proven webhook: which submission, and what became of it.

    ``handle`` is good for a poll even if the answer to the submission was lost. ``outcome`` is None
    where the call is only a hint: poll to learn it.
    """

    handle: Handle
    outcome: Outcome | None


class Provider(Protocol):
    """A provider of generations. Implementations hold no state beyond their HTTP client."""

    name: str

    after_unanswered: Literal["wait", "resubmit", "fail"]
    """What to do with a submission whose answer was lost: wait for its webhook; ask and send again
    under the same task id, where the provider knows and deduplicates tasks by it; or give up."""

    media_hosts: tuple[str, ...]
    """Hosts the provider serves files from: exact names, or ``.suffix`` for a domain and all
    below it. Files are fetched from nowhere else."""

    def submit(self, task: Task) -> Submitted:
        """Ask for the task once. Never retries by itself and never raises for a bad answer."""
        ...

    def poll(self, handle: Handle) -> Outcome:
        """Ask what became of a submission. A success carries a fresh media URL.

        Raises
        ------
        ProviderUnavailable
            No usable answer; ask again later. `AccountRefused` if the owner has to mend something
            first.
        """
        ...

    def cancel(self, handle: Handle) -> bool:
        """Ask not to run it. True only if the provider had not begun and now never will.

        Raises
        ------
        ProviderUnavailable
            No usable answer; nothing is known.
        """
        ...


@runtime_checkable
class WebhookSender(Protocol):
    """A provider that calls us when a submission is finished. Not every provider does."""

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:
        """Prove and read a webhook about a submission to ``endpoint``.

        Raises
        ------
        WebhookRejected
            The call is not proven to come from the provider, is too old, or is unreadable.
        ProviderUnavailable
            It could not be checked now (no key set to hand); the provider shall deliver again.
        """
        ...
