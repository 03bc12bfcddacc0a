"""The walk through all stores in docs/purchases.md, pasted into a shell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.running import RunningStack
from tests.support.documents import ROOT, blocks, programs, run

PAGE = ROOT / "docs" / "purchases.md"
WALK = "Try it"

pytestmark = pytest.mark.alone  # the secret of the stores is of all users


def test_the_walk_prints_what_the_page_shows(stack: RunningStack, tmp_path: Path) -> None:
    walk = [block.text for block in blocks(PAGE) if block.heading == WALK]
    shown = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    path = programs(tmp_path / "bin")
    done = run("\n".join(walk), path, {"CLIPMINT_STACK": stack.name})
    assert done.returncode == 0, done.stdout + done.stderr
    pack, *printed = done.stdout.splitlines()
    assert '"credits":500' in pack
    assert printed == "".join(shown).splitlines()
    (ROOT / "out" / "refused.json").unlink()
