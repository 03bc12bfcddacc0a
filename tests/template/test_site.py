"""The pages of the documentation site are complete: errors, limits, and the site itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from clipmint import errors
from clipmint.api import videos
from clipmint.api.gateway import STATUS_OF
from clipmint.credits.account import MAX_USER_BYTES
from clipmint.events import posting, retries
from clipmint.events.deliveries import KEPT
from clipmint.events.endpoints import MAX_ENDPOINTS
from clipmint.jobs.outcomes import FailureCode
from clipmint.media.files import MAX_VIDEO_BYTES
from clipmint.media.image_file import MAX_PIXELS
from clipmint.media.image_urls import MAX_URL_CHARACTERS
from clipmint.media.uploads import FORM_SECONDS, MAX_UPLOAD_BYTES
from clipmint.orders.idempotency_keys import MAX_IDEMPOTENCY_KEY_CHARACTERS
from clipmint.orders.order_requests import MAX_CLIPS, MAX_PROMPT_CHARACTERS
from clipmint.projects.project import MAX_SCENES
from tests.support.reading import ROOT, written

DOCS = ROOT / "docs"
MKDOCS = ROOT / ".envs" / "docs" / "bin" / "mkdocs"
ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")
LIMITS = (DOCS / "limits.md").read_text(encoding="utf-8")
OF_OTHER_PROTOCOLS = {"TASK_HAS_ENDED", "VIDEO_NOT_READY"}
"""Answers of the compatible endpoints, whose errors have the shape of their protocol."""


def all_errors(base: type[errors.ClipmintError]) -> list[type[errors.ClipmintError]]:
    return [base, *(each for found in base.__subclasses__() for each in all_errors(found))]


def status_of(error: type[errors.ClipmintError]) -> int:
    known = (STATUS_OF[one] for one in error.__mro__ if one in STATUS_OF)
    return int(next(known, 500))


def test_every_error_of_a_request_has_its_status_on_the_page() -> None:
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", ERRORS, re.MULTILINE)
    shown = {(code, int(status)) for status, codes in rows for code in re.findall("`(.*?)`", codes)}
    made = {
        (error.code, status_of(error))
        for error in all_errors(errors.ClipmintError)
        if error.__module__ == errors.__name__ and error.code not in OF_OTHER_PROTOCOLS
    }
    assert shown == made


def test_every_failure_of_a_job_is_on_the_page() -> None:
    table = ERRORS.partition("## Codes of failed jobs")[2]
    codes = [re.findall("`(.*?)`", row.split("|")[1]) for row in table.splitlines() if "|" in row]
    shown = [code for found in codes for code in found]
    assert sorted(shown) == sorted(code.value for code in FailureCode)


def test_the_limits_of_the_parameters_are_their_defaults() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", LIMITS, re.MULTILINE))
    parameters = written()["Parameters"]
    assert shown == {name: str(parameters[name]["Default"]) for name in shown}
    assert shown.keys() >= {name for name in parameters if name.startswith("Max")}


@pytest.mark.parametrize(
    "text",
    [
        f"{MAX_PROMPT_CHARACTERS:,} characters",
        f"{MAX_IDEMPOTENCY_KEY_CHARACTERS} printable characters",
        f"{MAX_UPLOAD_BYTES // 2**20} MB, {MAX_PIXELS / 1e6:.1f} million pixels",
        f"valid for {FORM_SECONDS // 60} minutes",
        f"{MAX_URL_CHARACTERS:,} characters, HTTPS",
        f"{MAX_VIDEO_BYTES // 2**30} GB",
        f"| scenes of a project | {MAX_SCENES} |",
        f"| clips in one call | {MAX_CLIPS} |",
        f"{MAX_USER_BYTES:,} bytes",
    ],
)
def test_a_fixed_limit_is_that_of_the_code(text: str) -> None:
    assert text in LIMITS


def test_urls_are_valid_for_an_hour() -> None:
    assert videos.URL_SECONDS == 3_600
    assert "thumbnail | valid for an hour" in LIMITS
    assert f"webhooks of an installation | {MAX_ENDPOINTS} |" in LIMITS
    assert f"event | {posting.SECONDS:g} seconds; eight attempts" in LIMITS
    assert len(retries.PAUSES) == 8
    assert f"in about {sum(retries.PAUSES) / 3_600:.0f} hours" in LIMITS
    assert f"deliveries | kept for {KEPT.days} days" in LIMITS


def test_the_site_builds_in_strict_mode_and_links_to_no_missing_page(tmp_path: Path) -> None:
    done = subprocess.run(
        [MKDOCS, "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="deploy.html"' in index
    assert 'href="shared/' not in index, "a file that is not part of the site"
    assert (tmp_path / "site" / "contributing.html").exists()
