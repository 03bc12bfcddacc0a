"""The operator's pages in a browser, against the whole local stack."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local import stores
from local.issuer import TOKENS
from local.sign_in import OPERATOR
from local.stack import wait_for
from tests.browser.pages import ADD_REFRESH_TOKEN, PHONE, violations
from tests.browser.visitor import LOOPBACK, Visitor
from tests.support import store_wire

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from local.stack import Stack

pytestmark = pytest.mark.slow

ANYWHERE = {"Access-Control-Allow-Origin": "*"}
PAGES = (
    "Overview",
    "Jobs",
    "Users",
    "Models",
    "Purchases",
    "Webhooks",
    "Providers",
    "Audit",
)


@pytest.fixture
def new_operator(new_visitor: Callable[..., Visitor]) -> Callable[..., Visitor]:
    def make(**window: Any) -> Visitor:
        visitor = new_visitor(0, name=OPERATOR, **window)
        visitor.sign_in(operator=True)
        return visitor

    return make


def failed_job(user: Visitor) -> dict[str, Any]:
    """A job that a provider has declined, as the operator API shows it."""
    order = {"model_id": "veo-3.1", "prompt": "A fox #moderated"}
    job_id = user.http("POST", "/v1/videos", **order)["job_id"]
    wait_for(lambda: user.http("GET", f"/v1/videos/{job_id}")["completed_at"], 120, every=0.2)
    job: dict[str, Any] = user.http("GET", f"/v1/admin/jobs/{job_id}")
    return job


def raise_alarm(stack: Stack, name: str) -> None:
    """Puts an alarm of the stack on. Only those that the local stack does not evaluate stay on."""
    alarms = stack.boto3("cloudwatch")
    names = [one["AlarmName"] for one in alarms.describe_alarms()["MetricAlarms"]]
    [full_name] = [one for one in names if f"-{name}-" in one]
    alarms.set_alarm_state(AlarmName=full_name, StateValue="ALARM", StateReason="raised by a test")


def find(operator: Visitor, any_id: str) -> None:
    search = operator.page.get_by_role("searchbox", name="Find any id")
    search.fill(any_id)
    search.press("Enter")


def test_an_operator_finds_a_failed_job_by_the_providers_id_and_grants_goodwill_once(
    ada: Visitor, new_operator: Callable[..., Visitor]
) -> None:
    job = failed_job(ada)
    operator = new_operator()
    operator.open("Overview")
    find(operator, job["stages"][0]["submission"]["request_id"])
    page = operator.page
    page.get_by_role("heading", level=1, name=f"Job {job['job_id']}").wait_for()
    page.get_by_text("CONTENT_POLICY: ").wait_for()
    page.get_by_role("region", name="Timeline").get_by_role("img").wait_for()
    page.get_by_label("Goodwill, in credits").fill("7")
    page.get_by_label("Why? The user can read it").fill("The video failed")
    # Two clicks at once, faster than the page can disable a button.
    page.get_by_role("button", name="Grant goodwill").evaluate(
        "(button) => { button.click(); button.click(); }"
    )
    page.get_by_text("7 credits", exact=True).wait_for()
    page.get_by_role("button", name="Grant goodwill").click()
    page.get_by_text("Nothing was added.").wait_for()
    assert ada.http("GET", "/v1/credits")["available"] == 107
    entries = ada.http("GET", "/v1/credits/entries")["entries"]
    granted = [(one["credits"], one["reason"]) for one in entries if one["kind"] == "grant"]
    assert granted == [(7, "The video failed"), (100, None)]
    assert operator.problems == []
    assert operator.hosts <= LOOPBACK


def test_a_user_without_the_scope_sees_no_operator_page_and_gets_403(ada: Visitor) -> None:
    """Also one who asks the issuer for the scope."""
    loaded: list[str] = []
    ada.page.on("request", lambda sent: loaded.append(sent.url))
    ada.sign_in(operator=True)
    assert ada.page.get_by_role("link", name="Operator").count() == 0
    ada.page.evaluate("location.hash = '#/operator/jobs'")
    ada.page.get_by_role("heading", name="Create a video").wait_for()
    assert ada.page.get_by_role("navigation", name="Operator pages").count() == 0
    assert not any("/operator/" in url for url in loaded)
    for path in ("/v1/admin/jobs", "/v1/admin/usage", "/v1/admin/audit"):
        answer = httpx.get(
            ada.stack.api_url + path, headers=ada.stack.bearer(ada.name), trust_env=False
        )
        assert answer.status_code == 403, path


def test_an_operator_key_is_sent_with_the_code_and_not_kept(
    new_visitor: Callable[..., Visitor],
) -> None:
    """As with a Cognito pool, whose client for operators has a secret."""
    visitor = new_visitor(0, name=OPERATOR)
    page = visitor.page
    exchanged: list[str] = []

    def with_key(route: Route) -> None:
        config = route.fetch().json()
        route.fulfill(json={**config, "operator": {**config["operator"], "key": True}})

    def exchange(route: Route) -> None:
        exchanged.append(route.request.post_data or "")
        route.continue_()

    page.route("**/config.json", with_key)
    page.route(f"**{TOKENS}", exchange)
    page.goto(visitor.stack.console_url)
    page.get_by_role("button", name="Sign in as an operator").click()
    page.get_by_label("Operator key").fill("a-key-of-the-owner")
    page.get_by_role("button", name="Sign in as an operator").click()
    page.get_by_label("User name").fill(OPERATOR)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("link", name="Operator", exact=True).wait_for()
    assert ["client_secret=a-key-of-the-owner" in body for body in exchanged] == [True]
    assert "a-key-of-the-owner" not in page.evaluate("JSON.stringify(sessionStorage)")
    assert visitor.problems == []
    # So the issuer does not renew the session.
    page.evaluate(ADD_REFRESH_TOKEN)
    page.route("**/v1/credits", lambda route: route.fulfill(status=401, headers=ANYWHERE))
    page.route(
        f"**{TOKENS}",
        lambda route: route.fulfill(status=401, headers=ANYWHERE, json={"error": "invalid_client"}),
    )
    visitor.go("Credits")
    page.get_by_text("Your session has ended.").wait_for()


def test_an_operator_cancels_a_job_and_the_audit_has_the_reason(
    stack: Stack, ada: Visitor, new_operator: Callable[..., Visitor]
) -> None:
    stack.fal.change(queue_seconds=60)
    try:
        order = {"model_id": "veo-3.1", "prompt": "A fox in the snow"}
        job_id = ada.http("POST", "/v1/videos", **order)["job_id"]
        operator = new_operator()
        operator.open("Jobs")
        find(operator, job_id)
        page = operator.page
        page.get_by_role("button", name="Cancel the job").click()
        why = page.get_by_role("form", name="Reason")
        why.get_by_role("textbox").fill("The user asked for it by e-mail")
        why.get_by_role("button", name="Cancel the job").click()
        page.get_by_text("Cancelled", exact=True).wait_for()
        assert page.get_by_role("button", name="Cancel the job").count() == 0  # it has ended
        assert ada.http("GET", "/v1/credits")["available"] == 100
        operator.open("Audit")
        line = page.get_by_role("row").filter(has_text=job_id)
        line.get_by_text("The user asked for it by e-mail").wait_for()
        line.get_by_text(OPERATOR, exact=True).wait_for()
        assert operator.problems == []
    finally:
        stack.fal.change(queue_seconds=0.5)


def test_an_operator_changes_a_model_after_its_check(new_operator: Callable[..., Visitor]) -> None:
    operator = new_operator()
    operator.open("Models")
    page = operator.page
    page.get_by_role("link", name="Image by Runware").click()
    save = page.get_by_role("button", name="Save")
    before = page.get_by_label("Price, in credits").input_value()
    assert save.is_disabled()
    page.get_by_label("Price, in credits").fill("-1")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("alert").wait_for()
    assert save.is_disabled()
    page.get_by_label("Price, in credits").fill(str(int(before) + 2))
    page.get_by_role("button", name="Check").click()
    page.get_by_text("The check found nothing wrong.").wait_for()
    save.click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("table", name="").get_by_role("row").nth(2).wait_for()
    owned = operator.http("GET", "/v1/admin/models/runware-image")
    assert owned["model"]["price"]["credits"] == int(before) + 2
    assert owned["changed_by"] == OPERATOR
    assert operator.http("PUT", "/v1/admin/models/runware-image", **owned["history"][0]["model"])


def test_an_operator_credits_a_purchase_that_waits(
    stack: Stack, ada: Visitor, new_operator: Callable[..., Visitor]
) -> None:
    """Its product was not known when the store reported it."""
    stores.connect(stack)
    payment = uuid.uuid4().hex
    event = store_wire.checkout(
        client_reference_id=ada.name,
        payment_intent=payment,
        metadata={"clipmint_product": "unknown-product"},
    )
    url = f"{stack.api_url}/webhooks/purchases/stripe"
    sent = httpx.post(url, content=event.body, headers=event.headers, trust_env=False, timeout=60)
    sent.raise_for_status()
    ada.http("PUT", "/v1/admin/packs/credits-500", credits=500, name="500 credits")
    operator = new_operator()
    operator.open("Purchases")
    waiting = operator.page.get_by_role("article").filter(has_text=payment)
    waiting.get_by_label("Product").fill("credits-500")
    waiting.get_by_role("button", name="Credit it").click()
    waiting.wait_for(state="detached")
    assert ada.http("GET", "/v1/credits")["available"] == 600
    assert operator.problems == []


def test_a_secret_of_a_webhook_is_shown_once(new_operator: Callable[..., Visitor]) -> None:
    operator = new_operator()
    operator.open("Webhooks")
    page = operator.page
    url = f"https://example.com/{uuid.uuid4().hex}"
    page.get_by_label("URL").fill(url)
    page.get_by_role("button", name="Add").click()
    secret = page.locator("code").inner_text()
    assert secret.startswith("whsec_")
    page.get_by_role("link", name=url).click()
    page.get_by_role("button", name="Send a test").click()
    page.get_by_text("webhook.test").first.wait_for()
    page.get_by_role("button", name="Replace the secret").click()
    page.get_by_role("group").get_by_role("button", name="Replace the secret").click()
    page.get_by_text("The secret before signs until").wait_for()
    assert page.locator("code").inner_text() not in {secret, ""}
    page.reload()
    page.get_by_text(url).wait_for()
    assert "whsec_" not in page.content()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("group").get_by_role("button", name="Delete").click()
    page.get_by_role("heading", level=1, name="Webhooks").wait_for()
    assert page.get_by_role("link", name=url).count() == 0
    assert operator.problems == []


@pytest.mark.parametrize(
    "window",
    [{}, {**PHONE, "color_scheme": "dark"}],
    ids=["desktop", "dark phone"],
)
def test_every_page_is_accessible_and_fits_its_window(
    stack: Stack, ada: Visitor, new_operator: Callable[..., Visitor], window: dict[str, Any]
) -> None:
    job = failed_job(ada)
    raise_alarm(stack, "PurchaseWaiting")
    operator = new_operator(**window)
    page = operator.page
    found = {}

    def look(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.locator(".ghost").first.wait_for(state="detached")
        found[name] = violations(operator)

    for name in reversed(PAGES):
        operator.open(name)
        look(name)
    alarms = page.get_by_role("region", name="Alarms")
    on = alarms.get_by_role("listitem").filter(has_text="PurchaseWaiting")
    assert "A user has paid and has no credits" in on.inner_text()
    assert "docs/runbook.md#purchasewaiting" in on.inner_text()
    assert "CloudWatch: raised by a test" in on.inner_text()
    alarms.get_by_text("alarms are OK").click()
    look("alarms")
    full_page = {"jobs": operator.http("GET", "/v1/admin/jobs?limit=1")["jobs"] * 100}
    page.route(
        "**/v1/admin/jobs?limit=100&from=*",
        lambda route: route.fulfill(json=full_page | {"next_cursor": "more"}, headers=ANYWHERE),
    )
    page.get_by_label("24 hours").check()
    page.get_by_text("Both charts show only the newest 500, so").wait_for()
    look("more jobs than are read")
    find(operator, job["job_id"])
    page.get_by_role("heading", level=1, name="Job").wait_for()
    look("job")
    page.get_by_role("link", name=ada.name).click()
    page.get_by_role("heading", level=1, name="User").wait_for()
    look("user")
    operator.open("Models")
    page.get_by_role("link", name="Veo 3.1", exact=True).click()
    page.get_by_role("button", name="Check").click()
    page.get_by_text("The check found nothing wrong.").wait_for()
    look("model")
    assert operator.problems == []
    page.route("**/v1/admin/alarms", lambda route: route.fulfill(status=500, headers=ANYWHERE))
    operator.open("Overview")
    alarms.get_by_role("alert").filter(has_text="The alarms could not be read").wait_for()
    look("alarms that are not known")
    page.unroute_all()
    alarms.get_by_role("button", name="Try again").click()
    on.wait_for()
    assert {name: broken for name, broken in found.items() if broken} == {}
    assert operator.hosts <= LOOPBACK


def test_a_job_is_found_with_the_keyboard_alone(
    ada: Visitor, new_operator: Callable[..., Visitor]
) -> None:
    job = failed_job(ada)
    operator = new_operator()
    page = operator.page
    page.get_by_role("link", name="Operator", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(len(PAGES) + 1):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type(job["job_id"])
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name=f"Job {job['job_id']}").wait_for()
