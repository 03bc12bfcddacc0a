"""`make screenshots`: each page of the console, on a desktop and a phone, light and dark.

Writes PNG files into build/screenshots. The videos are those of the simulated providers. The
counters of the days before today, on the page Overview, are invented.
"""

from __future__ import annotations

import io
import random
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser

from clipmint.usage.figures import CAPTURED, RELEASED, bucket_of
from local import stores
from local.deploy import ROOT
from local.sign_in import OPERATOR
from local.stack import Stack, wait_for
from tests.browser.visitor import Visitor
from tests.support import store_wire
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
    """An image of one colour that becomes darker to its end."""
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


def count_days_before(stack: Stack) -> None:
    """Counters of the last month, with a bad day of one provider, in the Usage table."""
    chance = random.Random(7)
    dynamodb, table = stack.boto3("dynamodb"), stack.tables["UsageTable"]
    seconds = {("fal", "veo-3.1"): 70, ("runway", "gen4.5"): 45, ("runware", "runware-veo-3.1"): 80}
    for ago in range(1, 30):
        day = datetime.now(UTC).date() - timedelta(days=ago)
        for (provider, model), usual in seconds.items():
            jobs = round(chance.gauss(60, 9) * (0.6 if day.weekday() > 4 else 1))
            failed = round(jobs * (0.3 if (ago, provider) == (3, "runway") else 0.03))
            times = [
                bucket_of(usual * chance.lognormvariate(0, 0.25)) for _ in range(jobs - failed)
            ]
            counters = {name: times.count(name) for name in set(times)}
            dollars = round(jobs * chance.gauss(0.9, 0.1) * 1_000_000)
            counters |= {"completed": jobs - failed, CAPTURED: 16 * (jobs - failed)}
            counters |= {f"cost#{provider}#USD": dollars, f"usd#{provider}": dollars}
            ends = {"completed": counters, "failed": {"failed": failed, RELEASED: 16 * failed}}
            for outcome, found in ends.items():
                key = f"{day}#{outcome}#{provider}#{model}"
                item = {"month": {"S": f"TOTALS#{day:%Y-%m}"}, "sk": {"S": key}}
                item |= {counter: {"N": str(value)} for counter, value in found.items()}
                dynamodb.put_item(TableName=table, Item=item)


def operators_things(stack: Stack, owner: Visitor) -> None:
    """A failed job with goodwill, one that was cancelled, one that runs, a waiting purchase."""
    stores.connect(stack)
    owner.http("PUT", "/v1/admin/packs/credits-500", credits=500, name="500 credits")
    event = store_wire.checkout(metadata={"clipmint_product": "credits-200"})
    url = f"{stack.api_url}/webhooks/purchases/stripe"
    sent = httpx.post(url, content=event.body, headers=event.headers, trust_env=False, timeout=60)
    sent.raise_for_status()
    hook = {"url": "https://example.com/clipmint", "description": "The app"}
    owner.http("POST", "/v1/admin/webhooks", **hook)
    prompt = "A city at night, seen from a train #moderated"
    failed = owner.http("POST", "/v1/videos", model_id="gen4.5", prompt=prompt)["job_id"]
    wait_for(lambda: owner.http("GET", f"/v1/videos/{failed}")["completed_at"], 120, every=0.2)
    stack.fal.change(queue_seconds=600)
    late = owner.http("POST", "/v1/videos", model_id="veo-3.1", prompt=PROMPTS[1])["job_id"]
    reason = "The user asked for it, support case 4711"
    owner.http("POST", f"/v1/admin/jobs/{late}/cancel", reason=reason)
    goodwill = {"user_id": owner.name, "amount": 10, "job_id": failed, "reason": "The video failed"}
    owner.http("POST", "/v1/admin/grants", **goodwill)
    owner.http("POST", "/v1/videos", model_id="veo-3.1", prompt=PROMPTS[0])
    count_days_before(stack)


def operator_pages(stack: Stack, browser: Browser) -> None:
    """Each page of the operator, on a light desktop and a dark phone."""
    grace = Visitor(stack, browser, "grace", 300)
    operators_things(stack, grace)
    grace.leave()
    for window, scheme in (("desktop", "light"), ("phone", "dark")):
        name = f"{window}-{scheme}"
        visitor = Visitor(stack, browser, OPERATOR, 0, color_scheme=scheme, **WINDOWS[window])
        visitor.sign_in(operator=True)
        page = visitor.page

        def take_whole(what: str, visitor: Visitor = visitor, name: str = name) -> None:
            visitor.page.wait_for_load_state("networkidle")
            visitor.page.locator(".ghost").first.wait_for(state="detached")
            visitor.page.wait_for_timeout(300)
            path = FOLDER / f"operator-{what}-{name}.png"
            visitor.page.screenshot(path=path, full_page=True)

        for one in ("Overview", "Jobs", "Purchases", "Webhooks", "Providers", "Audit"):
            visitor.open(one)
            take_whole(one.lower())
        visitor.open("Overview")
        page.get_by_label("30 days").check()
        take_whole("month")
        visitor.open("Jobs")
        page.get_by_label("State").select_option("failed")
        page.get_by_role("button", name="Find").click()
        page.get_by_role("table").get_by_role("link").first.click()
        page.get_by_role("region", name="Timeline").wait_for()
        take_whole("job")
        page.get_by_role("link", name="grace").click()
        page.get_by_role("region", name="Journal").wait_for()
        take_whole("user")
        visitor.open("Models")
        take_whole("models")
        page.get_by_role("link", name="Veo 3.1", exact=True).click()
        page.get_by_role("button", name="Check").click()
        page.get_by_text("The check found nothing wrong.").wait_for()
        take_whole("model")
        visitor.leave()
    stack.fal.change(queue_seconds=0.5)


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
        operator_pages(stack, browser)
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
