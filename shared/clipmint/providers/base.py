"""The port every provider adapter implements.

The rest of the system uses a provider only through `Provider`. A submission costs the owner money,
so its result states how certain it is: `Accepted`, `Busy` and `Rejected` are certain, `Unanswered`
is not. After `Unanswered` the caller must not simply send the task again.

::

    ProviderError
    ├── ProviderUnavailable   a poll or cancellation got no usable response; retry later
    │   └── AccountRefused    because the provider rejects the owner's key, or funds are missing
    └── WebhookRejected       the call is not proven to come from the provider

    UnfitTask                 the task does not fit its endpoint; raised before anything is sent
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, Protocol, runtime_checkable

from clipmint.catalog.route import Route, kind_of
from clipmint.catalog.templates import Body, Input, Unfit, Value, render
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome
from clipmint.values import frozen


class ProviderError(Exception):
    """Base of what an adapter raises."""


class ProviderUnavailable(ProviderError):
    """No usable response to a request that is safe to repeat."""


class AccountRefused(ProviderUnavailable):
    """The provider refused the owner's key, or the funds are used up: the owner has to act."""


class WebhookRejected(ProviderError):
    """A webhook that is forged, stale or unreadable. It must change nothing."""


class UnfitTask(Exception):
    """The task does not fit its endpoint; ``failure`` gives the reason, in our own words."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failed(code, detail)


@frozen
class Task:
    """One stage, as we submit it to a provider.

    Attributes
    ----------
    task_id
        A random UUIDv4 of ours, recorded before the call. A repeated submission keeps it.
    route
        The provider's endpoint, and the template of the body.
    prompt
        Free text, 1 to 5,000 characters.
    image_url, last_image_url
        Public https URLs of the first and last frame.
    settings
        The user's settings, by the names of the model's parameters.
    webhook_url
        The URL that the provider calls with the outcome; None where it cannot reach us (a laptop).
    start_within_seconds
        The latest start, in seconds from now. A task that is still queued after that must not run,
        because its job has been given up and the owner would still pay. None: no limit.
    reference_image_urls
        Public https URLs of the reference images for a generated image.
    resent
        An earlier attempt with the same ``task_id`` may have been accepted. We send again only to a
        provider that deduplicates by it. Only a response that also settles the earlier attempt is
        certain; every other one is `Unanswered`.
    """

    task_id: str
    route: Route
    prompt: str
    image_url: str | None = None
    last_image_url: str | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)
    webhook_url: str | None = None
    start_within_seconds: int | None = None
    reference_image_urls: tuple[str, ...] = ()
    resent: bool = False

    def request(self) -> tuple[str, Body]:
        """The endpoint and the body that this task has at its provider, without what the adapter
        adds to every request.

        Raises
        ------
        UnfitTask
            The route takes no such task, or its template and the settings do not fit.
        """
        # Imported here: a webhook, a poll and a cancellation have no body.
        from clipmint.catalog import known_endpoints  # noqa: PLC0415

        try:
            kind = kind_of(self.image_url, self.last_image_url)
            route = known_endpoints.complete(self.route).only(kind)
            inputs: dict[str, Input] = {
                **self.settings,
                "prompt": self.prompt,
                "image_url": self.image_url,
                "last_image_url": self.last_image_url,
                "reference_image_urls": self.reference_image_urls,
            }
            return route.endpoint, render(route.body or {}, inputs, route.ignores)
        except Unfit as unfit:
            code = FailureCode.INVALID_INPUT if unfit.by_user else FailureCode.INTERNAL
            raise UnfitTask(code, f"{self.route.endpoint}: {unfit}"[:500]) from None


@frozen
class Accepted:
    """The provider has the task, and the owner pays for it."""

    handle: Handle


@frozen
class Busy:
    """Certainly not accepted; a retry may succeed: refused connection, 429, 503."""

    detail: str


@frozen
class Rejected:
    """Certainly not accepted; a retry would be rejected too."""

    failure: Failed


@frozen
class Unanswered:
    """The task may have been accepted and paid for; the response is lost. Never resend it blindly.

    ``account_refused``: the part of the response that we have concerns the owner's key or funds.
    """

    detail: str
    account_refused: bool = False


Submitted = Accepted | Busy | Rejected | Unanswered


AfterUnanswered = Literal["wait", "resubmit", "fail"]


@frozen
class WebhookCall:
    """One HTTP call to our webhook URL, unchanged. Header names are lower case."""

    headers: Mapping[str, str]
    body: bytes


@frozen
class Notice:
    """A verified webhook: the submission and its outcome.

    ``handle`` can be polled even if the response to the submission was lost. ``outcome`` is None
    where the call is only a hint: poll to read the outcome.
    """

    handle: Handle
    outcome: Outcome | None


class Provider(Protocol):
    """A provider of generations. Implementations keep no state of any job."""

    name: str

    after_unanswered: AfterUnanswered
    """How to handle a submission whose response was lost: wait for its webhook; resubmit it with
    the same task id, where the provider deduplicates tasks by it; or fail the stage."""

    media_hosts: tuple[str, ...]
    """Hosts that serve the provider's files: exact names, or ``.suffix`` for a domain and all its
    subdomains. We fetch files from no other host."""

    def request(self, task: Task) -> tuple[str, Body]:
        """The path or endpoint, and the whole JSON body, that `submit` would send. Sends nothing.

        Raises
        ------
        UnfitTask
            The task does not fit its route.
        """
        ...

    def submit(self, task: Task) -> Submitted:
        """Submit the task once. Never retries, and never raises for an error response."""
        ...

    def poll(self, handle: Handle) -> Outcome:
        """Read the outcome of a submission. A success carries a fresh media URL.

        Raises
        ------
        ProviderUnavailable
            No usable response; retry later. `AccountRefused` if the owner has to act first.
        """
        ...

    def cancel(self, handle: Handle) -> bool:
        """Cancel a submission. True only if the provider had not started it and never will.

        Raises
        ------
        ProviderUnavailable
            No usable response; the state of the submission is unknown.
        """
        ...


@runtime_checkable
class WebhookSender(Protocol):
    """A provider that calls us when a submission is finished. Not every provider does. No key is
    needed to read a webhook."""

    after_unanswered: AfterUnanswered
    """As in `Provider`."""

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:
        """Verify and read a webhook about a submission to ``endpoint``.

        Raises
        ------
        WebhookRejected
            The call is not proven to come from the provider, is too old, or is unreadable.
        ProviderUnavailable
            It cannot be verified now (no key set available). The provider has to deliver it again.
        """
        ...
