"""A Chromium without installation: the npm package @sparticuz/chromium, unpacked into build/.

The package has a binary for headless use, SwiftShader's libraries, the libraries that a machine
without a desktop lacks, and a font. Playwright for Python controls it.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import brotli
from playwright.sync_api import Browser, sync_playwright

from local.deploy import ROOT

MODULES = ROOT / "tests/browser/node_modules"
PACKED = MODULES / "@sparticuz/chromium/bin"
UNPACKED = ROOT / "build/chromium"
AXE = MODULES / "axe-core/axe.min.js"
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""
OPTIONS = ("--no-sandbox", "--no-zygote", "--headless=shell", "--font-render-hinting=none")


def unpacked() -> Path:
    """The folder with the binary `chromium`, unpacked if it is not there yet."""
    if not UNPACKED.exists():
        UNPACKED.parent.mkdir(exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=UNPACKED.parent))
        binary = draft / "chromium"
        binary.write_bytes(brotli.decompress((PACKED / "chromium.br").read_bytes()))
        binary.chmod(0o755)
        for name, folder in (("swiftshader", draft), ("al2023", draft), ("fonts", draft / "fonts")):
            content = brotli.decompress((PACKED / f"{name}.tar.br").read_bytes())
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                # Not the parameter ``filter``: Python 3.11.3 does not have it.
                archive.extraction_filter = getattr(tarfile, "data_filter", None)
                archive.extractall(folder)  # noqa: S202
        (draft / "fonts/fonts.conf").write_text(FONTS.format(folder=UNPACKED))
        with suppress(OSError):  # another process was faster
            draft.rename(UNPACKED)
        shutil.rmtree(draft, ignore_errors=True)
    return UNPACKED


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser, which is closed at the end."""
    folder = unpacked()
    environment: dict[str, str | float | bool] = {
        **os.environ,
        "FONTCONFIG_PATH": str(folder / "fonts"),
        "LD_LIBRARY_PATH": str(folder / "lib"),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=folder / "chromium", args=[*OPTIONS], env=environment
        )
        try:
            yield browser
        finally:
            browser.close()
