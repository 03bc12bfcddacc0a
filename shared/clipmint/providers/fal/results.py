"""What a finished request became, read from fal's answer to the question for its result.

``COMPLETED`` only means that fal is done: a failed or cancelled request is completed too, and the
result then answers with the model's own HTTP status and body (docs; seen: TanStack/ai#394).

Of the doubtful cases, what might be a passing fault of the question itself (429, an ingress page, a
body cut short) is no outcome at all: a refund would forget a video that exists and was paid for.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import AccountRefused, ProviderUnavailable
from clipmint.providers.fal import failures
from clipmint.providers.transport import Answer, excerpt
from clipmint.providers.urls import usable_media_url

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


def video_url(output: object) -> str | None:
    """The URL in ``{"video": {"url": …}}``, the one field of it fal promises; None if unusable."""
    video = output.get("video") if isinstance(output, dict) else None
    return usable_media_url(video.get("url")) if isinstance(video, dict) else None


def read_result(completed: Mapping[str, object], answer: Answer) -> Outcome:
    """The outcome of a request whose status is ``completed`` (a JSON object saying COMPLETED).

    Raises
    ------
    ProviderUnavailable
        The answer does not say; ask again.
    """
    body = answer.json_object()
    if answer.status == HTTPStatus.OK:
        return _output(body)
    if answer.status == HTTPStatus.ACCEPTED or (
        answer.status == HTTPStatus.BAD_REQUEST
        and "still in progress" in failures.message(body).lower()
    ):
        return Running()  # status and result are not read in one instant
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or not (answer.refuses or answer.breaks):
        raise ProviderUnavailable(f"fal answered {answer.status} to a question for a result")

    types = failures.error_types(body, answer.headers)
    by_status = failures.error_types(completed, {})  # a completed status may say it too (docs)
    if not types and not by_status and not completed.get("error"):
        if answer.status in _GONE and "x-fal-billable-units" not in answer.headers:
            # fal keeps results for an hour, large ones for minutes (docs). Nobody will see it now.
            # With a bill it is the model's own 404: it has no such path, or no longer (docs).
            return Failed(
                FailureCode.MEDIA_UNAVAILABLE, f"HTTP {answer.status}: the result has expired"
            )
        if _is_passing(answer, body):
            unusable = AccountRefused if answer.refuses_account else ProviderUnavailable
            raise unusable(f"fal answered {answer.status} to a question for a result")
    return failures.failed(
        [*types, *by_status], answer.status, failures.message(body), completed.get("error")
    )


def _output(body: Mapping[str, object] | None) -> Outcome:
    if body is None:
        raise ProviderUnavailable("a result that is no JSON object, perhaps cut short")
    url = video_url(body)
    if url is None:
        named = excerpt(", ".join(sorted(body)))
        return Failed(FailureCode.PROVIDER_ERROR, f"a result without a usable video URL: {named}")
    return Succeeded(url)


def _is_passing(answer: Answer, body: Mapping[str, object] | None) -> bool:
    """Whether an untyped error is likelier the gateway's, about our question, than the model's.

    An ingress answers 5xx with a page of its own and without ``x-fal-request-id``, which is how the
    SDK tells them apart. 408 is about our question by definition.
    """
    if answer.status == HTTPStatus.REQUEST_TIMEOUT:
        return True
    if answer.refuses_account and "x-fal-billable-units" not in answer.headers:
        # About our key or funds, not about this request, which has been made and paid for: it is
        # still there when the account is mended.
        return True
    return answer.breaks and (body is None or "x-fal-request-id" not in answer.headers)
