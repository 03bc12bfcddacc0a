"""Types and errors of media files: stored objects, properties of images and videos.

::

    MediaError
    ├── MediaInvalid        the file is at fault: not a playable MP4, or too large
    ├── ImageFileInvalid    the image is at fault: not an accepted type, damaged, or a wrong size
    ├── SourceExpired       the URL no longer returns the file; a fresh URL may
    ├── SourceUnavailable   neither the file nor the URL is at fault; a retry may succeed
    └── SourceNotAllowed    the URL or a redirect leads to a forbidden place; nothing was fetched
        └── HostNotListed   it leads to a host that the provider has not used before

Step Functions retries by class name, so these names are part of the state machine's contract.
"""

from __future__ import annotations

from clipmint.values import frozen

MAX_VIDEO_BYTES = 2 * 1024**3
"""2 GiB: several times the size of the longest clip at the highest bitrate on offer. A source of
3 MB a second still delivers it within the 15 minutes of a Lambda function."""

MAX_IMAGE_BYTES = 32 * 1024**2
"""32 MiB, for a generated image: an uncompressed one of 1080 x 1920 is a quarter of that."""

_BOX_HEADER_BYTES = 8
_LARGEST_FTYP_BYTES = 1024


class MediaError(Exception):
    """Base of the errors in fetching, storing and reading a media file."""


class MediaInvalid(MediaError):
    """The file is not a playable MP4, or is larger than allowed."""


class ImageFileInvalid(MediaError):
    """The file is not an acceptable image. The message is a sentence for the user."""


class SourceExpired(MediaError):
    """The source rejects this URL. Get a fresh URL from the provider before a retry."""


class SourceUnavailable(MediaError):
    """The source failed, closed the connection or was too slow. A later retry may succeed."""


class SourceNotAllowed(MediaError):
    """The URL or a redirect names a scheme, host, port or address that we never fetch from."""


class HostNotListed(SourceNotAllowed):
    """Its host is none of the provider's known ones. If it is a new one, the owner can allow it."""


@frozen
class StoredObject:
    """An object that was stored in a bucket.

    Attributes
    ----------
    sha256
        Hex digest of the whole file, computed while it was copied.
    etag, checksum
        As S3 reports them. ``checksum`` is a base64 SHA-256: of the file for a single part; for a
        multipart upload, of the parts' checksums, with the suffix ``-<parts>``. None if the store
        reports none.
    """

    bucket: str
    key: str
    size_bytes: int
    sha256: str
    etag: str
    checksum: str | None
    content_type: str


@frozen
class ImageFacts:
    """Properties of a valid image. ``width`` and ``height`` are pixels as stored, before any
    rotation that the metadata requests."""

    content_type: str
    width: int
    height: int


@frozen
class VideoFacts:
    """Properties of a playable MP4. ``width`` and ``height`` are pixels as stored; ``frames`` is
    None if the container does not state it."""

    codec: str
    width: int
    height: int
    duration_seconds: float
    frames: int | None
    has_audio: bool


def begins_like_mp4(head: bytes) -> bool:
    """Whether a file begins with an ``ftyp`` box (ISO/IEC 14496-12, 4.3)."""
    if len(head) < _BOX_HEADER_BYTES or head[4:8] != b"ftyp":
        return False
    return _BOX_HEADER_BYTES < int.from_bytes(head[:4], "big") <= _LARGEST_FTYP_BYTES
