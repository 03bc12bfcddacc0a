"""`make screenshots`: each page of the console, on a desktop and a phone, light and dark.

Writes PNG files into build/screenshots. The videos are those of the simulated providers.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from local.deploy import ROOT
from local.stack import Stack
from tests.browser.visitor import Visitor
from tests.support.browser import running_browser

FOLDER = ROOT / "build/screenshots"
WINDOWS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}
PROMPTS = (
    "A lighthouse at dawn; the camera rises slowly over the sea",
    "Paper boats drift along a rainy street",
    "A fox runs through fresh snow, in slow motion",
    "A city at night, seen from a train #moderated",
    "Steam rises from a cup of tea by the window",
)


def take(visitor: Visitor, name: str, folder: Path = FOLDER) -> None:
    visitor.page.wait_for_load_state("networkidle")
    visitor.page.wait_for_timeout(300)
    visitor.page.screenshot(path=folder / f"{name}.png")


def still(red: int, green: int, blue: int) -> bytes:
    """A picture of one colour that becomes darker to its end."""
    shade = Image.linear_gradient("L").resize((640, 360)).point(lambda value: 255 - value // 2)
    file = io.BytesIO()
    Image.composite(
        Image.new("RGB", shade.size, (red, green, blue)), Image.new("RGB", shade.size), shade
    ).save(file, "PNG")
    return file.getvalue()


def storyboard(visitor: Visitor) -> None:
    """A project with two scenes, of which one has a clip."""
    page = visitor.page
    visitor.go("Storyboard")
    page.get_by_label("Name of the new project").fill("A day at sea")
    page.get_by_role("button", name="Create project").click()
    page.get_by_role("heading", name="A day at sea").wait_for()
    scenes = (
        ("The sun rises over the harbour", (250, 180, 110), (120, 190, 240)),
        ("The last boat comes home", (90, 130, 200), (60, 40, 110)),
    )
    for number, (prompt, *colours) in enumerate(scenes, 1):
        page.get_by_role("button", name="Add a scene").click()
        scene = page.get_by_role("listitem", name=f"Scene {number}")
        for label, colour in zip(("First image", "Last image"), colours, strict=True):
            scene.get_by_label(label, exact=True).set_input_files(
                {"name": "still.png", "mimeType": "image/png", "buffer": still(*colour)}
            )
            scene.get_by_alt_text(f"{label}: preview").wait_for()
        scene.get_by_label("What happens").fill(prompt)
        scene.get_by_label("Seconds").fill("4")
        scene.get_by_label("Seconds").blur()
        if number == 1:
            page.get_by_role("button", name=re.compile("^Render 1 clip ")).click()
            scene.locator("video").wait_for()
    visitor.go("Create")


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Stack(simulate=("fal", "runway", "runware")) as stack, running_browser() as browser:
        first = True
        for window, options in WINDOWS.items():
            for scheme in ("light", "dark"):
                name = f"{window}-{scheme}"
                visitor = Visitor(
                    stack, browser, "ada", 300 if first else 0, color_scheme=scheme, **options
                )
                visitor.page.goto(stack.console_url)
                visitor.page.get_by_role("button", name="Sign in", exact=True).wait_for()
                take(visitor, f"sign-in-{name}")
                visitor.sign_in()
                if first:
                    take(visitor, f"empty-{name}")
                    for prompt in PROMPTS:
                        visitor.order(prompt)
                        visitor.page.get_by_role("progressbar").wait_for()
                        if prompt is not PROMPTS[-1]:
                            visitor.page.get_by_role("progressbar").wait_for(state="detached")
                    storyboard(visitor)
                    first = False
                take(visitor, f"create-{name}")
                for page in ("Library", "Credits", "Storyboard"):
                    visitor.go(page)
                    take(visitor, f"{page.lower()}-{name}")
                visitor.page.locator("a.tile").first.click()
                visitor.page.locator(".scene").first.wait_for()
                take(visitor, f"project-{name}")
                visitor.go("Library")
                visitor.page.locator("a.tile").filter(has_text="lighthouse").first.click()
                visitor.page.locator("video").wait_for()
                take(visitor, f"player-{name}")
                visitor.leave()
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
