"""The simulated media CDN: public files at random URLs, without a key.

A file has one valid URL at a time. When it has expired, `MediaStore.url_of` returns a new one, as
providers do when the result is fetched again. Every GET is recorded, also whether it contained
credentials, because a client that sends a provider key to a CDN leaks the key.
"""

from __future__ import annotations

import random
import re
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from local.simulator.faults import Event, Fault, FaultBook, Kind
from local.simulator.video import VideoSpec, render
from local.simulator.wire import CutBody, ResetConnection, drip

MEDIA_FAULTS = {
    "media_truncated": Kind(
        "media", "the body ends early, the Content-Length does not", {"fraction": 0.5}
    ),
    "media_reset": Kind("media", "the connection is reset in the middle of the body"),
    "media_refused": Kind("media", "the connection is reset before any response"),
    "media_missing": Kind("media", "404, this time"),
    "media_error": Kind("media", "a server error from the CDN", {"status": 503}),
    "media_slow": Kind("media", "the body is sent slowly", {"bytes_per_second": 20_000}),
    "media_oversized": Kind(
        "media",
        "a playable MP4 padded to this many bytes, streamed without holding them",
        {"bytes": 1_073_741_824},
    ),
    "media_expired": Kind(
        "media", "the URL stops working for good; the next result has a fresh one", {"status": 403}
    ),
    "media_garbage": Kind("media", "random bytes under the file's own type", {"bytes": 65_536}),
    "media_other": Kind("media", "a playable MP4 of one second, 320 x 180, without sound"),
    "media_redirect": Kind("media", "302 to another place", {"location": "https://example.com/"}),
}
"""Fault kinds of every simulator with a CDN. They occur per GET of a file."""

_OTHER = VideoSpec(
    prompt="not as ordered", caption="simulated", width=320, height=180, seconds=1, audio=False
)
_ZEROS = bytes(1 << 18)


@dataclass(slots=True)
class MediaFile:
    """One stored file, the event that its faults are matched against, and the GETs of it."""

    name: str
    body: bytes
    event: Event
    token: str
    content_type: str = "video/mp4"
    expired: dict[str, int] = field(default_factory=dict)
    gets: list[dict[str, Any]] = field(default_factory=list)


class MediaStore:
    """All files of one simulator; ``ranges()`` is True if Range requests are supported now.

    Subclasses can change the form of a URL and how it is authenticated.
    """

    path = "/files/b/{token}/{name}"

    def __init__(self, base_url: str, faults: FaultBook, ranges: Callable[[], bool]) -> None:
        self.base_url = base_url
        self._faults = faults
        self._ranges = ranges
        self.files: list[MediaFile] = []
        self.routes = [Route(self.path, self._get, methods=["GET"])]

    def put(
        self, name: str, body: bytes, event: Event, content_type: str = "video/mp4"
    ) -> MediaFile:
        file = MediaFile(name, body, event, secrets.token_urlsafe(16), content_type)
        self.files.append(file)
        return file

    def url_of(self, file: MediaFile) -> str:
        """The file's valid URL, a new one if the last has expired."""
        if file.token in file.expired:
            file.token = secrets.token_urlsafe(16)
        return self._url(file)

    def _url(self, file: MediaFile) -> str:
        return f"{self.base_url}/files/b/{file.token}/{file.name}"

    def as_json(self) -> dict[str, Any]:
        return {
            "authorization_seen": any(g["authorization"] for f in self.files for g in f.gets),
            "files": [
                {"url": self._url(f), "bytes": len(f.body), "gets": f.gets} for f in self.files
            ],
        }

    def _addressed(self, request: Request) -> tuple[MediaFile, str] | None:
        """The file of a URL, and the part of the URL that can expire."""
        token = request.path_params["token"]
        file = next((f for f in self.files if token == f.token or token in f.expired), None)
        return None if file is None else (file, token)

    def _dead(self, file: MediaFile, token: str) -> int | None:
        """The status of the response to an expired URL; None for a valid one."""
        return file.expired.get(token)

    async def _get(self, request: Request) -> Response:
        addressed = self._addressed(request)
        if addressed is None:
            return Response("Not Found", 404, media_type="text/plain")
        file, token = addressed
        dead = self._dead(file, token)
        fault = self._faults.take("media", file.event) if dead is None else None
        if fault is not None and fault.kind == "media_expired":
            dead = file.expired[token] = int(fault.params["status"])
        file.gets.append(
            {
                "method": request.method,
                "range": request.headers.get("range"),
                "authorization": "authorization" in request.headers,
                "fault": fault.kind if fault else None,
                "refused": dead,
            }
        )
        if dead is not None:
            return Response("Expired", dead, media_type="text/plain")
        if fault is not None:
            return _MISBEHAVIOURS[fault.kind](fault, file)
        return self._serve(request, file)

    def _serve(self, request: Request, file: MediaFile) -> Response:
        size = len(file.body)
        if not self._ranges():
            return Response(file.body, media_type=file.content_type)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        headers = {"accept-ranges": "bytes"}
        if wanted is None:
            return Response(file.body, media_type=file.content_type, headers=headers)
        first = int(wanted[1])
        last = min(int(wanted[2] or size), size - 1)
        if first > last:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        return Response(file.body[first : last + 1], 206, headers, file.content_type)


def _cut(fault: Fault, file: MediaFile) -> Response:
    size = len(file.body)
    kept = file.body[: int(size * fault.params.get("fraction", 0.5))]
    headers = {"content-type": file.content_type}
    return CutBody(kept, size, headers, reset=fault.kind == "media_reset")


def _drip(fault: Fault, file: MediaFile) -> Response:
    headers = {"content-type": file.content_type, "content-length": str(len(file.body))}
    return StreamingResponse(drip(file.body, fault.params["bytes_per_second"]), 200, headers)


def _oversized(fault: Fault, file: MediaFile) -> Response:
    total = max(int(fault.params["bytes"]), len(file.body) + 16)
    headers = {"content-type": file.content_type, "content-length": str(total)}
    return StreamingResponse(_padded(file.body, total), 200, headers)


def _garbage(fault: Fault, file: MediaFile) -> Response:
    # The same bytes each time: among random ones, some look like a container to a decoder.
    noise = random.Random(0).randbytes(int(fault.params["bytes"]))
    return Response(noise, 200, media_type=file.content_type)


def _plain(fault: Fault, file: MediaFile) -> Response:  # noqa: ARG001
    return Response("Unavailable", int(fault.params.get("status", 404)), media_type="text/plain")


_MISBEHAVIOURS: dict[str, Callable[[Fault, MediaFile], Response]] = {
    "media_truncated": _cut,
    "media_reset": _cut,
    "media_refused": lambda _, __: ResetConnection(),
    "media_missing": _plain,
    "media_error": _plain,
    "media_slow": _drip,
    "media_oversized": _oversized,
    "media_garbage": _garbage,
    "media_other": lambda _, file: Response(render(_OTHER), 200, media_type=file.content_type),
    "media_redirect": lambda fault, _: RedirectResponse(str(fault.params["location"]), 302),
}


async def _padded(body: bytes, total: int) -> AsyncIterator[bytes]:
    """``body`` and a `free` box (64-bit size) that fills up to ``total``: still a valid MP4."""
    missing = total - len(body)
    yield body
    yield struct.pack(">I4sQ", 1, b"free", missing)
    missing -= 16
    while missing > 0:
        piece = _ZEROS[: min(missing, len(_ZEROS))]
        missing -= len(piece)
        yield piece
