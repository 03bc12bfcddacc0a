"""Copies a provider's file into a bucket as a stream, in constant memory.

A file of one part is stored by a single PutObject; a larger file by a multipart upload, which sends
parts while the next ones arrive. Every part has its SHA-256, which S3 verifies; the digest of the
whole file is computed at the same time. When a copy fails, its multipart upload is aborted and
leaves nothing behind. A process that is killed cannot abort it; then the bucket's lifecycle rule
deletes the parts. An object appears at its key only when it is complete.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from clipmint.media.download import open_source
from clipmint.media.files import (
    MAX_VIDEO_BYTES,
    MediaInvalid,
    SourceUnavailable,
    StoredObject,
    begins_like_mp4,
)
from clipmint.media.hosts import Resolve, resolve_by_system
from clipmint.media.pinned_requests import Deadline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024
"""Above S3's minimum of 5 MiB; 2 GiB then need far fewer than its maximum of 10,000 parts."""

UPLOADS = 3
"""Parts in flight at once. With the part that is being filled, the buffers take 32 MiB."""

_HEAD_BYTES = 64


def copy_from_url(
    url: str,
    *,
    allowed_hosts: Iterable[str],
    bucket: str,
    key: str,
    http: httpx.Client,
    s3: S3Client,
    content_type: str = "video/mp4",
    max_bytes: int = MAX_VIDEO_BYTES,
    deadline_seconds: float = 600.0,
    begins_right: Callable[[bytes], bool] = begins_like_mp4,
    resolve: Resolve = resolve_by_system,
) -> StoredObject:
    """Stream a file from a provider's URL to ``bucket``/``key``, replacing an existing object.

    Parameters
    ----------
    allowed_hosts
        Hosts of the file and of its redirects (`clipmint.media.hosts.AllowedHosts`).
    http
        From `clipmint.media.pinned_requests.new_client`.
    s3
        From `clipmint.aws.s3`, whose time-outs end an upload that hangs.
    deadline_seconds
        Limit for the whole copy. After it, we wait for the parts in flight and then delete them.
    begins_right
        Whether the first bytes (at least 64, or all of a shorter file) have the expected type.

    If a source that declares no length closes the connection early, this function does not notice
    it; `clipmint.media.video_file.probe` does.

    Raises
    ------
    MediaInvalid, SourceExpired, SourceUnavailable, SourceNotAllowed
        See `clipmint.media.files`.
    botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        Errors of the bucket, unchanged.
    """
    with (
        Deadline(deadline_seconds) as deadline,
        open_source(
            url,
            allowed_hosts=allowed_hosts,
            http=http,
            max_bytes=max_bytes,
            deadline=deadline,
            resolve=resolve,
        ) as source,
        _Upload(s3, bucket, key, content_type, deadline) as upload,
    ):
        return upload.store(_beginning_right(source.chunks(), begins_right))


def _beginning_right(
    chunks: Iterator[bytes], begins_right: Callable[[bytes], bool]
) -> Iterator[bytes]:
    """The same bytes; raises `MediaInvalid` before the first of them if their type is wrong."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    if not begins_right(head):
        raise MediaInvalid(f"the file has another type: it begins with {head[:16]!r}")
    yield head
    yield from chunks


class _Upload:
    """The upload of one object. If the context exits with an exception, the upload is aborted."""

    def __init__(
        self, s3: S3Client, bucket: str, key: str, content_type: str, deadline: Deadline
    ) -> None:
        self._s3, self._bucket, self._key = s3, bucket, key
        self._content_type, self._deadline = content_type, deadline
        self._digest = hashlib.sha256()
        self._size = 0
        self._upload_id: str | None = None
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="part")
        self._in_flight: deque[tuple[Future[CompletedPartTypeDef], bytearray]] = deque()
        self._completed: list[CompletedPartTypeDef] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A part that completes after the abort would remain, so we wait for all parts first.
        self._pool.shutdown(wait=True, cancel_futures=True)
        if kind is not None and self._upload_id is not None:
            # If the abort fails, the lifecycle rule deletes the parts; keep the original error.
            with suppress(ClientError, BotoCoreError):
                self._s3.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._upload_id
                )

    def store(self, chunks: Iterable[bytes]) -> StoredObject:
        """Upload all chunks. Returns the stored object."""
        part, filled = bytearray(PART_BYTES), 0
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                if filled == PART_BYTES:
                    self._send(part)
                    part, filled = self._free_buffer(), 0
                taken = min(PART_BYTES - filled, len(rest))
                part[filled : filled + taken] = rest[:taken]
                filled, rest = filled + taken, rest[taken:]
        del part[filled:]
        return self._finish(part)

    def _send(self, part: bytearray) -> None:
        """Start sending a full part that is not the last."""
        if self._upload_id is None:
            self._upload_id = self._s3.create_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                ContentType=self._content_type,
                ChecksumAlgorithm="SHA256",
            )["UploadId"]
        number = len(self._completed) + len(self._in_flight) + 1
        self._in_flight.append((self._pool.submit(self._put_part, number, part), part))
        # Hash it while the other thread sends it: both only read the buffer.
        self._count(part)

    def _free_buffer(self) -> bytearray:
        """A buffer to fill; if the window is full, that of the oldest part, once it is sent."""
        if len(self._in_flight) <= UPLOADS:
            return bytearray(PART_BYTES)
        return self._await_oldest()

    def _await_oldest(self) -> bytearray:
        future, part = self._in_flight.popleft()
        try:
            self._completed.append(future.result(timeout=self._deadline.remaining()))
        except TimeoutError as error:
            raise SourceUnavailable("the copy did not finish in time") from error
        return part

    def _put_part(self, number: int, part: bytearray) -> CompletedPartTypeDef:
        checksum = _base64(hashlib.sha256(part).digest())
        response = self._s3.upload_part(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=str(self._upload_id),
            PartNumber=number,
            Body=part,  # type: ignore[arg-type]  # botocore takes a bytearray; its stubs do not
            ChecksumSHA256=checksum,
        )
        return {"PartNumber": number, "ETag": response["ETag"], "ChecksumSHA256": checksum}

    def _finish(self, last: bytearray) -> StoredObject:
        if self._upload_id is None:
            self._count(last)
            checksum = _base64(self._digest.digest())
            put = self._s3.put_object(
                Bucket=self._bucket,
                Key=self._key,
                Body=last,  # type: ignore[arg-type]
                ContentType=self._content_type,
                ChecksumSHA256=checksum,
            )
            return self._stored(put["ETag"], put.get("ChecksumSHA256", checksum))
        self._send(last)
        while self._in_flight:
            self._await_oldest()
        done = self._s3.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._completed},
        )
        return self._stored(done["ETag"], done.get("ChecksumSHA256"))

    def _count(self, part: bytearray) -> None:
        self._digest.update(part)
        self._size += len(part)

    def _stored(self, etag: str, checksum: str | None) -> StoredObject:
        return StoredObject(
            bucket=self._bucket,
            key=self._key,
            size_bytes=self._size,
            sha256=self._digest.hexdigest(),
            etag=etag,
            checksum=checksum,
            content_type=self._content_type,
        )


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
