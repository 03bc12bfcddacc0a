"""The owner's buckets: object keys, presigned URLs, reading and deletion.

A key is derived from ids: of the user, of the job or project, and of the attempt or the image.
`clipmint.media.transfer` copies files into a bucket. It is a module of its own, so that functions
that only return URLs do not import an HTTP client.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    _Buffer = bytearray | memoryview

_PLAIN_SUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

UPLOADS = "uploads/"
"""Prefix of the key of every uploaded image."""

IMAGE_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
"""Content types of images, and the file extension of each."""

_BLOCK_BYTES = 1024 * 1024
_BLOCKS = 6


def job_prefix(user_id: str, job_id: str) -> str:
    """Prefix of all keys of one job, including the slash.

    Raises `ValueError` for a job id that we cannot have made.
    """
    if not _ID.fullmatch(job_id):
        raise ValueError("not a job id")
    # A token's subject may be any string, with slashes, dots or kilobytes. A simple one stays
    # readable. Any other is hashed, with another first letter, so that the two cannot collide.
    owner = f"u-{user_id}" if _PLAIN_SUB.fullmatch(user_id) else f"h-{_hashed(user_id)}"
    return f"videos/{owner}/{job_id}/"


def video_key(user_id: str, job_id: str, attempt: str) -> str:
    """Key of a job's video, for one attempt to store it.

    Two attempts can overlap: a caller that lost its connection retries while the first attempt
    still runs. The losing attempt must never write or delete the key that the winner recorded.
    """
    return f"{job_prefix(user_id, job_id)}{_checked(attempt)}/video.mp4"


def thumbnail_key(user_id: str, job_id: str, attempt: str) -> str:
    """Key of a job's thumbnail, next to the video of the same attempt."""
    return f"{job_prefix(user_id, job_id)}{_checked(attempt)}/thumbnail.jpg"


def upload_prefix(user_id: str, project_id: str) -> str:
    """Prefix of the keys of all images uploaded for one project, including the slash."""
    return f"{UPLOADS}{_hashed(user_id)}/{_checked(project_id)}/"


def upload_key(user_id: str, project_id: str, image_id: str, content_type: str) -> str:
    """Key of one uploaded image. Its URL is public, so it does not reveal the user's id."""
    return (
        f"{upload_prefix(user_id, project_id)}{_checked(image_id)}.{IMAGE_EXTENSIONS[content_type]}"
    )


def generated_prefix(user_id: str, job_id: str) -> str:
    """Prefix of the keys of all images that one job generated, including the slash."""
    return f"generated_images/{_hashed(user_id)}/{_checked(job_id)}/"


def generated_key(user_id: str, job_id: str, attempt: str, content_type: str) -> str:
    """Key of a job's generated image, for one attempt to store it. Public, like uploads."""
    return (
        f"{generated_prefix(user_id, job_id)}{_checked(attempt)}.{IMAGE_EXTENSIONS[content_type]}"
    )


def _hashed(user_id: str) -> str:
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise ValueError("not the id of a job, project, image or attempt")
    return name


def presigned_url(
    s3: S3Client, bucket: str, key: str, *, expires_in: int = 3600, filename: str | None = None
) -> str:
    """A URL with which anyone can GET one object for ``expires_in`` seconds.

    It expires earlier if the credentials of the function that signed it expire. With ``filename``,
    a browser saves the file under that name instead of showing it.
    """
    params: dict[str, Any] = {"Bucket": bucket, "Key": key}
    if filename is not None:
        plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
        named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
        params["ResponseContentDisposition"] = named
    return s3.generate_presigned_url("get_object", Params=params, ExpiresIn=expires_in)


def delete(s3: S3Client, bucket: str, *keys: str) -> None:
    """Delete objects. A missing object is not an error."""
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)


def delete_all(s3: S3Client, bucket: str, prefix: str) -> None:
    """Delete every object with this key prefix, which must end with a slash."""
    if not prefix.endswith("/"):
        raise ValueError("a prefix must end with a slash, or it could match another id's keys")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        delete(s3, bucket, *(found["Key"] for found in page.get("Contents", [])))


def open_range(s3: S3Client, bucket: str, key: str) -> BinaryIO:
    """An object as a seekable file, read in ranges. Errors, including 404, are botocore's."""
    return io.BufferedReader(ObjectFile(s3, bucket, key))


class ObjectFile(io.RawIOBase):
    """A read-only file over ranged GETs that keeps at most a few MiB in memory.

    Readers of MP4 jump between the index and the samples, hence a small cache of blocks. Every
    range request names the same version: an object that was overwritten in between is an error
    (412), not a mixture of both versions.
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
        response = self._s3.get_object(
            Bucket=self._bucket, Key=self._key, Range=f"bytes={first}-{last}", IfMatch=self._etag
        )
        while len(self._blocks) >= _BLOCKS:
            self._blocks.popitem(last=False)
        self._blocks[index] = response["Body"].read()
        return self._blocks[index]
