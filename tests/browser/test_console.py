"""The console in a browser, against the whole local stack."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from local import stores
from local.issuer import TOKENS
from local.stack import wait_for
from tests.browser.pages import ADD_REFRESH_TOKEN, PHONE, violations
from tests.browser.visitor import LOOPBACK, Visitor
from tests.support import store_wire

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from local.stack import Stack

pytestmark = pytest.mark.slow


def image() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((640, 360)).convert("RGB").save(file, "PNG")
    return file.getvalue()


def open_first(visitor: Visitor) -> None:
    visitor.page.locator("a.tile").first.click()
    visitor.page.get_by_role("dialog").wait_for()


def test_a_user_signs_in_creates_and_plays_a_video(ada: Visitor) -> None:
    ada.sign_in()
    ada.page.get_by_label("100 credits available").wait_for()
    ada.order("A lighthouse at dawn")
    recent = ada.page.get_by_role("region", name="Your newest videos")
    recent.get_by_role("progressbar").wait_for()
    recent.get_by_text("Ready", exact=True).wait_for()
    left = ada.http("GET", "/v1/credits")["available"]
    assert left < 100
    ada.page.get_by_label(f"{left} credits available").wait_for()

    ada.go("Library")
    open_first(ada)
    player = ada.page.locator("video")
    player.evaluate("async (video) => { video.muted = true; await video.play(); }")
    player.evaluate(
        "(video) => new Promise((done) => video.addEventListener('timeupdate',"
        " () => video.currentTime > 0.5 && done()))"
    )
    with ada.page.expect_download() as download:
        ada.page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.endswith(".mp4")

    assert ada.problems == []
    assert ada.hosts <= LOOPBACK


def test_an_order_without_an_answer_is_charged_once(ada: Visitor) -> None:
    """The first request is processed and its connection breaks, as do those of its retries. After
    another click it is still being processed for longer than the retries of other requests last."""
    keys: list[str] = []

    def break_connections(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
        if len(keys) <= 4:
            route.abort()
        elif len(keys) <= 9:
            route.fulfill(
                status=409,
                headers={
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Expose-Headers": "Retry-After",
                    "Retry-After": "1",
                },
                json={"error": "It is being answered right now", "code": "REQUEST_IN_PROGRESS"},
            )
        else:
            route.continue_()

    ada.sign_in()
    ada.page.route(
        lambda url: url.endswith("/v1/videos"),
        lambda route: (
            break_connections(route) if route.request.method == "POST" else route.fallback()
        ),
    )
    ada.page.get_by_label("Describe the video").fill("A lighthouse at dawn")
    ada.page.get_by_role("button", name="Create", exact=True).click()
    ada.page.get_by_text("There is no connection.").wait_for()
    ada.page.get_by_role("button", name="Create", exact=True).click()
    ada.page.get_by_text("The video was ordered.").wait_for()
    assert len(ada.http("GET", "/v1/videos")["videos"]) == 1
    kinds = [entry["kind"] for entry in ada.http("GET", "/v1/credits/entries")["entries"]]
    assert kinds.count("hold") == 1
    assert len(set(keys)) == 1
    # With its answer the order is over: the same again is another one.
    ada.page.get_by_role("button", name="Create", exact=True).click()
    ada.page.get_by_text("The video was ordered.").wait_for()
    assert len(ada.http("GET", "/v1/videos")["videos"]) == 2
    assert len(set(keys)) == 2


def test_a_price_that_has_changed_is_shown_before_the_order(ada: Visitor) -> None:
    asked: list[int] = []

    def state_other_prices(route: Route) -> None:
        """The first estimate fails, and the others are of a price that has changed meanwhile."""
        if not asked:
            asked.append(0)
            route.abort()
            return
        answer = route.fetch()
        asked.append(answer.json()["credits"])
        route.fulfill(response=answer, json={**answer.json(), "credits": asked[-1] + 1})

    ada.page.route("**/v1/videos/estimate", state_other_prices)
    ada.sign_in()
    price = ada.page.locator(".price strong")
    create = ada.page.get_by_role("button", name="Create", exact=True)
    ada.page.get_by_label("Describe the video").fill("A lighthouse at dawn")
    price.get_by_text("Price not known").wait_for()
    create.click()
    ada.page.get_by_text("Order when it is shown.").wait_for()
    price.get_by_text(re.compile(r"\d+ credits")).wait_for()
    assert ada.http("GET", "/v1/videos")["videos"] == []
    seen = asked[-1]
    price.get_by_text(f"{seen + 1} credits").wait_for()
    create.click()
    ada.page.get_by_text("The price has changed.").wait_for()
    assert ada.http("GET", "/v1/videos")["videos"] == []
    price.get_by_text(f"{seen} credits").wait_for()
    create.click()
    ada.page.get_by_text("The video was ordered.").wait_for()
    (hold,) = [
        entry
        for entry in ada.http("GET", "/v1/credits/entries")["entries"]
        if entry["kind"] == "hold"
    ]
    assert abs(hold["credits"]) == seen


def test_a_running_video_is_cancelled_and_its_credits_return(stack: Stack, ada: Visitor) -> None:
    stack.fal.change(queue_seconds=60)
    try:
        ada.sign_in()
        ada.order("A fox in the snow")
        ada.go("Library")
        open_first(ada)
        ada.page.get_by_role("button", name="Cancel video").click()
        ada.page.get_by_role("group").get_by_role("button", name="Cancel video").click()
        dialog = ada.page.get_by_role("dialog")
        dialog.get_by_text("Nothing was charged.").wait_for()
        ada.page.keyboard.press("Escape")
        ada.page.get_by_label("100 credits available").wait_for()
    finally:
        stack.fal.change(queue_seconds=0.5)
    assert ada.problems == []


def test_a_failed_video_states_that_nothing_was_charged_and_is_deleted(ada: Visitor) -> None:
    ada.sign_in()
    ada.order("A fox #moderated")
    ada.go("Library")
    tile = ada.page.locator("a.tile").first
    tile.get_by_text("Nothing was charged.").wait_for()
    assert "The content rules do not allow this" in tile.inner_text()
    open_first(ada)
    ada.page.get_by_role("button", name="Delete").click()
    ada.page.get_by_role("group").get_by_role("button", name="Delete").click()
    ada.page.get_by_text("You have no videos yet").wait_for()
    assert ada.http("GET", "/v1/videos")["videos"] == []
    assert ada.problems == []


def test_a_video_is_repeated_with_its_settings(ada: Visitor) -> None:
    settings = {"duration": 6, "resolution": "1080p", "aspect_ratio": "9:16"}
    ada.http("POST", "/v1/videos", model_id="veo-3.1", prompt="A whale", settings=settings)
    ada.sign_in()
    ada.go("Library")
    open_first(ada)
    ada.page.get_by_role("button", name="Change and repeat").click()
    ada.page.get_by_role("heading", name="Create a video").wait_for()
    assert ada.page.get_by_label("Describe the video").input_value() == "A whale"
    for value in ("6 s", "1080p", "9:16"):
        assert ada.page.get_by_label(value, exact=True).is_checked()


def test_a_video_is_rendered_again_for_the_price_that_is_shown(ada: Visitor) -> None:
    """Between the estimate and the order, the price changes."""
    settings = {"duration": 4, "resolution": "720p", "aspect_ratio": "16:9"}
    ada.http("POST", "/v1/videos", model_id="veo-3.1", prompt="A whale", settings=settings)
    asked: list[int] = []

    def state_another_price(route: Route) -> None:
        answer = route.fetch()
        asked.append(answer.json()["credits"])
        shown = {**answer.json(), "credits": asked[0] + 1, "cached": True}
        route.fulfill(response=answer, json=shown)

    ada.sign_in()
    ada.go("Library")
    open_first(ada)
    # Not before: the page Create asks for a price, too.
    ada.page.route("**/v1/videos/estimate", state_another_price)
    dialog = ada.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Render again").click()
    seen = re.compile(r"^Render again · (\d+) credits$")
    priced = dialog.get_by_role("button", name=seen)
    dialog.get_by_text("You have an identical video").wait_for()
    priced.click()
    dialog.get_by_text("The price has changed.").wait_for()
    assert len(ada.http("GET", "/v1/videos")["videos"]) == 1
    assert priced.inner_text() == f"Render again · {asked[0]} credits"
    priced.click()
    dialog.get_by_text("It was ordered again, as a new video.").wait_for()
    again, first = ada.http("GET", "/v1/videos")["videos"]
    same = ("model_id", "prompt", "settings")
    assert [again[name] for name in same] == [first[name] for name in same]
    holds = [
        entry["credits"]
        for entry in ada.http("GET", "/v1/credits/entries")["entries"]
        if entry["kind"] == "hold"
    ]
    assert holds[0] == holds[1] == asked[0]


def test_an_image_is_uploaded_with_a_preview_and_used(ada: Visitor) -> None:
    ada.sign_in()
    ada.page.get_by_label("Describe the video").fill("The waves begin to move")
    ada.page.locator("label.card").filter(
        has=ada.page.get_by_text("Gen-4 Turbo", exact=True)
    ).locator("input").check()
    ada.page.get_by_role("button", name="Create", exact=True).click()
    ada.page.get_by_text("This model needs an image.").wait_for()
    ada.page.locator("input[type=file]").set_input_files(
        {"name": "sea.png", "mimeType": "image/png", "buffer": image()}
    )
    ada.page.get_by_alt_text("First image: preview").wait_for()
    ada.page.get_by_role("button", name="Create", exact=True).click()
    ada.page.get_by_text("The video was ordered.").wait_for()
    (video,) = ada.http("GET", "/v1/videos")["videos"]
    assert video["project_id"]
    assert video["model_id"] == "gen4-turbo"
    assert ada.problems == []


def test_a_storyboard_becomes_clips(ada: Visitor) -> None:
    ada.sign_in()
    ada.go("Storyboard")
    ada.page.get_by_text("No projects yet").wait_for()
    ada.page.get_by_label("Name of the new project").fill("A day at sea")
    ada.page.get_by_role("button", name="Create project").click()
    ada.page.get_by_role("heading", name="A day at sea").wait_for()
    for number, prompt in ((1, "The sun rises"), (2, "The sun sets #moderated")):
        ada.page.get_by_role("button", name="Add a scene").click()
        scene = ada.page.get_by_role("listitem", name=f"Scene {number}")
        for label in ("First image", "Last image"):
            scene.get_by_label(label, exact=True).set_input_files(
                {"name": "sea.png", "mimeType": "image/png", "buffer": image()}
            )
            scene.get_by_alt_text(f"{label}: preview").wait_for()
        scene.get_by_label("What happens").fill(prompt)
        scene.get_by_label("Seconds").fill("4")
        scene.get_by_label("Seconds").blur()
    ada.page.get_by_role("button", name=re.compile(r"^Render 2 clips · \d+ credits$")).click()
    ada.page.get_by_role("listitem", name="Scene 1").locator("video").wait_for()
    failed = ada.page.get_by_role("listitem", name="Scene 2")
    failed.get_by_text("Failed", exact=True).wait_for()
    failed.get_by_text("The content rules do not allow this").wait_for()
    failed.get_by_text("Nothing was charged.").wait_for()
    assert violations(ada) == []
    assert ada.problems == []


def test_a_scene_becomes_an_image_and_then_a_video(ada: Visitor) -> None:
    project = ada.http("POST", "/v1/projects", name="A day at sea")
    ada.http("POST", f"/v1/projects/{project['project_id']}/scenes")
    ada.sign_in()
    ada.go("Storyboard")
    ada.page.get_by_role("link", name="A day at sea").click()
    scene = ada.page.get_by_role("listitem", name="Scene 1")
    scene.get_by_label("From a prompt").check()
    scene.get_by_label("What the image shows").fill("A harbour in the morning")
    scene.get_by_label("What happens").fill("The boats leave")
    scene.get_by_label("What happens").blur()
    assert "Veo 3.1 between two frames" not in scene.get_by_label("Model of the video").inner_text()
    scene.get_by_label("Model of the image").select_option("Image by Runware")
    render = scene.get_by_role("button", name="Render", exact=True)
    render.and_(ada.page.locator(":enabled")).wait_for()
    # No price is asked for while a change is being saved: it would be that of the old model.
    saving: list[Route] = []
    ada.page.route("**/scenes/*", lambda route: saving.append(route))  # noqa: PLW0108
    with ada.page.expect_request("**/scenes/*"):
        scene.get_by_label("Model of the video").select_option("Gen-4.5")
    render.and_(ada.page.locator(":disabled")).wait_for()
    saving[0].continue_()
    render.click()
    scene.get_by_role("button", name=re.compile(r"^Render · \d+ credits$")).click()
    scene.locator("video").wait_for()
    scene.get_by_alt_text("Image of scene 1").wait_for()
    (job,) = ada.http("GET", "/v1/videos")["videos"]
    assert job["model_id"] == "gen4.5"
    assert [stage["name"] for stage in job["stages"]] == ["image", "video"]
    both = job["credits_used"]
    # With its image, the same scene costs the video alone.
    scene.get_by_role("button", name="Render again").click()
    scene.get_by_role("button", name=re.compile(r"^Render again · \d+ credits$")).click()
    wait_for(lambda: len(ada.http("GET", "/v1/videos")["videos"]) == 2, 120, every=0.2)
    again = ada.http("GET", "/v1/videos")["videos"][0]
    assert [stage["name"] for stage in again["stages"]] == ["video"]
    assert again["credits_used"] < both
    assert ada.problems == []


def test_a_purchase_arrives_while_the_credits_are_shown(stack: Stack, ada: Visitor) -> None:
    stores.connect(stack)
    ada.http("PUT", "/v1/admin/packs/credits-500", credits=500, name="500 credits")
    ada.sign_in()
    ada.go("Credits")
    ada.page.get_by_label("100 credits available").wait_for()
    event = store_wire.checkout(client_reference_id=ada.name, payment_intent=uuid.uuid4().hex)
    for _ in range(2):
        httpx.post(
            f"{stack.api_url}/webhooks/purchases/stripe",
            content=event.body,
            headers=event.headers,
            trust_env=False,
            timeout=60,
        ).raise_for_status()
    ada.page.get_by_label("600 credits available").wait_for()
    ada.page.locator(".figure.main").get_by_text("600").wait_for()
    lines = ada.page.get_by_role("table").get_by_role("row").all_inner_texts()
    assert len(lines) == 3  # with the heading
    assert "+500" in lines[1]
    assert ada.problems == []


def test_a_second_user_sees_nothing_of_the_first(
    ada: Visitor, new_visitor: Callable[..., Visitor]
) -> None:
    job = ada.http("POST", "/v1/videos", model_id="veo-3.1", prompt="A secret of Ada")
    eve = new_visitor(0)
    eve.sign_in()
    eve.page.get_by_text("Nothing here yet").wait_for()
    eve.go("Library")
    eve.page.get_by_text("You have no videos yet").wait_for()
    eve.page.evaluate(f"location.hash = '#/library/{job['job_id']}'")
    eve.page.get_by_text("There is no such video.").wait_for()
    eve.page.keyboard.press("Escape")
    eve.go("Credits")
    eve.page.get_by_text("No entries yet").wait_for()
    assert "A secret of Ada" not in eve.page.content()


def test_signing_out_forgets_the_token(ada: Visitor) -> None:
    ada.sign_in()
    assert "access_token" in ada.page.evaluate("JSON.stringify(sessionStorage)")
    ada.page.get_by_role("button", name="Sign out").click()
    ada.page.get_by_role("button", name="Sign in", exact=True).wait_for()
    assert "access_token" not in ada.page.evaluate(
        "JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"
    )


def test_only_a_refused_refresh_token_ends_the_session(ada: Visitor) -> None:
    ada.sign_in()
    ada.page.get_by_label("100 credits available").wait_for()
    ada.page.evaluate(ADD_REFRESH_TOKEN)
    anywhere = {"Access-Control-Allow-Origin": "*"}
    ada.page.route("**/v1/credits", lambda route: route.fulfill(status=401, headers=anywhere))
    ada.page.route(f"**{TOKENS}", lambda route: route.abort())
    ada.go("Credits")
    ada.page.get_by_text("There is no connection.").wait_for()
    assert "access_token" in ada.page.evaluate("JSON.stringify(sessionStorage)")
    ada.page.route(
        f"**{TOKENS}",
        lambda route: route.fulfill(status=400, headers=anywhere, json={"error": "invalid_grant"}),
    )
    ada.page.get_by_role("button", name="Try again").click()
    ada.page.get_by_text("Your session has ended.").wait_for()
    assert "access_token" not in ada.page.evaluate("JSON.stringify(sessionStorage)")


def test_polling_stops_when_nothing_runs_and_in_a_hidden_tab(stack: Stack, ada: Visitor) -> None:
    ada.sign_in()
    ada.page.get_by_text("Nothing here yet").wait_for()
    ada.page.wait_for_timeout(1_000)
    ada.calls.clear()
    ada.page.wait_for_timeout(5_000)
    assert ada.calls == []
    stack.fal.change(queue_seconds=60)
    try:
        ada.order("A fox in the snow")
        ada.page.wait_for_timeout(5_000)
        assert ("GET", "/v1/videos") in ada.calls
        ada.page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        ada.page.wait_for_timeout(1_000)
        ada.calls.clear()
        ada.page.wait_for_timeout(5_000)
        assert ada.calls == []
        ada.page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        ada.page.wait_for_timeout(1_000)
        assert ("GET", "/v1/videos") in ada.calls
        (video,) = ada.http("GET", "/v1/videos")["videos"]
        ada.http("POST", f"/v1/videos/{video['job_id']}/cancel")
    finally:
        stack.fal.change(queue_seconds=0.5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [{}, PHONE], ids=["desktop", "phone"])
def test_every_page_is_accessible_and_fits_its_window(
    new_visitor: Callable[..., Visitor], window: dict[str, Any], scheme: str
) -> None:
    visitor = new_visitor(100, color_scheme=scheme, **window)
    visitor.page.goto(visitor.stack.console_url)
    visitor.page.get_by_role("button", name="Sign in", exact=True).wait_for()
    found = {"sign-in": violations(visitor)}
    visitor.sign_in()
    visitor.http("POST", "/v1/videos", model_id="veo-3.1", prompt="A fox #moderated")
    visitor.http("POST", "/v1/videos", model_id="veo-3.1", prompt="A lighthouse at dawn")
    visitor.page.reload()
    visitor.page.get_by_text("Ready", exact=True).wait_for()
    for page in ("Create", "Library", "Storyboard", "Credits"):
        if page != "Create":
            visitor.go(page)
            visitor.page.wait_for_load_state("networkidle")
        found[page] = violations(visitor)
    project = visitor.http("POST", "/v1/projects", name="A day at sea")
    visitor.http("POST", f"/v1/projects/{project['project_id']}/scenes")
    visitor.page.evaluate(f"location.hash = '#/storyboard/{project['project_id']}'")
    for way in ("Two images", "From a prompt"):
        visitor.page.get_by_role("listitem", name="Scene 1").get_by_label(way).check()
        found[way] = violations(visitor)
    visitor.go("Library")
    open_first(visitor)
    found["dialog"] = violations(visitor)
    assert {page: broken for page, broken in found.items() if broken} == {}


def test_the_console_is_used_with_the_keyboard_alone(ada: Visitor) -> None:
    ada.page.goto(ada.stack.console_url)
    ada.page.get_by_role("button", name="Sign in", exact=True).wait_for()
    ada.page.keyboard.press("Tab")
    ada.page.keyboard.press("Enter")
    ada.page.get_by_label("User name").wait_for()
    ada.page.keyboard.type(ada.name)
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("heading", name="Create a video").wait_for()
    ada.page.keyboard.press("Tab")
    assert ada.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    ada.page.keyboard.press("Enter")
    ada.page.get_by_label("Describe the video").wait_for()
    ada.page.keyboard.press("Tab")
    ada.page.keyboard.type("A fox")
    assert ada.page.get_by_label("Describe the video").input_value() == "A fox"


def test_credits_show_when_they_end_and_what_has_come_and_gone(ada: Visitor) -> None:
    pack = {"name": "Small pack", "credits": 50, "kind": "allowance", "expires_after_days": 30}
    ada.http("PUT", "/v1/admin/packs/small", **pack, store_ids={"stripe": ["price_small"]})
    ada.http(
        "POST",
        "/v1/admin/grants",
        user_id=ada.name,
        amount=20,
        reference=f"{ada.name}-gift",
        kind="promo",
        expires_at="2090-01-02T12:00:00Z",
    )
    ada.sign_in()
    ada.order("A fox in the snow")
    ada.page.get_by_text("Ready", exact=True).wait_for()
    ada.go("Credits")
    ada.page.get_by_role("heading", name="Your credits").wait_for()
    lots = ada.page.get_by_role("region", name="Your credits, in the order").inner_text()
    assert "bought, without an end" in lots
    packs = ada.page.get_by_role("region", name="Packs").inner_text()
    assert "50 credits" in packs
    assert "Small pack, valid for 30 days" in packs
    table = ada.page.get_by_role("table").inner_text()
    for line in ("Credits added", "On hold for a video", "Charged for a video"):
        assert line in table
    ada.page.get_by_role("link", name="Show the video").first.click()
    ada.page.get_by_role("dialog").get_by_text("Veo 3.1").wait_for()
    assert violations(ada) == []
    assert ada.problems == []
