"""Signing URLs for, reading and removing the objects of a bucket."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError

from clipmint.aws import new_s3
from clipmint.media.storage import (
    delete,
    delete_all,
    job_prefix,
    open_range,
    presigned_url,
    video_key,
)
from clipmint.media.video_file import probe, thumbnail
from tests.support.mp4 import write_mp4

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024
KEY = video_key("alice", "job-1", "attempt-1")


def test_a_presigned_url_gives_the_object_and_no_other(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"clip", ContentType="video/mp4")
    url = presigned_url(s3, bucket, KEY)
    with httpx.Client(trust_env=False) as browser:
        answer = browser.get(url)
        assert (answer.status_code, answer.content) == (200, b"clip")
        assert answer.headers["content-type"] == "video/mp4"
        assert "content-disposition" not in answer.headers
        assert browser.get(url.replace("job-1", "job-2")).status_code == 403
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["3600"]


def test_a_presigned_url_names_the_file_for_a_browser(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"clip")
    url = presigned_url(s3, bucket, KEY, filename='Zoë "walks"\r\nX: y.mp4', expires_in=60)
    with httpx.Client(trust_env=False) as browser:
        assert browser.get(url).headers["content-disposition"] == (
            'attachment; filename="Zo_ _walks___X_ y.mp4"; '
            "filename*=UTF-8''Zo%C3%AB%20%22walks%22%0D%0AX%3A%20y.mp4"
        )


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_on_aws_urls_are_signed_for_the_bucket_in_its_own_region(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    client = new_s3()
    url = urlsplit(presigned_url(client, "owners-videos", KEY))
    client.close()
    assert (url.scheme, url.netloc) == ("https", f"owners-videos.s3.{region}.amazonaws.com")
    assert url.path == f"/{KEY}"
    assert parse_qs(url.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert f"/{region}/s3/" in parse_qs(url.query)["X-Amz-Credential"][0]


def test_a_repeated_removal_changes_nothing(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"clip")
    s3.put_object(Bucket=bucket, Key="other", Body=b"clip")
    for _ in range(2):
        delete(s3, bucket, KEY, "never-was")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [item["Key"] for item in listed] == ["other"]


def test_removing_all_of_a_job_leaves_every_other_alone(s3: S3Client, bucket: str) -> None:
    others = [video_key("alice", "job-10", "a"), video_key("alicia", "job-1", "a"), "job-1/x"]
    for key in (*others, *(video_key("alice", "job-1", f"attempt-{n}") for n in range(5))):
        s3.put_object(Bucket=bucket, Key=key, Body=b"clip")
    for _ in range(2):
        delete_all(s3, bucket, job_prefix("alice", "job-1"))
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert {item["Key"] for item in listed} == set(others)
    with pytest.raises(ValueError, match="slash"):
        delete_all(s3, bucket, job_prefix("alice", "job-1").rstrip("/"))


def test_an_object_reads_like_a_file(s3: S3Client, bucket: str) -> None:
    content = random.Random(7).randbytes(3 * MIB + 4321)
    s3.put_object(Bucket=bucket, Key=KEY, Body=content)
    expected = io.BytesIO(content)
    where = random.Random(8)
    with open_range(s3, bucket, KEY) as file:
        assert file.read() == content
        assert file.read(1) == b""
        for _ in range(200):
            whence = where.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
            low = {io.SEEK_SET: 0, io.SEEK_CUR: -expected.tell(), io.SEEK_END: -len(content)}
            offset = where.randint(low[whence], low[whence] + len(content) + 10)
            assert file.seek(offset, whence) == expected.seek(offset, whence)
            size = where.choice([0, 1, 1000, MIB, 2 * MIB])
            # A raw file may give less at a block's edge, and nothing only at the end.
            got = file.read(size)
            assert got == content[expected.tell() :][:size][: len(got)]
            assert got or size == 0 or expected.tell() >= len(content)
            expected.seek(len(got), io.SEEK_CUR)
            assert file.tell() == expected.tell()
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)


def test_an_empty_object_is_an_empty_file(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"")
    with open_range(s3, bucket, KEY) as file:
        assert (file.read(), file.seek(0, io.SEEK_END)) == (b"", 0)


def test_an_object_that_is_missing_or_replaced_meanwhile_is_an_error(
    s3: S3Client, bucket: str
) -> None:
    with pytest.raises(ClientError, match="404"):
        open_range(s3, bucket, KEY)
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"a" * 2 * MIB)
    with open_range(s3, bucket, KEY) as file:
        assert file.read(1) == b"a"
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"b" * 2 * MIB)
        file.seek(MIB)
        with pytest.raises(ClientError, match="PreconditionFailed"):
            file.read(1)


@pytest.mark.parametrize("movflags", ["", "faststart"])
def test_a_large_clip_is_probed_and_its_thumbnail_made_by_reading_little_of_it(
    tmp_path: Path, s3: S3Client, bucket: str, movflags: str
) -> None:
    clip = write_mp4(tmp_path / "a.mp4", seconds=3, movflags=movflags)
    # A box of zeros that players skip makes it large. It follows the samples, so their offsets stay
    # true: at the end, or before the index where that comes last.
    filler = (64 * MIB).to_bytes(4, "big") + b"free" + bytes(64 * MIB - 8)
    at = len(clip) if movflags else clip.rindex(b"moov") - 4
    padded = clip[:at] + filler + clip[at:]
    s3.put_object(Bucket=bucket, Key=KEY, Body=padded)
    read = 0

    def count(parsed: dict[str, Any], **_: object) -> None:
        nonlocal read
        read += parsed["ContentLength"]

    s3.meta.events.register("after-call.s3.GetObject", count)
    try:
        with open_range(s3, bucket, KEY) as file:
            facts = probe(file)
            jpeg = thumbnail(file)
    finally:
        s3.meta.events.unregister("after-call.s3.GetObject", count)
    assert (facts.duration_seconds, facts.frames) == (3.0, 72)
    assert jpeg.startswith(b"\xff\xd8\xff")
    assert 0 < read <= 4 * MIB
