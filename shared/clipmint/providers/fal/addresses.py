"""Which URLs may see our key, and how to build the ones fal did not give us.

fal asks clients to use the URLs it returns rather than to build them (docs). We do, once each has
been found to lie on the configured queue host and to be about the same request; any other is
dropped and built instead. The comparison is a plain prefix, so there is no second URL parser for an
attacker to disagree with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from clipmint.jobs.job import Handle

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")  # no segment starts with a dot

# What we call each URL, fal's name for it, and its path below the request (docs; SDK).
_RETURNED = {
    "status": ("status_url", "/status"),
    "result": ("response_url", ""),
    "cancel": ("cancel_url", "/cancel"),
}
_LONG_NAMESPACES = frozenset({"workflows", "comfy"})


def is_request_id(value: object) -> bool:
    """Whether ``value`` can be an id of fal's: it goes into paths, so nothing exotic is taken."""
    return isinstance(value, str) and _REQUEST_ID.fullmatch(value) is not None


def application(endpoint: str) -> str:
    """The part of an endpoint its requests live under.

    Two segments, or three in the namespaces ``workflows`` and ``comfy`` (SDK). With the full path
    fal answers 405 (seen: fal-ai/fal#439).
    """
    segments = endpoint.split("/")
    return "/".join(segments[: 3 if segments[0] in _LONG_NAMESPACES else 2])


def submission_url(queue_url: str, endpoint: str, webhook_url: str | None) -> str:
    """Where a task is posted; the webhook URL rides in the query, percent-encoded (docs)."""
    url = f"{queue_url}/{endpoint}"
    return f"{url}?fal_webhook={quote(webhook_url, safe='')}" if webhook_url else url


def is_ours(url: str, queue_url: str, request_id: str) -> bool:
    """Whether ``url`` may be called with our key in the name of ``request_id``."""
    path = url.removeprefix(queue_url)
    return (
        path != url
        and _PATH.fullmatch(path) is not None
        and f"/requests/{request_id}/" in f"{path}/"
    )


def handle(
    queue_url: str, endpoint: str, request_id: str, returned: Mapping[str, object]
) -> Handle:
    """The handle of a request: fal's URLs where they are trustworthy, built ones where not.

    ``returned`` is fal's answer to a submission, or empty where that answer was lost.
    """
    base = f"{queue_url}/{application(endpoint)}/requests/{request_id}"
    urls = {}
    for name, (field, suffix) in _RETURNED.items():
        given = returned.get(field)
        trusted = isinstance(given, str) and is_ours(given, queue_url, request_id)
        urls[name] = str(given) if trusted else f"{base}{suffix}"
    return Handle(request_id=request_id, urls=urls)
