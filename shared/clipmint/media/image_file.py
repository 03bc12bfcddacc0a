"""Checks that bytes are an image: a PNG, JPEG or WebP that decodes completely.

Memory is bounded for any header: the size is checked before a pixel is decoded. Pillow is imported
on first use, so that importing this module takes a function no time.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from clipmint.media.files import ImageFacts, ImageFileInvalid

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MIN_SIDE, MAX_SIDE = 16, 8192
"""Pixels. A smaller image is a tracking pixel; a larger one is more than any model uses."""

MAX_PIXELS = 2**25
"""Pixels of one image: 8192 x 4096, more than the 24 megapixels of a usual camera. A WebP needs the
most memory, 540 MB at that size (two canvases of its decoder, two copies of Pillow's): check one
image at a time."""

_MAX_SCANS = 100
"""Scans of a JPEG. A progressive JPEG has about ten. Each scan is a pass over the whole image but
may take only a hundred bytes, so a file full of scans would decode for hours."""

_ACCEPTED = "PNG, JPEG and WebP are accepted"

# Exceptions that Pillow's readers raise for damaged files.
_DECODING_ERRORS = (
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


def check(data: bytes) -> ImageFacts:
    """Decode an image. Returns its content type and its size in pixels.

    Raises
    ------
    ImageFileInvalid
        The image has another format, is damaged, cut off or animated, is smaller than `MIN_SIDE`,
        or is larger than `MAX_SIDE` and `MAX_PIXELS` allow.
    """
    content_type = _content_type(data)
    if content_type == "image/jpeg" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise ImageFileInvalid("The image is damaged")
    try:
        if content_type == "image/png":
            _opened(content_type, data).verify()  # checksums, which decoding does not verify
        image = _opened(content_type, data)
        width, height = image.size
        _check_size(width, height)
        # Providers take one image, and we cannot know which frame they would use.
        if getattr(image, "is_animated", False):
            raise ImageFileInvalid("The image is animated; a still image is required")
        image.load()
    except _DECODING_ERRORS:
        raise ImageFileInvalid("The image is damaged or incomplete") from None
    return ImageFacts(content_type, width, height)


def _content_type(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ImageFileInvalid(f"The file is not an image of an accepted type; {_ACCEPTED}")


def _opened(content_type: str, data: bytes) -> ImageFile:
    """Open with the reader of one format: `PIL.Image.open` would load and try all readers."""
    from PIL.Image import (  # noqa: PLC0415  (takes 40 ms; few functions decode images)
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
        # Some readers check the size themselves. They raise the warning where warnings are errors.
        raise ImageFileInvalid(
            f"The image is far too large; a side may be at most {MAX_SIDE} pixels"
        ) from None


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageFileInvalid(
            f"The image is {width} x {height} pixels; each side must be at least {MIN_SIDE}"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageFileInvalid(
            f"The image is {width} x {height} pixels; a side may be at most {MAX_SIDE}"
        )
    if width * height > MAX_PIXELS:
        raise ImageFileInvalid(
            f"The image is {width} x {height} pixels; at most {MAX_PIXELS:,} in all are accepted"
        )
