"""Uploaded images: a form that allows one upload, and a check of the upload before its use."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ReadTimeoutError
from PIL import Image

from clipmint import clock
from clipmint.aws import s3_for_uploads
from clipmint.errors import ImageInvalid, ImageNotUploaded, TemporarilyUnavailable
from clipmint.media import image_file, storage, uploads
from clipmint.media.files import ImageFacts
from tests.support.clock import Clock
from tests.support.moto_aws import IMAGES_BUCKET, IMAGES_URL, Aws, hooked

PROJECT = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
ADA, EVE = "ada", "eve"


def encoded(form: str = "PNG", side: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(file, form)
    return file.getvalue()


def key_of(upload: uploads.Upload) -> str:
    return upload.fields["key"]


def uploaded(
    aws: Aws, data: bytes | None = None, content_type: str = "image/png", user_id: str = ADA
) -> str:
    """The URL of an image that was posted with a form."""
    upload = uploads.new_upload(user_id, PROJECT, content_type)
    put(aws, key_of(upload), encoded() if data is None else data, content_type)
    return upload.image_url


def put(aws: Aws, key: str, data: bytes, content_type: str = "image/png") -> None:
    aws.s3.put_object(Bucket=IMAGES_BUCKET, Key=key, Body=data, ContentType=content_type)


def notes(aws: Aws) -> list[dict[str, Any]]:
    return [item for item in aws.items("PROJECTS_TABLE") if item["sk"]["S"].startswith("IMAGE#")]


def policy_of(upload: uploads.Upload) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.b64decode(upload.fields["policy"]))
    return decoded


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The operations asked of S3, in order."""
    operations: list[str] = []

    def note(model: Any, **_: Any) -> None:
        operations.append(model.name)

    with hooked(s3_for_uploads(), {"before-call.s3": note}):
        yield operations


# ── The form ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("content_type", "extension"), sorted(storage.IMAGE_EXTENSIONS.items()))
def test_a_form_allows_one_key_one_type_and_twenty_megabytes(
    aws: Aws, content_type: str, extension: str
) -> None:
    upload = uploads.new_upload(ADA, PROJECT, content_type)
    key = key_of(upload)
    assert key.startswith(storage.upload_prefix(ADA, PROJECT))
    assert key.endswith(f".{extension}")
    assert upload.image_url == f"{IMAGES_URL}/{key}"
    conditions = policy_of(upload)["conditions"]
    exact = {name: one[name] for one in conditions if isinstance(one, dict) for name in one}
    assert exact["key"] == key
    assert exact["bucket"] == IMAGES_BUCKET
    assert exact["Content-Type"] == upload.fields["Content-Type"] == content_type
    assert [one for one in conditions if isinstance(one, list)] == [
        ["content-length-range", 1, 20 * 1024 * 1024]
    ]
    # Everything the form sends is fixed by its policy: S3 refuses a field that is not.
    assert upload.fields.keys() - {"policy", "x-amz-signature"} <= exact.keys()


def test_a_form_is_valid_for_15_minutes(aws: Aws) -> None:
    before = clock.now()
    upload = uploads.new_upload(ADA, PROJECT, "image/png")
    for expiry in (upload.expires_at, clock.from_iso(policy_of(upload)["expiration"])):
        assert 898 <= (expiry - before).total_seconds() <= 930


def test_a_form_is_posted_to_the_bucket_itself(aws: Aws) -> None:
    upload = uploads.new_upload(ADA, PROJECT, "image/png")
    assert httpx.URL(upload.url).host.startswith(f"{IMAGES_BUCKET}.s3.")
    assert httpx.URL(upload.url).scheme == "https"


def test_two_forms_never_name_the_same_image(aws: Aws) -> None:
    keys = {key_of(uploads.new_upload(ADA, PROJECT, "image/png")) for _ in range(20)}
    assert len(keys) == 20


def test_only_images_have_forms(aws: Aws) -> None:
    with pytest.raises(KeyError):
        uploads.new_upload(ADA, PROJECT, "image/svg+xml")


# ── Before the first use ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_valid_image_is_recorded(aws: Aws, form: str) -> None:
    content_type = f"image/{form.lower()}"
    url = uploaded(aws, encoded(form, 48), content_type)
    uploads.require_usable(ADA, [url])
    [note] = notes(aws)
    head = aws.s3.head_object(Bucket=IMAGES_BUCKET, Key=url.removeprefix(f"{IMAGES_URL}/"))
    assert note["user_id"]["S"] == ADA
    assert note["key"]["S"] == url.removeprefix(f"{IMAGES_URL}/")
    assert note["content_type"]["S"] == content_type
    assert (note["width"]["N"], note["height"]["N"]) == ("48", "48")
    assert note["size_bytes"]["N"] == str(head["ContentLength"])
    assert note["etag"]["S"] == head["ETag"]


def test_an_image_is_checked_once(aws: Aws, asked: list[str]) -> None:
    url = uploaded(aws)
    uploads.require_usable(ADA, [url, url])
    assert asked == ["ListObjectsV2", "GetObject"]
    uploads.require_usable(ADA, [url])
    assert len(asked) == 2


def test_an_image_from_another_host_is_accepted_unread(aws: Aws, asked: list[str]) -> None:
    others = [
        "https://example.com/uploads/a.png",
        "https://images.example.com.example.net/uploads/a.png",
        f"{IMAGES_URL}/generated_images/a.png",
        f"{IMAGES_URL}:8443/uploads/a.png",
        "https://[/uploads/a.png",
        "https://images.example.com:port/uploads/a.png",
    ]
    uploads.require_usable(ADA, others)
    uploads.require_usable(ADA, [])
    assert asked == []


@pytest.mark.parametrize(
    "respelled",
    [
        lambda url: url.replace("https://images", "HTTPS://IMAGES"),
        lambda url: url.replace("example.com/", "example.com:443/"),
        lambda url: url.replace("example.com/", "example.com./"),
        lambda url: url.replace("/uploads/", "/%75ploads/"),
        lambda url: url + "?v=2#top",
    ],
)
def test_an_upload_is_known_however_its_url_is_written(aws: Aws, respelled: Any) -> None:
    url = uploaded(aws, b"no picture")
    with pytest.raises(ImageInvalid):
        uploads.require_usable(ADA, [respelled(url)])


def test_an_image_that_was_never_uploaded_is_reported_as_missing(aws: Aws) -> None:
    sound = uploaded(aws)
    missing = uploads.new_upload(ADA, PROJECT, "image/png").image_url
    with pytest.raises(ImageNotUploaded) as refused:
        uploads.require_usable(ADA, [sound, missing])
    assert refused.value.details == missing


def test_another_users_upload_looks_like_an_unknown_one(aws: Aws) -> None:
    url = uploaded(aws)
    uploads.require_usable(ADA, [url])
    with pytest.raises(ImageNotUploaded):
        uploads.require_usable(EVE, [url])


@pytest.mark.parametrize(
    "path",
    [
        "uploads/",
        "uploads/a.png",
        f"uploads/{'0' * 64}/{PROJECT}/{PROJECT}.png",
        "uploads/../generated_images/a.png",
    ],
)
def test_an_impossible_upload_url_is_refused_without_a_call_of_s3(
    aws: Aws, asked: list[str], path: str
) -> None:
    with pytest.raises(ImageNotUploaded):
        uploads.require_usable(ADA, [f"{IMAGES_URL}/{path}"])
    assert asked == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>", "PNG, JPEG and WebP are accepted"),
        (encoded()[:-20], "damaged or incomplete"),
        (encoded(side=8), "at least 16"),
        (encoded("JPEG"), "uploaded as image/png, but it is image/jpeg"),
    ],
)
def test_what_is_not_an_image_is_refused_by_name_and_may_be_posted_again(
    aws: Aws, data: bytes, reason: str
) -> None:
    url = uploaded(aws, data)
    for _ in range(2):
        with pytest.raises(ImageInvalid) as refused:
            uploads.require_usable(ADA, [url])
        assert str(refused.value.details).startswith(f"{url}: ")
        assert reason in str(refused.value.details)
        assert notes(aws) == []
    put(aws, url.removeprefix(f"{IMAGES_URL}/"), encoded())
    uploads.require_usable(ADA, [url])
    assert len(notes(aws)) == 1


def test_more_than_twenty_megabytes_are_not_even_read(
    aws: Aws, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 100)
    url = uploaded(aws, encoded() + bytes(100))
    with pytest.raises(ImageInvalid, match="cannot be used"):
        uploads.require_usable(ADA, [url])
    assert asked == ["ListObjectsV2"]


def test_what_was_checked_in_time_is_not_checked_again(
    aws: Aws, hands: Clock, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time is up after three images; each attempt gets further, until none is left."""
    urls = [uploaded(aws) for _ in range(8)]

    def check(data: bytes) -> ImageFacts:
        hands.forward(seconds=2)
        return ImageFacts("image/png", 32, 32)

    monkeypatch.setattr(image_file, "check", check)
    monkeypatch.setattr(uploads, "READERS", 1)
    for checked in (3, 6):
        with pytest.raises(TemporarilyUnavailable) as later:
            uploads.require_usable(ADA, urls, seconds=5)
        assert later.value.headers == {"Retry-After": "1"}
        assert len(notes(aws)) == checked
    uploads.require_usable(ADA, urls, seconds=5)
    assert asked.count("GetObject") == 8


def test_an_image_whose_turn_comes_after_the_time_limit_is_not_decoded(
    aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check may take seconds, and the function's own time ends soon after."""
    both = threading.Barrier(2)
    decoded = []

    def read_together(**_: Any) -> None:
        both.wait(timeout=60)

    def check(data: bytes) -> ImageFacts:
        decoded.append(data)
        hands.forward(seconds=9)
        return ImageFacts("image/png", 32, 32)

    monkeypatch.setattr(image_file, "check", check)
    with (
        hooked(s3_for_uploads(), {"before-call.s3.GetObject": read_together}),
        pytest.raises(TemporarilyUnavailable),
    ):
        uploads.require_usable(ADA, [uploaded(aws), uploaded(aws)], seconds=8)
    assert (len(decoded), len(notes(aws))) == (1, 1)


def test_an_image_that_s3_fails_to_return_is_temporarily_unavailable(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = uploaded(aws)

    def silent(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url=IMAGES_URL)

    with (
        hooked(s3_for_uploads(), {"before-call.s3.GetObject": silent}),
        pytest.raises(TemporarilyUnavailable),
    ):
        uploads.require_usable(ADA, [url])
    uploads.require_usable(ADA, [url])


def test_images_are_decoded_one_at_a_time(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image may take half of a function's memory."""
    busy: list[bytes] = []
    most: list[int] = []

    def check(data: bytes) -> ImageFacts:
        busy.append(data)
        most.append(len(busy))
        time.sleep(0.01)
        busy.pop()
        return ImageFacts("image/png", 32, 32)

    monkeypatch.setattr(image_file, "check", check)
    uploads.require_usable(ADA, [uploaded(aws) for _ in range(6)])
    assert most == [1] * 6


def test_one_bad_image_does_not_undo_the_others(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "READERS", 1)
    sound = [uploaded(aws) for _ in range(3)]
    with pytest.raises(ImageInvalid):
        uploads.require_usable(ADA, [*sound, uploaded(aws, b"text")])
    assert len(notes(aws)) == 3


# ── The end of a project ─────────────────────────────────────────────────────────────────────────


def test_a_project_is_removed_with_its_images_and_their_records(aws: Aws) -> None:
    gone = [uploaded(aws), uploaded(aws)]
    kept = uploads.new_upload(ADA, "another", "image/png")
    put(aws, key_of(kept), encoded())
    uploads.require_usable(ADA, [*gone[:1]])
    uploads.remove_uploads(ADA, PROJECT)
    uploads.remove_uploads(ADA, PROJECT)
    assert notes(aws) == []
    for url in gone:
        with pytest.raises(ImageNotUploaded):
            uploads.require_usable(ADA, [url])
    assert aws.s3.head_object(Bucket=IMAGES_BUCKET, Key=key_of(kept))["ContentLength"]
