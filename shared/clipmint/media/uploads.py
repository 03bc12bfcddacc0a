"""Uploaded images: their public URLs, the upload forms, and the check before a job uses one.

A user gets a presigned form and posts the image to the bucket. S3 enforces the form's type and
size, but does not check the bytes. So before a job may use an uploaded image, we read and decode it
once, and write a check record next to the user's projects if the image is valid.

A form can be used repeatedly until it expires, so a user can overwrite a checked image within these
15 minutes. A second check would not help: seconds pass between any check and the moment at which
the provider fetches the image. A user who overwrites an image only affects the own job, which fails
and costs nothing.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from clipmint import aws, clock
from clipmint.errors import ImageInvalid, ImageNotUploaded, TemporarilyUnavailable, try_again
from clipmint.media import image_file, storage, upload_urls
from clipmint.media.files import ImageFacts, ImageFileInvalid
from clipmint.settings import ImagesSettings
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.telemetry import logger
from clipmint.values import frozen

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
"""Maximum size of one image, enforced by S3. A provider may accept less (Runway 16 MB): then the
job ends as INPUT_UNREADABLE or INVALID_INPUT, and costs nothing."""

FORM_SECONDS = 15 * 60
"""Lifetime of an upload form: enough for a large image over a slow connection, and a retry."""

CHECK_SECONDS = 8.0
"""How long `require_usable` may start reads and decodings. One that was started takes another
second or two, or until S3 times out. The function's own time-out is well after that."""

READERS = 4
"""Images read in parallel, at most 20 MB each. They are decoded one after the other."""

_PREFIX = "IMAGE#"

# CloudFront and browsers revalidate the image, so an overwritten image is visible immediately.
_CACHE_CONTROL = "no-cache"

# Decoding one image may take half a gigabyte of memory.
_decoding = threading.Lock()


class ImageItem(Model):
    """An uploaded image that was checked, at ``sk = IMAGE#…``."""

    class Meta(TableMeta):
        table_name = FromEnvironment("PROJECTS_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    key = UnicodeAttribute()
    content_type = UnicodeAttribute()
    width = NumberAttribute()
    height = NumberAttribute()
    size_bytes = NumberAttribute()
    etag = UnicodeAttribute()
    checked_at = UnicodeAttribute()


@frozen
class Upload:
    """A form for uploading one image, and the public URL of that image.

    The client posts ``fields`` first, in any order, and the file last, as ``file``.
    """

    image_url: str
    url: str
    fields: dict[str, str]
    expires_at: datetime


@frozen
class _Wanted:
    """An uploaded image that a request uses, and the URL in the request."""

    image_id: str
    key: str
    url: str

    @property
    def sk(self) -> str:
        return _PREFIX + self.image_id


def public_url(key: str) -> str:
    """The public URL of the image with this key in the images bucket."""
    return f"{ImagesSettings.read().images_base_url}/{key}"


def location_of(url: str) -> tuple[str, str] | None:
    """Bucket and key of an upload of ours; None for another URL."""
    key = upload_urls.upload_key_in(url)
    return None if key is None else (ImagesSettings.read().images_bucket, key)


def new_upload(user_id: str, project_id: str, content_type: str) -> Upload:
    """A form for one image of a project. ``content_type`` is one of `storage.IMAGE_EXTENSIONS`.

    The form's policy fixes the key, the content type and the range of sizes. S3 rejects any other
    upload: 400 ``EntityTooLarge`` or ``EntityTooSmall``, else 403 ``AccessDenied``, also for an
    expired form.
    """
    key = storage.upload_key(user_id, project_id, str(uuid.uuid4()), content_type)
    fixed = {"Content-Type": content_type, "Cache-Control": _CACHE_CONTROL}
    expires_at = clock.now() + timedelta(seconds=FORM_SECONDS)
    form = aws.s3_for_uploads().generate_presigned_post(
        ImagesSettings.read().images_bucket,
        key,
        Fields=dict(fixed),
        Conditions=[
            *({name: value} for name, value in fixed.items()),
            ["content-length-range", 1, MAX_UPLOAD_BYTES],
        ],
        ExpiresIn=FORM_SECONDS,
    )
    return Upload(public_url(key), form["url"], form["fields"], expires_at)


def check(data: bytes) -> ImageFacts:
    """Check an image that a request contains. Raises `ImageInvalid`."""
    if len(data) > MAX_UPLOAD_BYTES:
        raise ImageInvalid("The image cannot be used", details="The image is larger than 20 MB")
    try:
        with _decoding:
            return image_file.check(data)
    except ImageFileInvalid as invalid:
        raise ImageInvalid("The image cannot be used", details=f"{invalid}") from None


def store(user_id: str, key: str, data: bytes, facts: ImageFacts) -> None:
    """Store an image that was checked, and its check record. May be repeated.

    ``key`` is a key of `storage.upload_key`. Raises `TemporarilyUnavailable` if S3 failed.
    """
    try:
        stored = aws.s3_for_uploads().put_object(
            Bucket=ImagesSettings.read().images_bucket,
            Key=key,
            Body=data,
            ContentType=facts.content_type,
            CacheControl=_CACHE_CONTROL,
            ChecksumAlgorithm="SHA256",
        )
    except (BotoCoreError, ClientError):
        logger.exception("an image could not be stored", extra={"key": key})
        raise _retry_later("The image could not be stored") from None
    named = upload_urls.own_upload(user_id, key)
    if named is None:
        raise ValueError("not a key of this user's uploads")
    wanted = _Wanted(named.image_id, key, public_url(key))
    _record(user_id, wanted, facts, len(data), stored["ETag"])


def exist(user_id: str, project_id: str) -> bool:
    """Whether an image was uploaded for this project."""
    listed = aws.s3_for_uploads().list_objects_v2(
        Bucket=ImagesSettings.read().images_bucket,
        Prefix=storage.upload_prefix(user_id, project_id),
        MaxKeys=1,
    )
    return bool(listed.get("Contents"))


def remove_uploads(user_id: str, project_id: str) -> None:
    """Delete the uploaded images of a project, and their check records."""
    bucket = ImagesSettings.read().images_bucket
    pages = aws.s3_for_uploads().get_paginator("list_objects_v2")
    prefix = storage.upload_prefix(user_id, project_id)
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        keys = [found["Key"] for found in page.get("Contents", [])]
        # Delete the check record first. If we crash in between, the unchecked image is checked
        # again. In the other order, a record without an image would remain.
        for key in keys:
            image_id = key.removeprefix(prefix).partition(".")[0]
            ImageItem(user_id, _PREFIX + image_id).delete()
        storage.delete(aws.s3_for_uploads(), bucket, *keys)


def require_usable(user_id: str, urls: Iterable[str], *, seconds: float = CHECK_SECONDS) -> None:
    """Check that those of ``urls`` that are uploads of ours exist and are valid images.

    We do not check other URLs; the provider fetches them. For an image that was checked before, we
    only read its check record; all records are read in one batch.

    Parameters
    ----------
    seconds
        No further check is started after this time.

    Raises
    ------
    ImageNotUploaded
        The image does not exist, or belongs to another user.
    ImageInvalid
        The image is not one that providers accept, or not of the type it was uploaded as.
    TemporarilyUnavailable
        S3 failed, or the time is used up. The images that were checked until then have a record, so
        a retry needs to check fewer.
    """
    wanted = {one.sk: one for one in _wanted(user_id, urls)}
    if not wanted:
        return
    keys = [(user_id, sk) for sk in wanted]
    known = {item.sk for item in ImageItem.batch_get(keys) if item.key == wanted[item.sk].key}
    unknown = [one for sk, one in wanted.items() if sk not in known]
    if unknown:
        _check_all(user_id, unknown, time.monotonic() + seconds)


def _wanted(user_id: str, urls: Iterable[str]) -> Iterator[_Wanted]:
    for url in urls:
        key = upload_urls.upload_key_in(url)
        if key is None:
            continue
        named = upload_urls.own_upload(user_id, key)
        if named is None:
            raise _not_uploaded(url)
        yield _Wanted(named.image_id, key, url)


def _check_all(user_id: str, wanted: list[_Wanted], deadline: float) -> None:
    """Check a few images in parallel. Each valid one gets its record immediately; the first error
    ends the loop."""
    with ThreadPoolExecutor(min(READERS, len(wanted))) as readers:
        checks = [readers.submit(_check, user_id, one, deadline) for one in wanted]
        try:
            for check in checks:
                check.result()
        except BaseException:
            readers.shutdown(wait=False, cancel_futures=True)
            raise


def _check(user_id: str, wanted: _Wanted, deadline: float) -> None:
    _require_time(deadline)
    try:
        found = _read(wanted)
        if found is None:
            raise _not_uploaded(wanted.url)
        data, etag, content_type = found
        with _decoding:
            _require_time(deadline)  # waiting for the lock may have taken long
            image = image_file.check(data)
    except ImageFileInvalid as invalid:
        raise _invalid(wanted.url, f"{invalid}") from None
    except (BotoCoreError, ClientError):
        logger.exception("an uploaded image could not be read", extra={"key": wanted.key})
        raise _retry_later("An image could not be read") from None
    if image.content_type != content_type:
        # S3 serves it with the type it was uploaded as, and some providers rely on that type.
        raise _invalid(
            wanted.url,
            f"The image was uploaded as {content_type}, but it is {image.content_type}",
        )
    _record(user_id, wanted, image, len(data), etag)


def _record(user_id: str, wanted: _Wanted, image: ImageFacts, size_bytes: int, etag: str) -> None:
    ImageItem(
        user_id,
        wanted.sk,
        key=wanted.key,
        content_type=image.content_type,
        width=image.width,
        height=image.height,
        size_bytes=size_bytes,
        etag=etag,
        checked_at=clock.iso(clock.now()),
    ).save()


def _require_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _retry_later("Not all images could be checked in time")


def _read(wanted: _Wanted) -> tuple[bytes, str, str] | None:
    """The bytes, ETag and content type of an upload; None if it does not exist."""
    s3, bucket = aws.s3_for_uploads(), ImagesSettings.read().images_bucket
    # List first: without the right to list, S3 responds 403 and not 404 for a missing object.
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=wanted.key, MaxKeys=1)
    sizes: Mapping[str, int] = {one["Key"]: one["Size"] for one in listed.get("Contents", [])}
    if wanted.key not in sizes:
        return None
    if sizes[wanted.key] > MAX_UPLOAD_BYTES:
        raise ImageFileInvalid("The image is larger than 20 MB")
    response = s3.get_object(Bucket=bucket, Key=wanted.key)
    return response["Body"].read(), response["ETag"], response["ContentType"]


def _not_uploaded(url: str) -> ImageNotUploaded:
    return ImageNotUploaded("An image is not uploaded yet", details=url)


def _invalid(url: str, problem: str) -> ImageInvalid:
    return ImageInvalid("An uploaded image cannot be used", details=f"{url}: {problem}")


def _retry_later(message: str) -> TemporarilyUnavailable:
    return try_again(message, details="Nothing was charged; send the same request again")
