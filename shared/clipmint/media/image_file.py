"""Proves that bytes are a picture: a PNG, JPEG or WebP that decodes to its last row.

Works in bounded memory whatever a header claims: a size is judged before a pixel is decoded.
Pillow is imported on first use, so that importing this module costs a function nothing.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from clipmint.media.files import Picture, PictureInvalid

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MIN_SIDE, MAX_SIDE = 16, 8192
"""Pixels. Smaller is a tracking pixel, larger is more than any model looks at."""

MAX_PIXELS = 2**25
"""Of one picture: 8192 x 4096, more than the 24 megapixels of a usual camera. The hungriest, a
WebP, takes 540 MB at that size (its decoder's two canvases, Pillow's two copies): check one at a
time."""

_MAX_SCANS = 100
"""Of a JPEG. A progressive one has about ten; each costs a pass over the whole picture, though it
may be written in a hundred bytes, so a file of them would decode for hours."""

_ACCEPTED = "PNG, JPEG and WebP are accepted"

# What Pillow's readers raise when a file leads them astray.
_ASTRAY = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def check(data: bytes) -> Picture:
    """Decode a picture and say what it is like.

    Raises
    ------
    PictureInvalid
        It is in another format, damaged, cut off, animated, smaller than `MIN_SIDE` or larger
        than `MAX_SIDE` and `MAX_PIXELS` allow.
    """
    content_type = _content_type(data)
    if content_type == "image/jpeg" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise PictureInvalid("The picture is damaged")
    try:
        if content_type == "image/png":
            _opened(content_type, data).verify()  # checksums, which decoding does not look at
        picture = _opened(content_type, data)
        width, height = picture.size
        _check_size(width, height)
        # Providers take one picture, and which one of these they would take is anyone's guess.
        if getattr(picture, "is_animated", False):
            raise PictureInvalid("The picture is animated; a still one is needed")
        picture.load()
    except _ASTRAY:
        raise PictureInvalid("The picture is damaged or incomplete") from None
    return Picture(content_type, width, height)


def _content_type(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise PictureInvalid(f"The file is not a picture of a kind we take; {_ACCEPTED}")


def _opened(content_type: str, data: bytes) -> ImageFile:
    """One format's reader, called by its name: guessing would load, and try, all the others."""
    from PIL.Image import (  # noqa: PLC0415  (40 ms, and few functions decode)
        DecompressionBombError,
        DecompressionBombWarning,
    )
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415
    from PIL.WebPImagePlugin import WebPImageFile  # noqa: PLC0415

    readers: dict[str, Callable[[io.BytesIO], ImageFile]]
    readers = {"image/png": PngImageFile, "image/jpeg": JpegImageFile, "image/webp": WebPImageFile}
    try:
        return readers[content_type](io.BytesIO(data))
    except (DecompressionBombError, DecompressionBombWarning):
        # Some readers judge the size themselves. The warning is one where warnings are errors.
        raise PictureInvalid(
            f"The picture is far too large; a side may be at most {MAX_SIDE} pixels"
        ) from None


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise PictureInvalid(
            f"The picture is {width} x {height} pixels; each side must be at least {MIN_SIDE}"
        )
    if max(width, height) > MAX_SIDE:
        raise PictureInvalid(
            f"The picture is {width} x {height} pixels; a side may be at most {MAX_SIDE}"
        )
    if width * height > MAX_PIXELS:
        raise PictureInvalid(
            f"The picture is {width} x {height} pixels; at most {MAX_PIXELS:,} in all are accepted"
        )
