"""Without credentials, a program of the owner prints what is missing, and no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations import adopt, console, delete, destination, recount

DAYS = ("--first", "2026-01-01", "--last", "2026-01-02")
NO_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
NOWHERE = "http://127.0.0.1:9"
"""Where requests go if credentials are found after all: to no real account."""


@pytest.mark.parametrize(
    "program", [destination, console, recount, delete, adopt], ids=lambda one: str(one.__name__)
)
def test_without_credentials_a_program_explains_it_and_fails(
    program: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in NO_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    days = DAYS if program is recount else ()
    assert program.main(["--env", "dev", *days]) == 1
    assert "Unable to locate credentials" in capsys.readouterr().err
