"""Runs schemathesis over ``docs/openapi.json`` against a running stack, and reports the result.

All of its checks but three:

- *unsupported_method*, *allow_header_conformance*: the gateway answers 404 to a method that no
  route has, and never 405.
- *positive_data_acceptance*: what follows the document can still mean nothing, such as a preset
  that a model lacks, and is a 400. `checks.what_follows_the_document_is_valid` decides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.deploy import ROOT
from local.processes import allocation

PHASES = ("examples", "coverage", "fuzzing", "stateful")
CONFIG = """
[auth.wfc]
path = {users}
{peers}

[generation]
deterministic = true
database = "none"
max-examples = {examples}

[checks]
unsupported_method.enabled = false
allow_header_conformance.enabled = false
positive_data_acceptance.enabled = false
"""


@dataclass(frozen=True)
class Run:
    """How a run went. ``phases`` by name: ``success`` or what went wrong.

    ``answers`` counts by operation, such as ``GET /v1/videos``, and status.
    """

    operations: int
    tested: int
    cases: int
    failures: list[dict[str, Any]]
    errors: list[Any]
    phases: Mapping[str, str]
    complete: bool
    answers: Counter[tuple[str, int]]
    output: str

    def __str__(self) -> str:
        return (
            f"schemathesis: {self.tested} of {self.operations} operations, {self.cases} cases, "
            f"{len(self.failures)} failures, {len(self.errors)} errors; "
            f"answers by status: {dict(sorted(self._statuses().items()))}"
        )

    def _statuses(self) -> Counter[int]:
        found = Counter[int]()
        for (_, status), times in self.answers.items():
            found[status] += times
        return found


def run(
    api_url: str,
    tokens: Mapping[str, str],
    folder: Path,
    *,
    examples: int,
    peers: bool = False,
    phases: Collection[str] = PHASES,
    only: str | None = None,
) -> Run:
    """One run.

    Parameters
    ----------
    tokens
        By user.
    folder
        An empty one, for what it writes.
    examples
        Made-up requests per operation, beside those that cover the document.
    peers
        Whether the users must not see each other's objects.
    phases
        Which of `PHASES`.
    only
        A pattern of the paths to test; all if None.
    """
    users = folder / "users.json"
    headers = {
        user: [{"name": "Authorization", "value": f"Bearer {token}"}]
        for user, token in tokens.items()
    }
    users.write_text(
        json.dumps({"auth": [{"name": u, "fixedHeaders": h} for u, h in headers.items()]})
    )
    config = folder / "schemathesis.toml"
    config.write_text(
        CONFIG.format(
            users=json.dumps(str(users)),
            peers=f"peers = {json.dumps(list(tokens))}" if peers else "",
            examples=examples,
        )
    )
    report = folder / "report.json"
    answers = folder / "answers.txt"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", str(ROOT / "docs" / "openapi.json"), "--url", api_url),
        *("--continue-on-failure", "--no-color", "--phases", ",".join(phases)),
        *("--report", "json", "--report-json-path", str(report)),
        *(("--include-path-regex", only) if only else ()),
    ]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        **allocation(),
        "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("checks.py")),
        "ANSWERS": str(answers),
        # Each request looks for a file there; without a home, in the list of users first.
        "HOME": str(folder),
        # Tables of characters, which take a second to compute.
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert report.exists(), done.stdout + done.stderr
    summary = json.loads(report.read_text())
    return Run(
        operations=summary["operations"]["selected"],
        tested=summary["operations"]["tested"],
        cases=summary["test_cases"]["generated"],
        failures=summary["failures"],
        errors=summary["errors"],
        phases={name: phase["status"] for name, phase in summary["phases"].items()},
        complete=summary["complete"],
        answers=_answers(answers),
        output=done.stdout,
    )


def _answers(written: Path) -> Counter[tuple[str, int]]:
    found = Counter[tuple[str, int]]()
    for line in written.read_text(encoding="utf-8").splitlines():
        status, operation = line.split(" ", 1)
        found[operation, int(status)] += 1
    return found
