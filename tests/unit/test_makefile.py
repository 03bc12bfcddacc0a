"""What `make` does first: certificates, and the interpreter of the environments."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = next(
    line.split()[-1]
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    if line.startswith("UV_VERSION")
)


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def interpreter(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '/usr ({version})'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose environments were made with Python 3.11."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    interpreter(tmp_path / ".envs" / "uv" / "bin" / "python", "3, 11, 7")
    for stamp in stamps(tmp_path):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return tmp_path


def stamps(clone: Path) -> list[Path]:
    return [clone / ".envs" / "uv" / VERSION, clone / ".venv" / ".synced"] + [
        clone / ".envs" / name / ".synced" for name in ("emulator", "lambda")
    ]


def test_another_interpreter_builds_the_environments_again(clone: Path) -> None:
    other = interpreter(clone / "python3.12", "3, 12, 1")
    done = make(clone, "help", f"PYTHON={other}")
    assert "building the environments again" in done.stderr
    assert "again" not in done.stdout, "scripts read what make prints"
    assert not any(stamp.exists() for stamp in stamps(clone))


def test_the_same_interpreter_or_none_keeps_them(clone: Path) -> None:
    same = interpreter(clone / "python3.11", "3, 11, 7")
    for arguments in ((f"PYTHON={same}",), (), ("PYTHON=/no/such/python",)):
        assert make(clone, "help", *arguments).stderr == ""
        assert all(stamp.exists() for stamp in stamps(clone))


def test_an_interpreter_in_the_environment_counts(clone: Path) -> None:
    other = interpreter(clone / "python3.12", "3, 12, 1")
    assert "building the environments again" in make(clone, "help", PYTHON=str(other)).stderr


@pytest.mark.skipif(
    not Path("/etc/ssl/certs/ca-certificates.crt").exists(), reason="no store of certificates"
)
def test_uv_uses_the_certificates_of_the_system_unless_the_user_chooses_others(
    clone: Path,
) -> None:
    (clone / "Makefile").write_text(
        (ROOT / "Makefile").read_text(encoding="utf-8")
        + "\nshown:\n\t@echo certificates=$$UV_SYSTEM_CERTS\n"
    )
    assert make(clone, "shown").stdout == "certificates=1\n"
    assert make(clone, "shown", UV_SYSTEM_CERTS="0").stdout == "certificates=0\n"
