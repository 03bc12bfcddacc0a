"""Clients that generators make from docs/openapi.json can do what the demo does.

The document passes the linters of the field first: all rules of redocly and spectral, except those
that tests/clients/redocly.rules.yaml names with a reason.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest

from local.running import RunningStack
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.generators import CLIENTS, DOCUMENT, MODULES, node, run

pytestmark = pytest.mark.slow


def redocly(document: Path, folder: Path) -> str:
    return node("redocly", "lint", "--config", CLIENTS / "redocly.rules.yaml", document, cwd=folder)


def spectral(document: Path, folder: Path) -> str:
    rules = CLIENTS / "spectral.rules.yaml"
    return node("spectral", "lint", "-F", "hint", "-r", rules, document, cwd=folder)


@pytest.mark.parametrize("lint", [redocly, spectral])
def test_the_linters_report_nothing(tmp_path: Path, lint: Callable[[Path, Path], str]) -> None:
    lint(DOCUMENT, tmp_path)


@pytest.mark.parametrize(
    ("lint", "rules"),
    [
        (redocly, ("operation-description", "no-invalid-media-type-examples")),
        (spectral, ("operation-description", "oas3-valid-media-example")),
    ],
)
def test_the_linters_find_what_is_wrong(
    tmp_path: Path, lint: Callable[[Path, Path], str], rules: tuple[str, ...]
) -> None:
    document = json.loads(DOCUMENT.read_text())
    operation = document["paths"]["/v1/videos/{job_id}"]["get"]
    del operation["description"]
    operation["responses"]["200"]["content"]["application/json"]["example"]["progress"] = "half"
    broken = tmp_path / "openapi.json"
    broken.write_text(json.dumps(document))
    with pytest.raises(AssertionError) as complaints:
        lint(broken, tmp_path)
    assert [rule for rule in rules if rule not in str(complaints.value)] == []


def in_typescript(folder: Path, given: str) -> str:
    """Generate, check the types of the scenario, and run it."""
    for name in ("scenario.ts", "tsconfig.json", "package.json"):
        shutil.copy(CLIENTS / name, folder)
    (folder / "node_modules").symlink_to(MODULES)
    node("openapi-typescript", DOCUMENT, "-o", "schema.ts", cwd=folder)
    node("tsc", "--project", folder, cwd=folder)
    return node("scenario.ts", given, cwd=folder)


def in_python(folder: Path, given: str) -> str:
    """Generate without a warning, and run the scenario."""
    target = ["--output-path", str(folder / "clipmint_client"), "--meta", "none"]
    source = ["--path", str(DOCUMENT), "--fail-on-warning"]
    run("openapi-python-client", "generate", *source, *target, cwd=folder)
    return run("python", CLIENTS / "scenario.py", given, cwd=folder, PYTHONPATH=str(folder))


@pytest.mark.parametrize("language", [in_typescript, in_python])
def test_a_generated_client_orders_a_video(
    stack: RunningStack,
    new_customer: Callable[[int], Customer],
    tmp_path: Path,
    language: Callable[[Path, str], str],
) -> None:
    ada = new_customer(0)
    given = {
        "api": stack.api_url,
        "admin": stack.token("shop", admin=True),
        "token": stack.token(ada.user_id),
        "user": ada.user_id,
        "model": "quick-t2v",
        "prompt": ada.body()["prompt"],
        "key": uuid.uuid4().hex,
        "file": str(tmp_path / "video.mp4"),
    }
    seen: dict[str, Any] = json.loads(language(tmp_path, json.dumps(given)))
    job_id = ada.job_id(given["key"])
    assert datetime.fromisoformat(seen.pop("created_at")).tzinfo is not None
    assert seen == {
        "refusal": [402, "INSUFFICIENT_CREDITS"],
        "granted": 100,
        "estimate": PRICE,
        "used": PRICE,
        "job_id": job_id,
        "status": "completed",
        "kinds": ["capture", "hold", "grant"],
        "replayed": job_id,
        "replay_header": "true",
    }
    assert ada.credits() == {"available": 100 - PRICE, "held": 0}
    with av.open(given["file"]) as file:
        assert len(file.streams.video) == 1
