"""The valid values of the members of Runway's bodies: prompts, images, ratios, seeds.

Lengths are counted as in JavaScript. Images are URLs or data URIs and are not read here.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StrictInt, Tag
from pydantic_core import PydanticCustomError

PROMPT_LIMIT = 1000
"""UTF-16 code units of a prompt."""
URL_LIMIT = 2048
"""Characters of an image's URL."""
DATA_URI_LIMIT = 5 * 1024 * 1024
"""Characters of a data URI. assumption: 5 MB counts the URI, not the image in it."""


def _prompt(text: str) -> str:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units == 0:
        raise PydanticCustomError(
            "too_small", "Too small: expected string to have >=1 characters", {"minimum": 1}
        )
    if units > PROMPT_LIMIT:
        raise PydanticCustomError(
            "too_big",
            "Too big: expected string to have <={maximum} characters",
            {"maximum": PROMPT_LIMIT},
        )
    return text


def _uri(text: str) -> str:
    """A data URI of an image, or an https URL with a domain name.

    Loopback URLs are accepted, because local stacks store images there; the real service rejects
    them.
    """
    if text.startswith("data:"):
        if not text.startswith("data:image/") or len(text) > DATA_URI_LIMIT:
            raise PydanticCustomError("custom", "Invalid data URI: expected an image up to 5MB")
        return text
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        address = ipaddress.ip_address(host) if re.fullmatch(r"[\d.]+|.*:.*", host) else None
    except ValueError:
        raise PydanticCustomError("custom", "Invalid URL") from None
    if host == "localhost" or (address is not None and address.is_loopback):
        return text
    if url.scheme != "https" or address is not None or "." not in host or len(text) > URL_LIMIT:
        # assumption: one message for all; a runway:// upload is rejected, as there are no uploads
        raise PydanticCustomError("custom", "Invalid URL: expected an HTTPS URL with a domain name")
    return text


Prompt = Annotated[str, AfterValidator(_prompt)]
Uri = Annotated[str, AfterValidator(_uri)]
Seed = Annotated[StrictInt, Field(ge=0, le=4_294_967_295)]  # assumption: the range, from the docs
Gen4Ratio = Literal["1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672"]
Gen4TextRatio = Literal["1280:720", "720:1280"]
VeoRatio = Literal["1280:720", "720:1280", "1080:1920", "1920:1080"]
ImageRatio = Literal[
    "1024:1024",
    "1080:1080",
    "1168:880",
    "1360:768",
    "1440:1080",
    "1080:1440",
    "1808:768",
    "1920:1080",
    "1080:1920",
    "2112:912",
    "1280:720",
    "720:1280",
    "720:720",
    "960:720",
    "720:960",
    "1680:720",
]
Gen4Seconds = Annotated[StrictInt, Field(ge=2, le=10)]


class Body(BaseModel):
    """Base of every body: types are strict, and unknown members are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FirstFrame(Body):
    uri: Uri
    position: Literal["first"]


class AnyFrame(Body):
    uri: Uri
    position: Literal["first", "last"]


class ReferenceImage(Body):
    uri: Uri
    tag: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{2,15}$")] | None = None


class Moderation(Body):
    publicFigureThreshold: Literal["auto", "low"] = "auto"  # noqa: N815


def _form(value: object) -> str | None:
    """The form of a ``promptImage``. The result becomes part of an error's location."""
    if isinstance(value, str):
        return "<text>"
    return "<array>" if isinstance(value, list) else None


def _distinct(frames: list[AnyFrame]) -> list[AnyFrame]:
    positions = [frame.position for frame in frames]
    if "first" not in positions or len(set(positions)) < len(positions):
        raise PydanticCustomError("custom", "A first image is required, and a last one optional")
    return frames


OneFrame = Annotated[
    Annotated[Uri, Tag("<text>")]
    | Annotated[list[FirstFrame], Field(min_length=1, max_length=1), Tag("<array>")],
    Discriminator(_form),
]
OneOrTwoFrames = Annotated[
    Annotated[Uri, Tag("<text>")]
    | Annotated[
        list[AnyFrame], Field(min_length=1, max_length=2), AfterValidator(_distinct), Tag("<array>")
    ],
    Discriminator(_form),
]
