"""Each handler can be imported by a process that has imported nothing before.

The local stack forks its workers from a process in which the layers' modules are loaded, so a
handler that uses a module without importing it would work there, and fail on AWS.
"""

import json
import subprocess

import pytest

from benchmarks.imports import ENVIRONMENT, search_paths
from local.deploy import ROOT
from local.stack import HANDLER_PYTHON

FUNCTIONS = sorted(handler.parent.name for handler in ROOT.glob("functions/*/app.py"))
START = "import json, sys; sys.path[:0] = json.load(sys.stdin); import app; app.handler"


def test_every_function_of_the_template_is_covered() -> None:
    with search_paths() as paths:
        assert sorted(paths) == FUNCTIONS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_is_importable_by_a_cold_process(function: str) -> None:
    with search_paths() as paths:
        done = subprocess.run(
            [HANDLER_PYTHON, "-I", "-S", "-c", START],
            input=json.dumps(paths[function]),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
