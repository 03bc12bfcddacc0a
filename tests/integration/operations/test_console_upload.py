"""`operations.console` uploads the console, and a browser gets the old one or the new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from operations.console import publish, read_config, read_files, upload
from operations.installation import DeployedStack

BUCKET = "console"
POOL = {
    "ApiUrl": "https://api.example.com",
    "ConsoleUrl": "https://d1.cloudfront.net/",
    "ConsoleBucketName": BUCKET,
    "ConsoleIssuer": "https://cognito-idp.eu-west-1.amazonaws.com/pool",
    "ConsoleClientId": "client",
    "ConsoleOperatorClientId": "client-of-operators",
    "UserPoolId": "pool",
    "TokenUrl": "https://clipmint-1.auth.eu-west-1.amazoncognito.com/oauth2/token",
}
OWN = {
    "ApiUrl": "https://api.example.com",
    "ConsoleUrl": "https://d1.cloudfront.net/",
    "ConsoleBucketName": BUCKET,
    "ConsoleIssuer": "https://id.example.com",
    "ConsoleClientId": "console",
    "ConsoleAudience": "clipmint",
}


def stack_of(outputs: dict[str, str]) -> DeployedStack:
    return DeployedStack("clipmint-dev", "UPDATE_COMPLETE", "eu-west-1", "123456789012", outputs)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def keys(s3: Any) -> set[str]:
    return {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}


def few_files() -> dict[str, bytes]:
    """A console with three modules; an upload of all takes half a second in moto."""
    names = [name for name in read_files() if name.startswith("app/") and name != "app/main.js"]
    kept = {"index.html", "app/main.js", *names[:2]}
    return {name: body for name, body in read_files().items() if name in kept}


def test_the_page_names_the_folder_of_its_files(s3: Any) -> None:
    folder = upload(s3, BUCKET, read_files(), {"api_url": "https://api.example.com"})
    page = s3.get_object(Bucket=BUCKET, Key="index.html")
    text = page["Body"].read().decode()
    assert (page["ContentType"], page["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")
    assert f'src="{folder}app/main.js"' in text
    assert '"app/' not in text
    module = s3.head_object(Bucket=BUCKET, Key=f"{folder}app/main.js")
    assert module["ContentType"] == "text/javascript; charset=utf-8"
    assert "immutable" in module["CacheControl"]
    config = s3.get_object(Bucket=BUCKET, Key="config.json")
    assert config["Body"].read() == b'{"api_url": "https://api.example.com"}'
    assert config["CacheControl"] == "no-cache"


def test_the_files_before_stay_and_older_ones_are_deleted(s3: Any) -> None:
    files = few_files()
    folders = [upload(s3, BUCKET, files | {"app/main.js": text}, {}) for text in (b"1", b"2", b"3")]
    assert len(set(folders)) == 3
    assert {key.partition("/")[0] + "/" for key in keys(s3) if "/" in key} == set(folders[1:])
    # A repetition changes nothing.
    before = keys(s3)
    assert upload(s3, BUCKET, files | {"app/main.js": b"3"}, {}) == folders[2]
    assert {key for key in before if key.startswith(folders[2])} <= keys(s3)


def test_an_upload_that_stops_leaves_the_console_before(s3: Any) -> None:
    files = few_files()
    upload(s3, BUCKET, files, {})
    page = s3.get_object(Bucket=BUCKET, Key="index.html")["Body"].read()

    class Stopping:
        def __init__(self, puts: int) -> None:
            self.puts = puts

        def put_object(self, **put: Any) -> None:
            if self.puts == 0:
                raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
            self.puts -= 1
            s3.put_object(**put)

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

    modules = sum(name.startswith("app/") for name in files)
    assert modules == 3
    changed = files | {"app/main.js": b"changed"}
    for puts in range(modules + 2):
        with pytest.raises(ClientError):
            upload(Stopping(puts), BUCKET, changed, {})
        assert s3.get_object(Bucket=BUCKET, Key="index.html")["Body"].read() == page
        assert all(f"{page_folder}app/main.js" in keys(s3) for page_folder in folders_in(page))
    upload(s3, BUCKET, changed, {})
    assert s3.get_object(Bucket=BUCKET, Key="index.html")["Body"].read() != page


def folders_in(page: bytes) -> set[str]:
    return {part.split('"')[-1] for part in page.decode().split("app/main.js")[:1]}


def test_the_configuration_of_a_pool_names_cognitos_page_to_sign_out() -> None:
    config = read_config(stack_of(POOL))
    assert config["issuer"] == POOL["ConsoleIssuer"]
    assert config["client_id"] == "client"
    assert config["sign_out_url"] == (
        "https://clipmint-1.auth.eu-west-1.amazoncognito.com/logout"
        "?client_id=client&logout_uri=https%3A%2F%2Fd1.cloudfront.net%2F"
    )
    assert "audience" not in config
    assert config["operator"] == {
        "client_id": "client-of-operators",
        "scope": "openid email clipmint/admin",
        "key": True,
    }


def test_the_configuration_of_an_issuer_names_the_audience() -> None:
    config = read_config(stack_of(OWN))
    assert (config["client_id"], config["audience"]) == ("console", "clipmint")
    assert (config["operator"]["client_id"], config["operator"]["key"]) == ("console", False)
    assert "sign_out_url" not in config


def test_a_stack_without_a_console_is_left_alone(s3: Any) -> None:
    assert publish(lambda _: s3, stack_of({"ApiUrl": "https://a.example.com"})) == (
        "clipmint-dev has no console."
    )
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_a_stack_with_a_console_gets_it(s3: Any) -> None:
    assert publish(lambda _: s3, stack_of(OWN)) == "Console: https://d1.cloudfront.net/"
    assert {"index.html", "config.json"} <= keys(s3)
