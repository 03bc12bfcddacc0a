"""The bodies of requests about webhooks, and which URLs are accepted."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from clipmint.media.image_urls import DOCUMENTED_URL, check_public_url
from clipmint.schemas import StrictSchema

EventType = Literal[
    "video.completed",
    "video.failed",
    "video.cancelled",
    "scene.image_ready",
    "clips.finished",
    "credits.granted",
    "credits.low",
    "orphan.recorded",
]

EndpointUrl = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2_048, pattern=r"^[!-\[\]-~]+$"),
    Field(
        description="Public https URL",
        examples=["https://example.com/clipmint"],
        # Documents the check of `check_url`, which also accepts the local stack's hosts.
        json_schema_extra={"pattern": DOCUMENTED_URL},
    ),
]
EventTypes = Annotated[
    list[EventType],
    Field(max_length=20, description="Which events are sent; empty: all"),
]
Description = Annotated[str, StringConstraints(max_length=256)]


class NewWebhook(StrictSchema):
    """An endpoint to add."""

    url: EndpointUrl
    types: EventTypes = Field([])
    description: Description | None = None


class WebhookChanges(StrictSchema):
    """What to change; other members stay as they are."""

    url: EndpointUrl | None = None
    types: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = None


def check_url(url: str, test_hosts: frozenset[tuple[str, int]]) -> None:
    """Reject a URL that cannot be public. Each attempt checks its address again.

    Parameters
    ----------
    test_hosts
        Loopback hosts with their ports that are accepted, too.

    Raises
    ------
    InvalidRequest
    """
    if not _is_at(url, test_hosts):
        check_public_url("url", url)


def _is_at(url: str, hosts: frozenset[tuple[str, int]]) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname, parts.port
    except ValueError:
        return False  # it is no URL
    return host in hosts
