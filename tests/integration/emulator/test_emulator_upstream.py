"""A correction applies to the upstream code it was written against, and to no other."""

import subprocess
from pathlib import Path

from local.deploy import ROOT
from local.stack import EMULATOR_PYTHON

SCRIPT = """
import types
from local.emulator.upstream import UpstreamChangedError, corrects, digest

def greet(name):
    return f"hello {name}"

module = types.ModuleType("upstream")
module.greet = greet

@corrects(module, "greet", digest=digest(greet))
def louder(original, name):
    return original(name).upper()

print(module.greet("ada"))
module.greet = louder
try:
    corrects(module, "greet", digest=digest(greet))(greet)
except UpstreamChangedError as error:
    print("refused:", "upstream.greet" in str(error))
print(module.greet is louder)
"""


def in_emulator(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script file with the emulator's interpreter."""
    file = folder / "script.py"
    file.write_text(script)
    return subprocess.run(
        [str(EMULATOR_PYTHON), str(file)],
        env={"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_known_code_is_replaced_and_changed_code_is_left_alone(tmp_path: Path) -> None:
    done = in_emulator(SCRIPT, tmp_path)
    assert done.stdout.splitlines() == ["HELLO ADA", "refused: True", "True"], done.stderr


def test_an_emulator_that_changed_upstream_does_not_start(tmp_path: Path) -> None:
    script = """
from ministack.services import stepfunctions

def _send_task_success(request):
    return "another release"

stepfunctions._send_task_success = _send_task_success
from local.emulator import callbacks
callbacks.apply(None)
"""
    done = in_emulator(script, tmp_path)
    assert done.returncode != 0
    assert "ministack changed ministack.services.stepfunctions._send_task_success" in done.stderr
