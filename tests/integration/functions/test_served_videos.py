"""How finished videos are served: from the bucket or a distribution, for how long, and where."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from clipmint import aws as our_clients
from clipmint import clock
from clipmint.credits import holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job
from clipmint.jobs.outcomes import Succeeded
from clipmint.jobs.verdict import verdict
from clipmint.media import signed_urls
from functions.projects.app import handler as projects
from functions.status.app import handler as status
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller, Context, answer_of, event
from tests.support.jobs import TASK_ID, begin_sending, open_job
from tests.support.moto_aws import BUCKET, Aws
from tests.support.scripted_provider import HANDLE

BASE = "https://d111111abcdef8.cloudfront.net"
KEY_ID = "K2JCJMDEHXQW5F"
VIDEO, THUMBNAIL = "videos/v 1.mp4", "videos/t.jpg"


@pytest.fixture
def call(aws: Aws, hands: Clock) -> Caller:
    return Caller(status)


def completed() -> Job:
    job = open_job()
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    job_store.record_outcome(
        job.job_id, "video", Succeeded("https://v3.fal.media/files/b/video.mp4")
    )
    asset = Asset(BUCKET, VIDEO, "video/mp4", 9, "0" * 64, 1_280, 720, 8.0, THUMBNAIL)
    job_store.record_asset(job.job_id, "video", asset)
    return holds.settle(job.job_id, lambda found: verdict(found, None))


# ── Through a distribution ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def secret(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The ARN of a secret without a value, and a distribution."""
    arn: str = our_clients.secrets().create_secret(Name="VideosSigningKey")["ARN"]
    monkeypatch.setenv("VIDEOS_BASE_URL", BASE)
    monkeypatch.setenv("VIDEOS_SIGNING_KEY_ARN", arn)
    signed_urls.forget()
    yield arn
    signed_urls.forget()


def write(secret: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    our_clients.secrets().put_secret_value(SecretId=secret, SecretString=text)


def decoded(text: str) -> bytes:
    """CloudFront's own form of base64 in URLs."""
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")))


@pytest.mark.parametrize("name", ["video_url", "thumbnail_url"])
def test_a_url_of_the_distribution_is_signed_for_an_hour(
    call: Caller, secret: str, private_key: rsa.RSAPrivateKey, name: str
) -> None:
    write(secret, {"key_id": KEY_ID, "private_key": pem(private_key)})
    answer = call("GET", f"/v1/videos/{completed().job_id}")
    url = urlsplit(answer.body[name])
    plain = f"{BASE}/{ {'video_url': 'videos/v%201.mp4', 'thumbnail_url': THUMBNAIL}[name] }"
    assert f"{url.scheme}://{url.netloc}{url.path}" == plain
    query = {key: value for key, [value] in parse_qs(url.query).items()}
    expires = clock.epoch(clock.now()) + 3_600
    assert (query["Key-Pair-Id"], query["Expires"]) == (KEY_ID, str(expires))
    # CloudFront makes the same policy from the URL and the time, and checks the signature.
    condition = {"DateLessThan": {"AWS:EpochTime": expires}}
    policy = {"Statement": [{"Resource": plain, "Condition": condition}]}
    private_key.public_key().verify(
        decoded(query["Signature"]),
        json.dumps(policy, separators=(",", ":")).encode(),
        padding.PKCS1v15(),
        hashes.SHA1(),  # noqa: S303 - CloudFront's choice
    )


def test_a_new_key_is_used_within_five_minutes(
    call: Caller, hands: Clock, secret: str, private_key: rsa.RSAPrivateKey
) -> None:
    write(secret, {"key_id": KEY_ID, "private_key": pem(private_key)})
    path = f"/v1/videos/{completed().job_id}"
    assert f"Key-Pair-Id={KEY_ID}" in call("GET", path).body["video_url"]
    write(secret, {"key_id": "K0NEXT", "private_key": pem(private_key)})
    hands.forward(minutes=5)
    assert "Key-Pair-Id=K0NEXT" in call("GET", path).body["video_url"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "not json",
        "[]",
        {"key_id": KEY_ID},
        {"key_id": KEY_ID, "private_key": "not a key"},
        {"key_id": KEY_ID, "private_key": pem(ec.generate_private_key(ec.SECP256R1()))},
    ],
)
def test_without_a_usable_key_videos_are_served_from_the_bucket(
    call: Caller, secret: str, value: object
) -> None:
    if value is not None:
        write(secret, value)
    answer = call("GET", f"/v1/videos/{completed().job_id}")
    assert answer.status == 200
    assert urlsplit(answer.body["video_url"]).netloc.startswith(BUCKET)
    assert "X-Amz-Signature" in answer.body["video_url"]


def test_a_list_reads_the_key_once(
    call: Caller, secret: str, private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(secret, {"key_id": KEY_ID, "private_key": pem(private_key)})
    for _ in range(3):
        completed()
    reads: list[Any] = []
    client = our_clients.secrets()
    client.meta.events.register(
        "before-call.secrets-manager.GetSecretValue", lambda **_: reads.append(1)
    )
    answer = call("GET", "/v1/videos")
    assert len(answer.body["videos"]) == 3
    assert len(reads) == 1


# ── For how long ─────────────────────────────────────────────────────────────────────────────────


def test_videos_are_kept_by_default(call: Caller, hands: Clock) -> None:
    path = f"/v1/videos/{completed().job_id}"
    hands.forward(days=4_000)
    video = call("GET", path).body
    assert video["video_expires_at"] is None
    assert video["video_url"]


def test_a_video_is_gone_at_the_date_that_was_shown(
    call: Caller, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEO_RETENTION_DAYS", "7")
    job = completed()
    path = f"/v1/videos/{job.job_id}"
    shown = call("GET", path).body["video_expires_at"]
    assert clock.from_iso(shown) - job.created_at == timedelta(days=7)
    hands.move_to(clock.from_iso(shown) - timedelta(seconds=1))
    assert call("GET", path).body["video_url"]
    hands.forward(seconds=1)
    gone = call("GET", path).body
    assert (gone["status"], gone["video_url"], gone["thumbnail_url"]) == ("completed", None, None)


def test_a_running_job_has_no_date(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_RETENTION_DAYS", "7")
    assert call("GET", f"/v1/videos/{open_job().job_id}").body["video_expires_at"] is None


# ── At which path ────────────────────────────────────────────────────────────────────────────────


def below(base: str, handler: Any, method: str, path: str, **parts: Any) -> Answer:
    """A call through a domain that serves the API below a path, which stays in rawPath."""
    call = event(method, path, user="user-1", **parts)
    call["rawPath"] = call["requestContext"]["http"]["path"] = f"{base}{path}"
    return answer_of(handler(call, Context()))


def test_a_base_path_is_no_part_of_the_route(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    job = completed()
    monkeypatch.setenv("API_BASE_PATH", "clips")
    path = f"/v1/videos/{job.job_id}"
    for base in ("/clips", ""):
        assert below(base, status, "GET", path).body["job_id"] == job.job_id
    assert below("/other", status, "GET", path).status == 404


@pytest.mark.parametrize("base", ["/clips", ""])
def test_a_location_is_below_the_path_of_the_request(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("API_BASE_PATH", "clips")
    answer = below(base, projects, "POST", "/v1/projects", body={})
    assert answer.status == 201
    assert answer.headers["location"] == f"{base}/v1/projects/{answer.body['project_id']}"


def test_without_a_base_path_nothing_is_removed(aws: Aws) -> None:
    assert below("/clips", status, "GET", "/v1/credits").status == 404
