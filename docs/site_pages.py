"""For the documentation site: adds pages from outside docs/, and adapts links between files.

README.md, CONTRIBUTING.md and CHANGELOG.md become pages. A link to another file of the repository
that is not part of the site, such as a module, becomes its text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Adapt the links of a page."""
    source = Path(page.file.abs_src_path)

    def adapted(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if not target or ":" in target:
            return link[0]
        path = (source.parent / target).resolve()
        if path.parent == ROOT / "docs":
            return f"[{text}]({path.name}{anchor})"
        if path.parent == ROOT and path.name in PAGES:
            return f"[{text}]({PAGES[path.name]}{anchor})"
        return text

    return LINK.sub(adapted, markdown)
