"""Runway's CDN: a file keeps its path, and each GET of its task signs another URL for it.

A URL contains ``_jwt``, a token with its own ``exp``. After that time only that URL is invalid.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable

import jwt
from starlette.requests import Request

from local.simulator.faults import FaultBook
from local.simulator.media import MediaFile, MediaStore

REFUSED = 403
"""assumption: the status for an expired or foreign token; CloudFront uses this one."""


class SignedMediaStore(MediaStore):
    """All files of the simulator; ``url_seconds()`` is the current lifetime of a new URL."""

    path = "/files/{name}"

    def __init__(
        self,
        base_url: str,
        faults: FaultBook,
        ranges: Callable[[], bool],
        url_seconds: Callable[[], float],
    ) -> None:
        super().__init__(base_url, faults, ranges)
        self._url_seconds = url_seconds
        self._secret = secrets.token_bytes(32)

    def url_of(self, file: MediaFile) -> str:
        """A new URL; the earlier ones stay valid until they expire."""
        # assumption: no claim but exp is known, and no caller may depend on one
        claims = {
            "exp": math.ceil(time.time() + self._url_seconds()),
            "jti": secrets.token_urlsafe(9),
            "file": file.name,
        }
        file.token = jwt.encode(claims, self._secret, "HS256")
        return self._url(file)

    def _url(self, file: MediaFile) -> str:
        return f"{self.base_url}/files/{file.name}?_jwt={file.token}"

    def _addressed(self, request: Request) -> tuple[MediaFile, str] | None:
        name = request.path_params["name"]
        file = next((f for f in self.files if f.name == name), None)
        return None if file is None else (file, request.query_params.get("_jwt", ""))

    def _dead(self, file: MediaFile, token: str) -> int | None:
        if token in file.expired:
            return file.expired[token]
        try:
            claims = jwt.decode(token, self._secret, ["HS256"], options={"require": ["exp"]})
        except jwt.InvalidTokenError:
            return REFUSED
        return None if claims["file"] == file.name else REFUSED
