"""The owner's buckets: where a job's files lie, and how they are handed out, read and removed.

Keys follow from the job alone, so doing something twice meets the same object. Copying a file in
is `clipmint.media.transfer`, a module of its own, so that functions which only hand out URLs import
no HTTP client.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    _Buffer = bytearray | memoryview

_PLAIN_SUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

UPLOADS = "uploads/"
"""What the key of every uploaded picture begins with."""

PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
"""Content types of pictures, and the extension each is stored under."""

_BLOCK_BYTES = 1024 * 1024
_BLOCKS = 6


def job_prefix(user_id: str, job_id: str) -> str:
    """What all keys of one job begin with, up to and including a slash.

    Raises `ValueError` for a job id that could not be ours.
    """
    if not _ID.fullmatch(job_id):
        raise ValueError("not a job id")
    # A token's subject may be any string, with slashes, dots or kilobytes. Plain ones stay
    # readable; the rest are hashed, under another first letter so that the two never meet.
    owner = f"u-{user_id}" if _PLAIN_SUB.fullmatch(user_id) else f"h-{_hashed(user_id)}"
    return f"videos/{owner}/{job_id}/"


def video_key(user_id: str, job_id: str, attempt: str) -> str:
    """Key of a job's video, as one attempt at storing it writes it.

    Two attempts can overlap (a caller that lost its connection asks again while the first still
    runs), and the key that is recorded must never be written or deleted by the other one.
    """
    return f"{job_prefix(user_id, job_id)}{_checked(attempt)}/video.mp4"


def thumbnail_key(user_id: str, job_id: str, attempt: str) -> str:
    """Key of a job's thumbnail, beside the video of the same attempt."""
    return f"{job_prefix(user_id, job_id)}{_checked(attempt)}/thumbnail.jpg"


def upload_prefix(user_id: str, project_id: str) -> str:
    """What the keys of all pictures uploaded for one project begin with, slash included."""
    return f"{UPLOADS}{_hashed(user_id)}/{_checked(project_id)}/"


def upload_key(user_id: str, project_id: str, image_id: str, content_type: str) -> str:
    """Key of one uploaded picture. Its URL is public, so it never shows who the user is."""
    return f"{upload_prefix(user_id, project_id)}{_checked(image_id)}.{PICTURES[content_type]}"


def generated_prefix(user_id: str, job_id: str) -> str:
    """What the keys of all pictures one job generated begin with, slash included."""
    return f"generated_images/{_hashed(user_id)}/{_checked(job_id)}/"


def generated_key(user_id: str, job_id: str, attempt: str, content_type: str) -> str:
    """Key of a job's picture, as one attempt at storing it writes it. Public, like uploads."""
    return f"{generated_prefix(user_id, job_id)}{_checked(attempt)}.{PICTURES[content_type]}"


def _hashed(user_id: str) -> str:
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise ValueError("not the id of a job, project, image or attempt")
    return name


def s3_client(*, read_seconds: int = 30, attempts: int = 4) -> S3Client:
    """An S3 client whose transfers end in time and whose presigned URLs work in every region.

    ``read_seconds`` is how long S3 may stay silent, ``attempts`` how often it is asked at most.

    Virtual addressing makes botocore sign for the regional host; at an endpoint that is an IP
    address (an emulator) it uses paths by itself.
    """
    # Here, because only who has a file in hand needs it: a look at a job that goes on does not.
    import boto3  # noqa: PLC0415

    return boto3.client(
        "s3",
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            s3={
                "addressing_style": "virtual",
                "us_east_1_regional_endpoint": "regional",
                # Every upload carries a SHA-256 checksum header, which the signature covers and
                # S3 verifies: hashing the body again for the signature would add nothing.
                "payload_signing_enabled": False,
            },
        ),
    )


def presigned_url(
    s3: S3Client, bucket: str, key: str, *, expires_in: int = 3600, filename: str | None = None
) -> str:
    """A URL that lets anyone GET one object for ``expires_in`` seconds.

    It dies earlier if the credentials of the function that signed it do. With ``filename`` a
    browser saves the file under that name instead of showing it.
    """
    params: dict[str, Any] = {"Bucket": bucket, "Key": key}
    if filename is not None:
        plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
        named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
        params["ResponseContentDisposition"] = named
    return s3.generate_presigned_url("get_object", Params=params, ExpiresIn=expires_in)


def delete(s3: S3Client, bucket: str, *keys: str) -> None:
    """Remove objects. Removing what is not there is fine."""
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)


def delete_all(s3: S3Client, bucket: str, prefix: str) -> None:
    """Remove every object whose key begins with ``prefix``, which ends with a slash."""
    if not prefix.endswith("/"):
        raise ValueError("a prefix without its slash could be the beginning of another's")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        delete(s3, bucket, *(found["Key"] for found in page.get("Contents", [])))


def open_range(s3: S3Client, bucket: str, key: str) -> BinaryIO:
    """An object as a seekable file, read in ranges. Errors are botocore's, 404 included."""
    return io.BufferedReader(ObjectFile(s3, bucket, key))


class ObjectFile(io.RawIOBase):
    """A read-only file over ranged GETs, holding at most a few MiB of it.

    Readers of MP4 jump between the index and the samples, hence a small cache of blocks. Every
    range is asked of the same version: an object overwritten meanwhile is an error (412), not a
    mixture.
    """

    def __init__(self, s3: S3Client, bucket: str, key: str) -> None:
        super().__init__()
        self._s3, self._bucket, self._key = s3, bucket, key
        head = s3.head_object(Bucket=bucket, Key=key)
        self.size = head["ContentLength"]
        self._etag = head["ETag"]
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("seek to before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: _Buffer) -> int:  # type: ignore[override]
        if self._position >= self.size:
            return 0
        index, start = divmod(self._position, _BLOCK_BYTES)
        found = memoryview(self._block(index))[start : start + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        first = index * _BLOCK_BYTES
        last = min(first + _BLOCK_BYTES, self.size) - 1
        answer = self._s3.get_object(
            Bucket=self._bucket, Key=self._key, Range=f"bytes={first}-{last}", IfMatch=self._etag
        )
        while len(self._blocks) >= _BLOCKS:
            self._blocks.popitem(last=False)
        self._blocks[index] = answer["Body"].read()
        return self._blocks[index]
