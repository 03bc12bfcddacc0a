"""The URLs that may receive our key, and how to build those that fal did not return.

fal asks clients to use the URLs that it returns instead of building them (docs). We use a returned
URL only if it is on the configured queue host and belongs to the same request; otherwise we build
it. The check compares a plain prefix: with a URL parser, an attacker could use differences between
that parser and the HTTP client's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from clipmint.jobs.job import Handle

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")  # no segment starts with a dot

# Our name of each URL, fal's name for it, and its path below the request (docs; SDK).
_RETURNED = {
    "status": ("status_url", "/status"),
    "result": ("response_url", ""),
    "cancel": ("cancel_url", "/cancel"),
}
_LONG_NAMESPACES = frozenset({"workflows", "comfy"})


def is_request_id(value: object) -> bool:
    """Whether ``value`` can be a request id of fal's; strict, because it goes into paths."""
    return isinstance(value, str) and _REQUEST_ID.fullmatch(value) is not None


def application(endpoint: str) -> str:
    """The part of an endpoint that the paths of its requests begin with.

    Two segments, or three in the namespaces ``workflows`` and ``comfy`` (SDK). With the full path
    fal responds 405 (seen: fal-ai/fal#439).
    """
    segments = endpoint.split("/")
    return "/".join(segments[: 3 if segments[0] in _LONG_NAMESPACES else 2])


def submission_url(queue_url: str, endpoint: str, webhook_url: str | None) -> str:
    """The URL to post a task to, with the webhook URL percent-encoded in its query (docs)."""
    url = f"{queue_url}/{endpoint}"
    return f"{url}?fal_webhook={quote(webhook_url, safe='')}" if webhook_url else url


def is_ours(url: str, queue_url: str, request_id: str) -> bool:
    """Whether we may call ``url`` with our key, for the request ``request_id``."""
    path = url.removeprefix(queue_url)
    return (
        path != url
        and _PATH.fullmatch(path) is not None
        and f"/requests/{request_id}/" in f"{path}/"
    )


def handle(
    queue_url: str, endpoint: str, request_id: str, returned: Mapping[str, object]
) -> Handle:
    """The handle of a request, with fal's URLs where they pass `is_ours`, else with built ones.

    A URL that follows from the result's is left out, and `url_of` adds it: DynamoDB bills every
    write of a job by the job's size.

    ``returned`` is the body of fal's response to the submission; empty if that response was lost.
    """
    base = f"{queue_url}/{application(endpoint)}/requests/{request_id}"
    urls = {}
    for name, (field, suffix) in _RETURNED.items():
        given = returned.get(field)
        trusted = isinstance(given, str) and is_ours(given, queue_url, request_id)
        urls[name] = str(given) if trusted else f"{base}{suffix}"
    short = Handle(request_id, {"result": urls["result"]})
    differing = {name: url for name, url in urls.items() if url != url_of(short, name)}
    return Handle(request_id, {"result": urls["result"], **differing})


def url_of(handle: Handle, name: str) -> str:
    """The URL of that name (``status``, ``result`` or ``cancel``); empty if it is not known."""
    result = handle.urls.get("result", "")
    return handle.urls.get(name) or (result and f"{result}{_RETURNED[name][1]}")
