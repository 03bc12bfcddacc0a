"""A bucket on the emulator, and a provider's file server with configurable faults."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest

from clipmint.aws import new_s3
from clipmint.media.pinned_requests import new_client
from local.emulator.settings import Settings
from tests.support.origin import Origin

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[3]
EMULATOR_PYTHON = ROOT / ".envs" / "emulator" / "bin" / "python"
BUCKET = "videos-under-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator's URL. It ends when its standard input does, so also when this run crashes."""
    settings = Settings(
        port=free_port(),
        api_port=free_port(),
        cdn_port=free_port(),
        state=str(tmp_path_factory.mktemp("emulator")),
        handler_python=str(EMULATOR_PYTHON),
    )
    with subprocess.Popen(
        [EMULATOR_PYTHON, "-m", "local.emulator", "--stock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(settings.to_json() + "\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == "ready"
        yield settings.endpoint
        process.stdin.close()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def aws(endpoint: str) -> Iterator[None]:
    """The environment a function finds itself in. Other modules of the process must not find it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # Another module's session, in the same process, has read other credentials.
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield


@pytest.fixture(scope="module")
def s3(aws: None) -> Iterator[S3Client]:
    client = new_s3()
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture
def bucket(s3: S3Client) -> Iterator[str]:
    """An empty bucket, and proof that no upload was left half done in it."""
    yield BUCKET
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with new_client() as client:
        yield client
