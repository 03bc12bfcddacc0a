"""The outcome of a finished request, read from fal's response to our result request.

``COMPLETED`` only means that fal has finished: a failed or cancelled request is completed too. Then
the result request returns the model's own HTTP status and body (docs; seen: TanStack/ai#394).

An error that may be a temporary fault of the result request itself (429, an ingress page, a body
cut short) is no outcome: with a refund, a video that exists and was paid for would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import AccountRefused, ProviderUnavailable
from clipmint.providers.fal import failures
from clipmint.providers.transport import Response, excerpt
from clipmint.providers.urls import usable_media_url

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


def video_url(output: object) -> str | None:
    """The URL in ``{"video": {"url": …}}``, the only field that fal promises; None if unusable."""
    video = output.get("video") if isinstance(output, dict) else None
    return usable_media_url(video.get("url")) if isinstance(video, dict) else None


def read_result(completed: Mapping[str, object], response: Response) -> Outcome:
    """The outcome of a completed request.

    ``completed`` is the JSON object that reported the status COMPLETED; ``response`` answers the
    result request.

    Raises
    ------
    ProviderUnavailable
        The response does not determine the outcome; retry.
    """
    body = response.json_object()
    if response.status == HTTPStatus.OK:
        return _output(body)
    if response.status == HTTPStatus.ACCEPTED or (
        response.status == HTTPStatus.BAD_REQUEST
        and "still in progress" in failures.message(body).lower()
    ):
        return Running()  # status and result are read by two requests
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or not (
        response.is_client_error or response.is_server_error
    ):
        raise ProviderUnavailable(f"fal responded {response.status} to a result request")

    types = failures.error_types(body, response.headers)
    by_status = failures.error_types(completed, {})  # the status may name the error too (docs)
    if not types and not by_status and not completed.get("error"):
        if response.status in _GONE and "x-fal-billable-units" not in response.headers:
            # fal keeps results for an hour, large ones for minutes (docs); this one is deleted.
            # A 404 with billed units comes from the model: it has no such path (any more) (docs).
            return Failed(
                FailureCode.MEDIA_UNAVAILABLE, f"HTTP {response.status}: the result has expired"
            )
        if _is_temporary(response, body):
            unusable = AccountRefused if response.is_account_error else ProviderUnavailable
            raise unusable(f"fal responded {response.status} to a result request")
    return failures.failed(
        [*types, *by_status], response.status, failures.message(body), completed.get("error")
    )


def _output(body: Mapping[str, object] | None) -> Outcome:
    if body is None:
        raise ProviderUnavailable("the result is not a JSON object; it may be cut short")
    url = video_url(body)
    if url is None:
        named = excerpt(", ".join(sorted(body)))
        return Failed(FailureCode.PROVIDER_ERROR, f"the result has no usable video URL: {named}")
    return Succeeded(url)


def _is_temporary(response: Response, body: Mapping[str, object] | None) -> bool:
    """Whether an untyped error more likely concerns our result request than the model's run.

    An ingress responds 5xx with its own page and without ``x-fal-request-id``; the SDK
    distinguishes them in the same way. 408 concerns our request by definition.
    """
    if response.status == HTTPStatus.REQUEST_TIMEOUT:
        return True
    if response.is_account_error and "x-fal-billable-units" not in response.headers:
        # The error concerns our key or funds. The result was generated and paid for; it is still
        # there after the owner has corrected the account.
        return True
    return response.is_server_error and (body is None or "x-fal-request-id" not in response.headers)
