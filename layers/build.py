"""Builds one layer for the Lambda runtime of `template.yaml`, on any machine.

The layer has exactly the locked versions, checked against their hashes, and only wheels of the
target's platform; nothing is compiled here. The same inputs give the same bytes on the same
machine. It needs uv and the standard library, but neither Docker nor an interpreter of the
runtime's version. If there is such an interpreter, the layer also contains byte code, which about
halves import time on a cold start.

    python3 layers/build.py clipmint|media|appstore DESTINATION
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The runtime and architecture of `template.yaml`; a test checks that both files agree.
PYTHON_VERSION = "3.13"
PLATFORM = "aarch64-manylinux_2_28"

# The dependency group of `pyproject.toml` each layer installs.
GROUPS = {"clipmint": "runtime", "media": "media", "appstore": "appstore"}

# Files that no import reads. METADATA stays: packages read their version from it.
DIRECTORIES_LEFT_OUT = ("__pycache__", "tests")
FILES_LEFT_OUT = (".lock", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
SUFFIXES_LEFT_OUT = (".pyi", ".pxd", ".pyx")

# Byte code contains the path of its source; on Lambda a layer is unpacked here.
LAYER_ROOT = "/opt"

# The oldest time that a zip can store, so that archives depend only on their contents.
EPOCH_1980 = 315532800


def build(layer: str, destination: Path) -> None:
    """Fill `destination` with the layer's `python/` folder, and replace an existing one.

    Raises `subprocess.CalledProcessError` if uv or the compiler fails; uv prints the reason.
    """
    site = destination / "python"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    _install(GROUPS[layer], site)
    if layer == "clipmint":
        shutil.copytree(ROOT / "shared" / "clipmint", site / "clipmint")
    _strip(site)
    interpreter = next(_matching_interpreters(), None)
    if interpreter is None:
        print(f"there is no python{PYTHON_VERSION}: {layer} is built without byte code")
    else:
        _compile(interpreter, site)
    for path in (site, *site.rglob("*")):
        os.utime(path, (EPOCH_1980, EPOCH_1980))


def _install(group: str, site: Path) -> None:
    # Every function has the clipmint layer, so another layer leaves out what is in it.
    elsewhere = [] if group == GROUPS["clipmint"] else _packages(GROUPS["clipmint"])
    left_out = [part for package in elsewhere for part in ("--no-emit-package", package)]
    requirements = _locked(group, *left_out)
    target = ["--python-platform", PLATFORM, "--python-version", PYTHON_VERSION]
    exactly = ["--only-binary", ":all:", "--no-deps", "--require-hashes"]
    install = [_uv(), "pip", "install", "--quiet", "--link-mode", "copy", "--target", str(site)]
    subprocess.run(
        [*install, *target, *exactly, "--requirements", "-"],
        cwd=ROOT,
        check=True,
        input=requirements,
    )


def _locked(group: str, *options: str) -> bytes:
    """The locked packages of a dependency group, as requirements."""
    export = [_uv(), "export", "--quiet", "--locked", "--only-group", group, "--no-header"]
    return subprocess.run([*export, *options], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def _packages(group: str) -> list[str]:
    lines = _locked(group, "--no-hashes", "--no-annotate").decode().splitlines()
    return [line.partition("==")[0] for line in lines]


def _uv() -> str:
    """The pinned uv that `make` installs, or else the one on PATH."""
    pinned = ROOT / ".envs" / "uv" / "bin" / "uv"
    found = str(pinned) if pinned.exists() else shutil.which("uv")
    if found is None:
        sys.exit("uv is missing: run `make build`, which installs it")
    return found


def _strip(site: Path) -> None:
    shutil.rmtree(site / "bin", ignore_errors=True)  # commands, with this machine's paths in them
    for path in sorted(site.rglob("*"), reverse=True):
        if path.is_dir():
            if path.name in DIRECTORIES_LEFT_OUT:
                shutil.rmtree(path)
        elif path.name in FILES_LEFT_OUT or path.suffix in SUFFIXES_LEFT_OUT:
            path.unlink()


def _matching_interpreters() -> Iterator[str]:
    """Interpreters of the runtime's version, this one first. Shims that do not run are left out."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    name = f"python{PYTHON_VERSION}"
    candidates = [
        sys.executable,
        shutil.which(name),
        *sorted(str(path) for path in pyenv.glob(f"versions/{PYTHON_VERSION}.*/bin/{name}")),
    ]
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        if candidate is None:
            continue
        ask = [candidate, "-c", version]
        answer = subprocess.run(ask, check=False, capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.strip() == PYTHON_VERSION:
            yield candidate


def _compile(interpreter: str, site: Path) -> None:
    """Write byte code that is never checked against its source, because a layer is read-only.

    One process (no `-j`) and a fixed hash seed, so that two builds have the same bytes.
    """
    unchecked = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    relocated = ["-s", str(site.parent), "-p", LAYER_ROOT]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"}
    command = [interpreter, *unchecked, *relocated, str(site)]
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in GROUPS:  # noqa: PLR2004
        sys.exit(f"usage: {Path(__file__).name} {'|'.join(GROUPS)} DESTINATION")
    build(sys.argv[1], Path(sys.argv[2]).resolve())
