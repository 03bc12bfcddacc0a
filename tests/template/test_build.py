"""`make build` makes what Lambda can run: right platform, right size, nothing missing."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from layers import build
from tests.support.reading import FUNCTIONS, ROOT, TEMPLATE, of_type, written

pytestmark = pytest.mark.slow

# Lambda's limit on a function and its layers, unpacked.
LARGEST_BYTES = 262_144_000
LAYERS = ("ClipmintLayer", "MediaLayer", "AppStoreLayer")

# ELF header: magic, then 64-bit and little-endian; machine 183 is AArch64.
ELF = b"\x7fELF"
ELF_64_LITTLE = b"\x02\x01"
AARCH64 = 183


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build directory of its own, so that a developer's last build is left alone."""
    directory = tmp_path_factory.mktemp("sam")
    sam = str(ROOT / ".envs/sam/bin/sam")
    places = ["--template", str(TEMPLATE), "--build-dir", str(directory / "build")]
    subprocess.run([sam, "build", "--parallel", *places], cwd=ROOT, check=True, capture_output=True)
    return directory / "build"


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def binaries(layer: Path) -> list[Path]:
    """Every ELF file of a layer, with any name."""
    found = []
    for path in layer.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == ELF:
                    found.append(path)
    return found


def fingerprint(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_built_template_points_at_what_was_built(built: Path) -> None:
    resources = yaml.safe_load((built / "template.yaml").read_text())["Resources"]
    for name in FUNCTIONS:
        code = built / resources[f"{name}Function"]["Properties"]["CodeUri"]
        assert (code / "app.py").is_file()
        assert list(code.rglob("__pycache__")) == []
    for layer in LAYERS:
        content = built / resources[layer]["Properties"]["ContentUri"]
        assert (content / "python").is_dir()


def test_a_function_and_its_layers_fit_into_lambda(built: Path) -> None:
    clipmint = size(built / "ClipmintLayer")
    own = {"Migrate": size(built / "MediaLayer"), "Purchases": size(built / "AppStoreLayer")}
    for name in FUNCTIONS:
        layers = clipmint + own.get(name, 0)
        assert layers + size(built / f"{name}Function") < LARGEST_BYTES


@pytest.mark.parametrize("layer", LAYERS)
def test_every_binary_of_a_layer_is_for_the_target(built: Path, layer: str) -> None:
    found = binaries(built / layer)
    assert found
    for path in found:
        header = path.read_bytes()[:20]
        assert header[4:6] == ELF_64_LITTLE, path
        assert int.from_bytes(header[18:20], "little") == AARCH64, path


@pytest.mark.parametrize("layer", LAYERS)
def test_every_extension_module_fits_the_runtimes_interpreter(built: Path, layer: str) -> None:
    version = build.PYTHON_VERSION.replace(".", "")
    suffixes = (f".cpython-{version}-aarch64-linux-gnu.so", ".abi3.so")
    modules = [path for path in binaries(built / layer) if path.suffix == ".so"]
    assert modules
    assert [path.name for path in modules if not path.name.endswith(suffixes)] == []


def test_the_clipmint_layer_holds_the_package_and_what_it_stands_on(built: Path) -> None:
    site = built / "ClipmintLayer" / "python"
    sources = {
        path.relative_to(ROOT / "shared") for path in (ROOT / "shared/clipmint").rglob("*.py")
    }
    assert {path for path in sources if not (site / path).is_file()} == set()
    for package in ("boto3", "aws_lambda_powertools", "cryptography", "httpx", "pynamodb"):
        assert (site / package / "__init__.py").is_file()
    assert not (site / "av").exists()
    assert (site / "clipmint" / "purchases" / "apple_root_ca_g3.pem").is_file()
    assert (built / "MediaLayer" / "python" / "av" / "__init__.py").is_file()


def test_the_appstore_layer_holds_only_what_the_clipmint_layer_does_not(built: Path) -> None:
    clipmint, appstore = (built / name / "python" for name in ("ClipmintLayer", "AppStoreLayer"))
    assert (appstore / "appstoreserverlibrary" / "signed_data_verifier.py").is_file()
    packages = {path.name.partition("-")[0] for path in appstore.glob("*.dist-info")} & {
        path.name.partition("-")[0] for path in clipmint.glob("*.dist-info")
    }
    assert packages == set()
    assert size(appstore) < 10_000_000


def test_every_native_library_of_the_media_layer_is_in_the_page_of_licences(built: Path) -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    libraries = (built / "MediaLayer" / "python" / "av.libs").iterdir()
    names = {re.sub(r"-[0-9a-f]{8}\..*", "", path.name) for path in libraries}
    assert names
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()


def test_packages_still_know_their_versions(built: Path) -> None:
    site = built / "ClipmintLayer" / "python"
    names = {
        path.name.split("-")[0] for path in site.glob("*.dist-info") if (path / "METADATA").exists()
    }
    assert {"boto3", "pydantic", "aws_lambda_powertools", "pynamodb"} <= names


def test_byte_code_is_the_runtimes_own_and_never_checked_against_its_source(built: Path) -> None:
    compiled = list((built / "ClipmintLayer").rglob("*.pyc"))
    at_hand = next(build._matching_interpreters(), None)  # noqa: SLF001
    assert bool(compiled) == (at_hand is not None)
    for path in compiled:
        assert path.name.endswith(f".cpython-{build.PYTHON_VERSION.replace('.', '')}.pyc")
        # PEP 552: bit 0, made by hash; bit 1 off, so the source is not checked again.
        assert int.from_bytes(path.read_bytes()[4:8], "little") == 1


@pytest.mark.parametrize("name", LAYERS)
def test_two_builds_are_equal_byte_for_byte(built: Path, tmp_path: Path, name: str) -> None:
    build.build(name.removesuffix("Layer").lower(), tmp_path)
    one = fingerprint(built / name)
    assert one
    assert one == fingerprint(tmp_path)


def test_the_layers_in_the_template_are_the_ones_built_here() -> None:
    layers = of_type(written()["Resources"], "AWS::Serverless::LayerVersion")
    assert {name.removesuffix("Layer").lower() for name in layers} == build.GROUPS.keys()
