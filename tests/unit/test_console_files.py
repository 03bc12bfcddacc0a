"""The files of the console: small, without a build step, and the libraries are those of npm."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from typing import Any

import pytest

from local.console import CONTENT_SECURITY_POLICY
from local.deploy import ROOT
from operations.console import FOLDER, content_type, read_files
from tests.support.reading import written

VENDOR = FOLDER / "app/vendor"
MANIFEST: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text())
LOCK = json.loads((ROOT / "tests/browser/package-lock.json").read_text())["packages"]
MOST_BYTES = 100_000
EACH = pytest.mark.parametrize("entry", MANIFEST, ids=[one["file"] for one in MANIFEST])


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@EACH
def test_a_library_is_the_published_file_of_its_package(entry: dict[str, Any]) -> None:
    content = (VENDOR / entry["file"]).read_bytes()
    assert digest(content) == entry["sha256"]
    if "replaced" in entry:
        published, kept = entry["replaced"]
        assert content.count(kept.encode()) == 1
        content = content.replace(kept.encode(), published.encode())
        assert digest(content) == entry["published_sha256"]
    installed = ROOT / "tests/browser/node_modules" / entry["package"] / entry["path"]
    if installed.exists():
        assert content == installed.read_bytes()


@EACH
def test_a_library_has_a_version_a_licence_and_a_hash(entry: dict[str, Any]) -> None:
    locked = LOCK[f"node_modules/{entry['package']}"]
    assert (entry["version"], entry["integrity"]) == (locked["version"], locked["integrity"])
    assert entry["license"] in {"MIT", "Apache-2.0"}
    assert f"{entry['package']}\n" in (VENDOR / "LICENSES.txt").read_text()
    row = f"| {entry['package']} | {entry['version']} | {entry['license']} |"
    assert row in (ROOT / "docs/licences.md").read_text()


def test_every_file_of_the_folder_is_in_the_manifest() -> None:
    scripts = {path.name for path in VENDOR.glob("*.js")}
    assert scripts == {entry["file"] for entry in MANIFEST}


def test_the_console_is_small() -> None:
    pages = [body for name, body in read_files().items() if not name.endswith((".txt", ".json"))]
    assert sum(len(gzip.compress(body, 9, mtime=0)) for body in pages) < MOST_BYTES


def test_a_user_loads_no_module_of_the_operators_pages() -> None:
    """They are imported by one dynamic import, which only an operator's page reaches."""
    own = {name: body.decode() for name, body in read_files().items() if name.startswith("app/")}
    for name, body in own.items():
        if not name.startswith(("app/operator/", "app/vendor/")):
            assert not re.findall(r'from "\./operator/', body), name
    # An operator's page that is open reads nothing again by itself.
    assert not any("polling" in own[name] for name in own if name.startswith("app/operator/"))
    assert own["app/main.js"].count('import("./operator/pages.js")') == 1


def test_no_file_names_another_host() -> None:
    for name, body in read_files().items():
        if "/vendor/" not in name:
            hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z]{2,})", body.decode()))
            assert hosts <= {"www.w3.org"}, name  # the name of a format, which is not loaded


def test_the_page_has_no_inline_script_or_style() -> None:
    page = read_files()["index.html"].decode()
    assert re.findall(r"<script(?![^>]*src=)", page) == []
    assert "<style" not in page
    assert "style=" not in "".join(
        body.decode()
        for name, body in read_files().items()
        if name.startswith("app/") and "/vendor/" not in name
    )


def test_only_the_consoles_own_scripts_run_in_both_places() -> None:
    headers = written()["Resources"]["ConsoleHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    deployed = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    for policy in (deployed, CONTENT_SECURITY_POLICY):
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
    assert deployed.replace("https:", "http:") == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("name", read_files())
def test_every_file_has_a_known_type(name: str) -> None:
    assert content_type(name) != "application/octet-stream"
    assert not name.endswith(".d.ts")
