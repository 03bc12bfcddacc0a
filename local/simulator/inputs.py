"""Read the input images of a submission as a provider does: from data URIs and URLs.

Data URIs and loopback URLs are always read. Other URLs are accepted without a download unless a
setting of the simulator enables it, because tests must not depend on the internet.
"""

from __future__ import annotations

import base64
import binascii
import io
import ipaddress
from typing import Literal
from urllib.parse import unquote_to_bytes

import httpx
from PIL import Image, UnidentifiedImageError

from local.simulator.authorities import authorities

Problem = Literal["unreachable", "too_large", "no_image"]


class UnusableImage(Exception):
    """An input image that cannot be used, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


async def read_image(url: str, *, limit: int, fetch: bool, redirects: bool = True) -> bytes | None:
    """The encoded image at ``url``, at most ``limit`` bytes; None if it was not downloaded.

    With ``fetch`` it is downloaded from the internet; with ``redirects`` redirects are followed, as
    some providers do. Raises `UnusableImage`.
    """
    if url.startswith("data:"):
        body = _from_data_uri(url)
    else:
        near = is_loopback(url)
        if not near and not fetch:
            return None
        body = await _download(url, through_proxies=not near, redirects=redirects)
    if len(body) > limit:
        raise UnusableImage("too_large")
    try:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UnusableImage("no_image") from error
    return body


def is_loopback(url: str) -> bool:
    """Whether ``url`` points to this machine. Raises `UnusableImage` if it is not a web URL."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UnusableImage("unreachable") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UnusableImage("unreachable")
    try:
        return ipaddress.ip_address(parsed.host).is_loopback
    except ValueError:
        return parsed.host == "localhost"


def _from_data_uri(uri: str) -> bytes:
    head, comma, data = uri.partition(",")
    if not comma:
        raise UnusableImage("unreachable")
    try:
        raw = unquote_to_bytes(data)
        return base64.b64decode(raw, validate=True) if head.endswith(";base64") else raw
    except binascii.Error as error:
        raise UnusableImage("unreachable") from error


async def _download(url: str, *, through_proxies: bool, redirects: bool) -> bytes:
    try:
        async with httpx.AsyncClient(
            verify=authorities(trust_env=through_proxies),
            follow_redirects=redirects,
            timeout=10,
            trust_env=through_proxies,
        ) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            return answer.content
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnusableImage("unreachable") from error
