"""`make smoke` against the whole local stack, with the functions' roles enforced."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.deploy import ROOT
from local.running import RunningStack
from operations.smoke import ORDER_STEPS, STEPS


def smoke(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command behind `make smoke ENV=local`."""
    return subprocess.run(
        [sys.executable, "-m", "local", "smoke", "--stack", stack.name, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def marks(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith(" ")]
    return {words[1]: words[0] for words in lines}


# The cheapest model of all, and one of each provider.
@pytest.mark.parametrize("model", ["", "veo-3.1", "runware-veo-3.1"])
def test_the_product_passes_its_smoke_test(stack: RunningStack, model: str) -> None:
    done = smoke(stack, *(["--model", model] if model else []))
    assert done.returncode == 0, done.stdout + done.stderr
    assert marks(done) == dict.fromkeys(STEPS, "ok")
    assert "eyJ" not in done.stdout + done.stderr, "a token"
    assert "X-Amz-Signature" not in done.stdout + done.stderr


def test_a_dry_run_stops_before_the_order(stack: RunningStack) -> None:
    done = smoke(stack, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name for name, mark in marks(done).items() if mark == "skip"} == set(ORDER_STEPS)


def test_a_model_that_is_not_offered_fails_and_is_explained(stack: RunningStack) -> None:
    done = smoke(stack, "--model", "retired-t2v")
    assert done.returncode == 1
    assert marks(done)["models"] == "FAILED"
    assert marks(done)["clean-up"] == "ok"
    assert "Look at: the secret in `ProviderKeysArn`" in done.stdout
