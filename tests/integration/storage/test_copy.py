"""A file is copied from a provider's server, correct or faulty, into the owner's bucket."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clipmint.aws import new_s3
from clipmint.media.download import READ_TIMEOUT_SECONDS
from clipmint.media.files import (
    MediaInvalid,
    SourceExpired,
    SourceNotAllowed,
    SourceUnavailable,
    StoredObject,
)
from clipmint.media.pinned_requests import new_client
from clipmint.media.transfer import PART_BYTES, copy_from_url
from tests.support import origin as serve
from tests.support.origin import Origin

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "videos/u-alice/job/video.mp4"
Copy = Callable[..., StoredObject]


def mp4_like(size: int) -> bytes:
    """Begins like an MP4, and no two parts of it are alike."""
    return b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + random.Random(size).randbytes(
        size - 24
    )


SMALL = mp4_like(300_000)
LARGE = mp4_like(4 * PART_BYTES + 12_345)


@pytest.fixture
def copy(bucket: str, origin: Origin, http: httpx.Client, s3: S3Client) -> Copy:
    def run(path: str, **changes: Any) -> StoredObject:
        settings: dict[str, Any] = {
            "allowed_hosts": [origin.host],
            "bucket": bucket,
            "key": KEY,
            "http": http,
            "s3": s3,
            "deadline_seconds": 30,
        }
        return copy_from_url(origin.url(path), **{**settings, **changes})

    return run


@pytest.fixture
def nothing_stored(s3: S3Client, bucket: str) -> Iterator[None]:
    yield
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def digest_of(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


@pytest.mark.parametrize("size", [24, 300_000, PART_BYTES])
def test_a_file_of_one_part_arrives_with_its_type_length_and_checksum(
    copy: Copy, origin: Origin, s3: S3Client, bucket: str, size: int
) -> None:
    body = mp4_like(size)
    origin.replies["/a"] = serve.whole(body)
    stored = copy("/a")
    head = s3.head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert (head["ContentType"], head["ContentLength"]) == ("video/mp4", size)
    assert head["ChecksumSHA256"] == base64.b64encode(digest_of(body)).decode()
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == body
    assert stored == StoredObject(
        bucket=bucket,
        key=KEY,
        size_bytes=size,
        sha256=digest_of(body).hex(),
        etag=head["ETag"],
        checksum=head["ChecksumSHA256"],
        content_type="video/mp4",
    )


@pytest.mark.parametrize("size", [PART_BYTES + 1, 2 * PART_BYTES, len(LARGE), 5 * PART_BYTES + 7])
def test_a_file_of_several_parts_arrives_with_its_type_length_and_checksum(
    copy: Copy, origin: Origin, s3: S3Client, bucket: str, size: int
) -> None:
    body = mp4_like(size)
    origin.replies["/a"] = serve.whole(body)
    stored = copy("/a", content_type="video/quicktime")
    head = s3.head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert (head["ContentType"], head["ContentLength"]) == ("video/quicktime", size)
    parts = [body[start : start + PART_BYTES] for start in range(0, size, PART_BYTES)]
    of_parts = digest_of(b"".join(map(digest_of, parts)))
    assert head["ChecksumSHA256"] == f"{base64.b64encode(of_parts).decode()}-{len(parts)}"
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == body
    assert (stored.sha256, stored.size_bytes) == (digest_of(body).hex(), size)
    assert (stored.etag, stored.checksum) == (head["ETag"], head["ChecksumSHA256"])


@pytest.mark.parametrize("reply", [serve.chunked, serve.until_closed])
def test_a_file_of_undeclared_length_arrives_whole(
    copy: Copy, origin: Origin, reply: Callable[[bytes], serve.Reply]
) -> None:
    origin.replies["/a"] = reply(LARGE)
    assert copy("/a").sha256 == digest_of(LARGE).hex()


def test_a_second_copy_replaces_the_first(
    copy: Copy, origin: Origin, s3: S3Client, bucket: str
) -> None:
    origin.replies.update({"/a": serve.whole(LARGE), "/b": serve.whole(SMALL)})
    copy("/a")
    copy("/b")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(item["Key"], item["Size"]) for item in listed] == [(KEY, len(SMALL))]


def test_the_source_gets_no_credentials_and_no_other_headers(copy: Copy, origin: Origin) -> None:
    origin.replies["/a"] = serve.redirect("/b")
    origin.replies["/b"] = serve.whole(SMALL)
    with httpx.Client(
        trust_env=False,
        auth=("user", "secret"),
        headers={"Authorization": "Key secret", "X-Api-Key": "secret"},
        cookies={"session": "secret"},
    ) as careless:
        copy("/a", http=careless)
    assert [path for path, _ in origin.seen] == ["/a", "/b"]
    for _, headers in origin.seen:
        assert set(headers) == {"Host", "Accept", "Accept-Encoding", "Connection", "User-Agent"}
        assert (headers["Host"], headers["Accept-Encoding"]) == (origin.host, "identity")
        assert "secret" not in str(headers)


def test_a_proxy_in_the_environment_is_not_used(
    copy: Copy, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    origin.replies["/a"] = serve.whole(SMALL)
    with new_client() as http:
        assert copy("/a", http=http).size_bytes == len(SMALL)
    with httpx.Client() as trusting, pytest.raises(ValueError, match="environment"):
        copy("/a", http=trusting)


def test_three_redirects_are_followed_and_a_fourth_is_not(copy: Copy, origin: Origin) -> None:
    for hop in range(1, 5):
        origin.replies[f"/{hop}"] = serve.redirect(
            f"/{hop - 1}", code=(301, 302, 307, 308)[hop - 1]
        )
    origin.replies["/0"] = serve.whole(SMALL)
    assert copy("/3").size_bytes == len(SMALL)
    with pytest.raises(SourceUnavailable, match="redirects"):
        copy("/4")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://evil.example/a.mp4",
        "//evil.example/a.mp4",
        "file:///etc/passwd",
        "http://localhost:{other}/b",
        "http://127.0.0.1:{other}/b",
        "http://x@{host}/b",
    ],
)
def test_a_redirect_off_the_list_is_not_followed(copy: Copy, origin: Origin, location: str) -> None:
    with Origin() as other:
        other.replies["/b"] = serve.whole(SMALL)
        target = location.format(other=other.server_port, host=origin.host)
        origin.replies["/a"] = serve.redirect(target)
        origin.replies["/b"] = serve.whole(SMALL)
        with pytest.raises(SourceNotAllowed):
            copy("/a")
        assert other.seen == []
    assert [path for path, _ in origin.seen] == ["/a"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("location", ["", "https://[::1/b", "http://h:port/b"])
def test_an_invalid_redirect_can_be_retried(copy: Copy, origin: Origin, location: str) -> None:
    origin.replies["/a"] = serve.redirect(location)
    with pytest.raises(SourceUnavailable):
        copy("/a")


@pytest.mark.usefixtures("nothing_stored")
def test_a_listed_name_that_resolves_inside_is_never_connected_to(
    copy: Copy, origin: Origin, bucket: str, http: httpx.Client, s3: S3Client
) -> None:
    with pytest.raises(SourceNotAllowed, match="not public"):
        copy_from_url(
            "https://v3.fal.media/a",
            allowed_hosts=[".fal.media"],
            bucket=bucket,
            key=KEY,
            http=http,
            s3=s3,
            resolve=lambda _host, _port: ["127.0.0.1"],
        )


def test_a_name_is_resolved_once_so_its_address_cannot_change(
    copy: Copy, origin: Origin, bucket: str, http: httpx.Client, s3: S3Client
) -> None:
    answers = iter([["127.0.0.1"]])  # asked again, it would run out
    origin.replies["/a"] = serve.whole(SMALL)
    stored = copy_from_url(
        f"http://localhost:{origin.server_port}/a",
        allowed_hosts=[f"localhost:{origin.server_port}"],
        bucket=bucket,
        key=KEY,
        http=http,
        s3=s3,
        resolve=lambda _host, _port: next(answers),
    )
    assert stored.size_bytes == len(SMALL)
    assert next(answers, None) is None


def test_an_unreachable_address_of_a_name_is_skipped(
    origin: Origin, bucket: str, http: httpx.Client, s3: S3Client
) -> None:
    origin.replies["/a"] = serve.whole(SMALL)
    stored = copy_from_url(
        f"http://localhost:{origin.server_port}/a",
        allowed_hosts=[f"localhost:{origin.server_port}"],
        bucket=bucket,
        key=KEY,
        http=http,
        s3=s3,
        resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"],
    )
    assert stored.size_bytes == len(SMALL)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451])
def test_a_url_the_source_refuses_asks_for_a_fresh_one(
    copy: Copy, origin: Origin, code: int
) -> None:
    origin.replies["/a"] = serve.status(code)
    with pytest.raises(SourceExpired, match=str(code)):
        copy("/a")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("code", [204, 206, 304, 408, 425, 429, 500, 502, 503, 504])
def test_a_failing_source_is_retried(copy: Copy, origin: Origin, code: int) -> None:
    origin.replies["/a"] = serve.status(code)
    with pytest.raises(SourceUnavailable):
        copy("/a")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["one-part", "many-parts"])
@pytest.mark.parametrize("fault", [serve.short, serve.reset])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.999])
def test_a_truncated_file_can_be_retried(
    copy: Copy,
    origin: Origin,
    body: bytes,
    fault: Callable[[bytes, int], serve.Reply],
    kept: float,
) -> None:
    sent = kept if isinstance(kept, int) else int(len(body) * kept)
    origin.replies["/a"] = fault(body, sent)
    with pytest.raises(SourceUnavailable):
        copy("/a")


@pytest.mark.usefixtures("nothing_stored")
def test_an_unreachable_source_can_be_retried(
    bucket: str, http: httpx.Client, s3: S3Client
) -> None:
    with Origin() as gone:
        host = gone.host
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        copy_from_url(
            f"http://{host}/a", allowed_hosts=[host], bucket=bucket, key=KEY, http=http, s3=s3
        )


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_compressed_response_that_was_not_requested_is_not_stored(
    copy: Copy, origin: Origin, encoding: str
) -> None:
    origin.replies["/a"] = serve.encoded(gzip.compress(SMALL), encoding)
    with pytest.raises(SourceUnavailable, match=encoding):
        copy("/a")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "body", [b"", b"<html>" * 1000, b"\x00\x00", LARGE[1:]], ids=["empty", "html", "tiny", "off"]
)
def test_a_file_of_another_kind_is_not_stored(copy: Copy, origin: Origin, body: bytes) -> None:
    origin.replies["/a"] = serve.whole(body)
    with pytest.raises(MediaInvalid):
        copy("/a")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("reply", [serve.whole, serve.chunked])
def test_a_file_larger_than_allowed_is_not_stored(
    copy: Copy, origin: Origin, reply: Callable[[bytes], serve.Reply]
) -> None:
    origin.replies["/a"] = reply(LARGE)
    with pytest.raises(MediaInvalid, match=f"{len(LARGE) - 1}"):
        copy("/a", max_bytes=len(LARGE) - 1)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "reply",
    [
        serve.dripping(SMALL, 1000),
        serve.dripping(SMALL, 0),
        serve.dripping(SMALL, 1000, declared=False),
        serve.dripping(LARGE, PART_BYTES + 100_000),
        serve.dripping_headers,
        serve.silent,
    ],
    ids=["body", "first-bytes", "undeclared", "second-part", "headers", "silence"],
)
def test_a_copy_from_a_slow_source_ends_at_the_deadline(
    copy: Copy, origin: Origin, reply: serve.Reply
) -> None:
    origin.replies["/a"] = reply
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"within 0\.7 s"):
        copy("/a", deadline_seconds=0.7)
    # No later than any other time-out would end it, however busy this machine is.
    assert 0.6 < time.monotonic() - started < READ_TIMEOUT_SECONDS - 5


@pytest.mark.usefixtures("nothing_stored", "aws")
@pytest.mark.parametrize(
    "operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
)
def test_a_bucket_error_is_raised_unchanged_and_leaves_nothing(
    copy: Copy, origin: Origin, operation: str
) -> None:
    calls = 0

    def refuse(**_: object) -> None:
        nonlocal calls
        calls += 1
        if operation != "UploadPart" or calls == 3:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, operation)

    failing = new_s3()
    failing.meta.events.register(f"before-call.s3.{operation}", refuse)
    origin.replies["/a"] = serve.whole(LARGE)
    with pytest.raises(ClientError, match="SlowDown"):
        copy("/a", s3=failing)
    failing.close()


@pytest.mark.usefixtures("nothing_stored", "aws")
def test_a_bucket_too_slow_for_the_deadline_ends_the_copy_too(copy: Copy, origin: Origin) -> None:
    slow = new_s3()
    slow.meta.events.register("before-call.s3.UploadPart", lambda **_: time.sleep(1.5))
    origin.replies["/a"] = serve.whole(LARGE)
    with pytest.raises(SourceUnavailable, match=r"the copy did not finish|nothing complete within"):
        copy("/a", s3=slow, deadline_seconds=0.7)
    slow.close()


def test_a_missing_bucket_is_reported(copy: Copy, origin: Origin) -> None:
    origin.replies["/a"] = serve.whole(SMALL)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        copy("/a", bucket="no-such-bucket")


def test_no_thread_outlives_a_copy(copy: Copy, origin: Origin) -> None:
    origin.replies.update({"/a": serve.whole(LARGE), "/b": serve.reset(LARGE, PART_BYTES + 9)})
    copy("/a")
    with pytest.raises(SourceUnavailable):
        copy("/b")
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("part", "Timer", "Thread-T"))]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, and not for 127.0.0.1; key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_over_tls_the_name_is_proven_though_the_address_is_connected_to(
    certificate: Path, bucket: str, s3: S3Client
) -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Origin(tls=ours) as origin, new_client(verify=trusting) as http:
        origin.replies["/a"] = serve.whole(LARGE)
        origin.replies["/slow"] = serve.dripping(SMALL, 1000)

        def copy(host: str, path: str, seconds: float = 30) -> StoredObject:
            return copy_from_url(
                f"https://{host}:{origin.server_port}{path}",
                allowed_hosts=[f"{host}:{origin.server_port}"],
                bucket=bucket,
                key=KEY,
                http=http,
                s3=s3,
                deadline_seconds=seconds,
                resolve=lambda _host, _port: ["127.0.0.1"],
            )

        assert copy("localhost", "/a").sha256 == digest_of(LARGE).hex()
        assert [headers["Host"] for _, headers in origin.seen] == [
            f"localhost:{origin.server_port}"
        ]
        with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            copy("127.0.0.1", "/a")
        with pytest.raises(SourceUnavailable, match=r"within 0\.7 s"):
            copy("localhost", "/slow", seconds=0.7)
