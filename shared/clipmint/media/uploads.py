"""Pictures that anyone may read: where they are, how users hand them in, whether they are sound.

A user gets a presigned form and posts the picture to the bucket themselves; S3 holds them to the
form's type and size, and nobody looks at the bytes. So before a job may use an uploaded picture it
is read and decoded, once: what is sound is noted down beside the user's projects.

The form works as often as its holder likes for as long as it lives, so what was found sound may be
written over within that quarter of an hour. Nothing is gained by looking again: between any look
and the moment the provider fetches the picture lie seconds at best. Whoever does that spoils their
own job, which fails and costs nothing.
"""

from __future__ import annotations

import functools
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import clock
from clipmint.errors import ImageInvalid, ImageNotUploaded, TemporarilyUnavailable
from clipmint.media import image_file, storage
from clipmint.media.files import PictureInvalid
from clipmint.settings import ImagesSettings
from clipmint.tables import ImageItem
from clipmint.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
"""Of one picture; S3 itself refuses more. A provider may take less (Runway 16 MB): the job then
ends as INPUT_UNREADABLE or INVALID_INPUT, and costs nothing."""

FORM_SECONDS = 15 * 60
"""How long a form for an upload is good: a large picture over a slow line, and a second try."""

CHECK_SECONDS = 8.0
"""How long `require_usable` goes on starting reads and decodings. One that has begun takes another
second or two, or as long as S3 keeps us waiting; the function's own time ends well after that."""

_READERS = 4  # 20 MB each at worst; decoding takes turns
_PREFIX = "IMAGE#"

# CloudFront and browsers ask whether it has changed: a picture posted again shows at once.
_CACHE_CONTROL = "no-cache"

# One picture may take half a gigabyte to decode.
_decoding = threading.Lock()


@dataclass(frozen=True, slots=True)
class Upload:
    """A form for one picture, and where the picture is read once it is there.

    Whoever posts it sends ``fields`` first, in any order, and the file last, as ``file``.
    """

    image_url: str
    url: str
    fields: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An uploaded picture that somebody wants to use, and the URL they named it by."""

    image_id: str
    key: str
    url: str

    @property
    def sk(self) -> str:
        return _PREFIX + self.image_id


def public_url(key: str) -> str:
    """Where anyone reads the picture at a key of the images bucket."""
    return f"{ImagesSettings.read().images_base_url}/{key}"


def new_upload(user_id: str, project_id: str, content_type: str) -> Upload:
    """A form for one picture of a project. ``content_type`` is one of `storage.PICTURES`.

    The form's policy names the one key, the one content type and the sizes, and S3 refuses what
    departs from it: 400 ``EntityTooLarge`` or ``EntityTooSmall``, 403 ``AccessDenied`` for
    anything else, an expired form included.
    """
    key = storage.upload_key(user_id, project_id, str(uuid.uuid4()), content_type)
    fixed = {"Content-Type": content_type, "Cache-Control": _CACHE_CONTROL}
    expires_at = clock.now() + timedelta(seconds=FORM_SECONDS)
    form = _s3().generate_presigned_post(
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


def remove_uploads(user_id: str, project_id: str) -> None:
    """Remove what was uploaded for a project, and what was noted down about it."""
    bucket = ImagesSettings.read().images_bucket
    pages = _s3().get_paginator("list_objects_v2")
    prefix = storage.upload_prefix(user_id, project_id)
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        keys = [found["Key"] for found in page.get("Contents", [])]
        # The note first: a picture without one is looked at again, a note without its picture
        # would vouch for nothing.
        for key in keys:
            image_id = key.removeprefix(prefix).partition(".")[0]
            ImageItem(user_id, _PREFIX + image_id).delete()
        storage.delete(_s3(), bucket, *keys)


def require_usable(user_id: str, urls: Iterable[str], *, seconds: float = CHECK_SECONDS) -> None:
    """Make sure that those of ``urls`` that are uploads of ours are there and are pictures.

    Any other URL is its provider's business. A picture that was found sound before costs one read
    of its note; all notes are read together.

    Parameters
    ----------
    seconds
        After this long no further check is begun.

    Raises
    ------
    ImageNotUploaded
        Nothing is there, or it is somebody else's.
    ImageInvalid
        What is there is no picture that providers take, or not of the type it was uploaded as.
    TemporarilyUnavailable
        S3 failed, or time ran out. What was found sound until then is noted down, so asking again
        gets further.
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
    base = ImagesSettings.read().images_base_url
    for url in urls:
        key = _key_below(base, url)
        if key is None or not key.startswith(storage.UPLOADS):
            continue
        named = _own_upload(user_id, key)
        if named is None:
            raise _not_uploaded(url)
        yield _Wanted(named, key, url)


def _key_below(base: str, url: str) -> str | None:
    """The key that a URL of ours reads, however the URL is written; None for anybody else's."""
    try:
        ours = _place_of(urlsplit(base)) == _place_of(urlsplit(url))
    except ValueError:  # no URL at all: a port that is no number, a bracket too many
        return None
    return unquote(urlsplit(url).path).removeprefix("/") if ours else None


def _place_of(parts: SplitResult) -> tuple[str, str, int | None]:
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or default


def _own_upload(user_id: str, key: str) -> str | None:
    """The id of a picture that this user may have uploaded under ``key``."""
    shape = re.fullmatch(r"uploads/[0-9a-f]{64}/([0-9a-f-]{36})/([0-9a-f-]{36})\.([a-z]+)", key)
    if shape is None:
        return None
    project_id, image_id, extension = shape.groups()
    types = {known: content_type for content_type, known in storage.PICTURES.items()}
    if extension not in types:
        return None
    expected = storage.upload_key(user_id, project_id, image_id, types[extension])
    return image_id if key == expected else None


def _check_all(user_id: str, wanted: list[_Wanted], deadline: float) -> None:
    """Check a few at a time, each sound one noted down at once; the first trouble ends it."""
    with ThreadPoolExecutor(min(_READERS, len(wanted))) as readers:
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
            _require_time(deadline)  # it may have waited for the others
            picture = image_file.check(data)
    except PictureInvalid as invalid:
        raise _invalid(wanted.url, f"{invalid}") from None
    except (BotoCoreError, ClientError):
        logger.exception("an uploaded picture could not be read", extra={"key": wanted.key})
        raise _ask_again("A picture could not be read") from None
    if picture.content_type != content_type:
        # It is served as what it was uploaded as, and some who fetch it go by that.
        raise _invalid(
            wanted.url,
            f"The picture was uploaded as {content_type}, but it is {picture.content_type}",
        )
    ImageItem(
        user_id,
        wanted.sk,
        key=wanted.key,
        content_type=picture.content_type,
        width=picture.width,
        height=picture.height,
        size_bytes=len(data),
        etag=etag,
        checked_at=clock.iso(clock.now()),
    ).save()


def _require_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _ask_again("Not all pictures could be checked in time")


def _read(wanted: _Wanted) -> tuple[bytes, str, str] | None:
    """The bytes, ETag and content type of an upload; None if nothing is there."""
    s3, bucket = _s3(), ImagesSettings.read().images_bucket
    # One that may be listed is a 404 when it is missing; one that may only be read is a 403.
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=wanted.key, MaxKeys=1)
    sizes: Mapping[str, int] = {one["Key"]: one["Size"] for one in listed.get("Contents", [])}
    if wanted.key not in sizes:
        return None
    if sizes[wanted.key] > MAX_UPLOAD_BYTES:
        raise PictureInvalid("The picture is larger than 20 MB")
    answer = s3.get_object(Bucket=bucket, Key=wanted.key)
    return answer["Body"].read(), answer["ETag"], answer["ContentType"]


def _not_uploaded(url: str) -> ImageNotUploaded:
    return ImageNotUploaded("A picture is not uploaded yet", details=url)


def _invalid(url: str, problem: str) -> ImageInvalid:
    return ImageInvalid("An uploaded picture cannot be used", details=f"{url}: {problem}")


def _ask_again(message: str) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        message,
        details="Nothing was charged; send the same request again",
        headers={"Retry-After": "1"},
    )


@functools.cache
def _s3() -> S3Client:
    # The user is waiting, and the function's own time is short.
    return storage.s3_client(read_seconds=3, attempts=2)
