"""`python -m operations.console --env prod`: upload the console to its bucket.

`make deploy` runs it after SAM. A stack without a console (the template's parameter Console) is
left alone. All files but index.html and config.json go into a folder that is named after their
content, and are cached for ever. index.html names that folder, and is written last: a browser gets
either the old console or the new one, never parts of both. The folder of the console before stays,
for pages that are open, and older ones are deleted.

The program can be repeated at any time. The exit code is 0 on success.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from operations.installation import (
    ROOT,
    Client,
    DeployedStack,
    NotConfigured,
    account_of,
    client_of,
    read_installation,
    read_stack,
    session_of,
)

FOLDER = ROOT / "console"
INDEX = "index.html"
CONFIG = "config.json"
MODULES = "app/"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""The files that are served, by the end of their names. Types for the checker are not."""
SCOPE = "openid email"
ADMIN_SCOPE = "clipmint/admin"
FOR_EVER = "public, max-age=31536000, immutable"
ALWAYS_ASK = "no-cache"
NAMED = re.compile(r"[0-9a-f]{16}/")


def content_type(name: str) -> str:
    """The content type of a file of the console."""
    return TYPES.get(Path(name).suffix, "application/octet-stream")


def read_files(folder: Path = FOLDER) -> dict[str, bytes]:
    """The files of the console by their path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in TYPES and not path.name.endswith(".d.ts")
    }


def read_config(stack: DeployedStack) -> dict[str, Any]:
    """config.json of a stack that has a console.

    ``operator`` is how operators sign in. The owner's issuer decides who gets the scope. Cognito
    gives it to each user of a client, so its client for operators has a key.
    """
    client_id, url = stack.output("ConsoleClientId"), stack.output("ConsoleUrl")
    on_pool = "UserPoolId" in stack.outputs
    config = {
        "api_url": stack.output("ApiUrl"),
        "issuer": stack.output("ConsoleIssuer"),
        "client_id": client_id,
        "scope": SCOPE,
        "operator": {
            "client_id": stack.output("ConsoleOperatorClientId") if on_pool else client_id,
            "scope": f"{SCOPE} {ADMIN_SCOPE}",
            "key": on_pool,
        },
    }
    if on_pool:
        # Cognito's page that ends its own session has other parameters than the standard's.
        host = stack.output("TokenUrl").removesuffix("/oauth2/token")
        leaving = urlencode({"client_id": client_id, "logout_uri": url})
        return config | {"sign_out_url": f"{host}/logout?{leaving}"}
    return config | {"audience": stack.output("ConsoleAudience")}


def upload(s3: Any, bucket: str, files: Mapping[str, bytes], config: Mapping[str, Any]) -> str:
    """Make the bucket contain this console. Returns the name of the folder of its files.

    Raises `ClientError`; then the console before is still served, and a repetition completes it.
    """
    modules = {name: body for name, body in files.items() if name.startswith(MODULES)}
    digest = hashlib.sha256()
    for name, body in sorted(modules.items()):
        digest.update(f"{name} {hashlib.sha256(body).hexdigest()}\n".encode())
    folder = f"{digest.hexdigest()[:16]}/"
    before = _served(s3, bucket)
    for name, body in modules.items():
        _put(s3, bucket, folder + name, body, FOR_EVER)
    _put(s3, bucket, CONFIG, json.dumps(dict(config)).encode(), ALWAYS_ASK)
    index = files[INDEX].replace(f'"{MODULES}'.encode(), f'"{folder}{MODULES}'.encode())
    _put(s3, bucket, INDEX, index, ALWAYS_ASK)
    _delete_others(s3, bucket, {folder, *before})
    return folder


def _served(s3: Any, bucket: str) -> set[str]:
    """The folder that index.html names now; empty before the first upload."""
    try:
        page = s3.get_object(Bucket=bucket, Key=INDEX)["Body"].read().decode()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return set()
        raise
    return set(NAMED.findall(page))


def _put(s3: Any, bucket: str, key: str, body: bytes, caching: str) -> None:
    s3.put_object(
        Bucket=bucket, Key=key, Body=body, ContentType=content_type(key), CacheControl=caching
    )


def _delete_others(s3: Any, bucket: str, folders: set[str]) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        keys = [
            {"Key": each["Key"]}
            for each in page.get("Contents", [])
            if (named := NAMED.match(each["Key"])) and named[0] not in folders
        ]
        if keys:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


def publish(client: Client, stack: DeployedStack) -> str:
    """Upload the console of a stack, if it has one. Returns what was done, as a sentence."""
    if "ConsoleBucketName" not in stack.outputs:
        return f"{stack.name} has no console."
    upload(client("s3"), stack.output("ConsoleBucketName"), read_files(), read_config(stack))
    return f"Console: {stack.output('ConsoleUrl')}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operations.console", description=__doc__)
    parser.add_argument("--env", required=True, help="environment of samconfig.toml")
    options = parser.parse_args(arguments)
    try:
        installation = read_installation(options.env)
        session = session_of(installation)
        client = client_of(session)
        region = str(session.region_name)
        stack = read_stack(client, installation.stack_name, region, account_of(client))
        print(publish(client, stack))
    except (NotConfigured, BotoCoreError, ClientError) as error:
        print(f"The console was not uploaded: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
