"""Words about media files: what was stored, what a video is like, and what can go wrong.

::

    MediaError
    ├── MediaInvalid        the file itself is at fault: not a playable MP4, or too large
    ├── PictureInvalid      the same of a picture: not one we take, damaged, or of no sane size
    ├── SourceExpired       this URL no longer gives the file; a fresh one may
    ├── SourceUnavailable   no fault of the file or the URL: the same copy may work later
    └── SourceNotAllowed    the URL, or a redirect, leads where we do not go; nothing was fetched

Step Functions retries by class name, so these names are part of the state machine's contract.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_VIDEO_BYTES = 2 * 1024**3
"""2 GiB: several times what the longest clip weighs at the highest bitrate on offer, and still
copied within a Lambda's quarter of an hour from a source that manages 3 MB a second."""

MAX_IMAGE_BYTES = 32 * 1024**2
"""32 MiB, of a generated picture: an uncompressed 1080 x 1920 one is a quarter of that."""

_BOX_HEADER_BYTES = 8
_LARGEST_FTYP_BYTES = 1024


class MediaError(Exception):
    """Base of what fetching, storing and reading a media file raises."""


class MediaInvalid(MediaError):
    """The file is not a playable MP4, or is larger than allowed."""


class PictureInvalid(MediaError):
    """The file is not a picture we take. Its text is a sentence for whoever sent it."""


class SourceExpired(MediaError):
    """The source refuses this URL. Ask the provider for a fresh one before trying again."""


class SourceUnavailable(MediaError):
    """The source failed, broke off or was too slow. Trying again later is worthwhile."""


class SourceNotAllowed(MediaError):
    """The URL or a redirect names a scheme, host, port or address we never fetch from."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it now lies in a bucket.

    Attributes
    ----------
    sha256
        Hex digest of the whole file, computed from the bytes as they passed.
    etag, checksum
        As S3 reports them. ``checksum`` is base64 SHA-256: of the file for a single part, of the
        parts' checksums and suffixed ``-<parts>`` for a multipart upload. None where the store
        reports none.
    """

    bucket: str
    key: str
    size_bytes: int
    sha256: str
    etag: str
    checksum: str | None
    content_type: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What a sound picture is like. ``width`` and ``height`` are pixels as stored, whichever way
    its metadata would have it turned."""

    content_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a playable MP4 is like. ``width`` and ``height`` are pixels as stored; ``frames`` is
    None where the container does not say."""

    codec: str
    width: int
    height: int
    duration_seconds: float
    frames: int | None
    has_audio: bool


def begins_like_mp4(head: bytes) -> bool:
    """Whether a file's first bytes open with an ``ftyp`` box (ISO/IEC 14496-12, 4.3)."""
    if len(head) < _BOX_HEADER_BYTES or head[4:8] != b"ftyp":
        return False
    return _BOX_HEADER_BYTES < int.from_bytes(head[:4], "big") <= _LARGEST_FTYP_BYTES
