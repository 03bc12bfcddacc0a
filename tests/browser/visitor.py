"""A person at the console, with a browser window."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from local.running import RunningStack

LOOPBACK = {"127.0.0.1", "localhost"}
PATIENCE_MS = 120_000


class Visitor:
    """One user and one window. `problems` are the errors that the browser has reported."""

    def __init__(
        self, stack: RunningStack, browser: Browser, name: str, credits_: int, **window: Any
    ) -> None:
        self.stack, self.name = stack, name
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self._context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **window}
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._printed)
        self.page.on("request", self._requested)
        if credits_:
            self.http("POST", "/v1/admin/grants", user_id=name, amount=credits_, reference=name)

    def _printed(self, line: Any) -> None:
        if line.type == "error":
            self.problems.append(line.text)

    def _requested(self, request: Any) -> None:
        where = urlsplit(request.url)
        if where.scheme in {"http", "https"}:
            self.hosts.add(str(where.hostname))
        if request.url.startswith(self.stack.api_url) and request.method != "OPTIONS":
            self.calls.append((request.method, where.path))

    def http(self, method: str, path: str, **body: Any) -> Any:
        """A request of the owner or of this user to the API, without the browser."""
        admin = path.startswith("/v1/admin")
        answer = httpx.request(
            method,
            self.stack.api_url + path,
            headers={
                **self.stack.bearer("owner" if admin else self.name, admin=admin),
                "Idempotency-Key": uuid.uuid4().hex,
            },
            json=body or None,
            trust_env=False,
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def sign_in(self, *, operator: bool = False) -> None:
        self.page.goto(self.stack.console_url)
        button = "Sign in as an operator" if operator else "Sign in"
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.get_by_label("User name").fill(self.name)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.get_by_role("heading", name="Create a video").wait_for()

    def go(self, page: str) -> None:
        """To a page, by its link."""
        pages = self.page.get_by_role("navigation", name="Pages")
        pages.get_by_role("link", name=page, exact=True).click()
        self.page.get_by_role("heading", level=1).filter(has_text=page).wait_for()

    def open(self, page: str, heading: str = "") -> None:
        """To an operator's page, by its link."""
        self.page.get_by_role("link", name="Operator", exact=True).click()
        pages = self.page.get_by_role("navigation", name="Operator pages")
        pages.get_by_role("link", name=page, exact=True).click()
        self.page.get_by_role("heading", level=1, name=heading or page).wait_for()

    def order(self, prompt: str, model: str = "Veo 3.1") -> None:
        """Order a video with the form of the page Create."""
        self.page.get_by_label("Describe the video").fill(prompt)
        self.page.locator("label.card").filter(
            has=self.page.get_by_text(model, exact=True)
        ).locator("input").check()
        self.page.locator(".price strong").filter(has_text=re.compile(r"^\d+ credits$")).wait_for()
        self.page.get_by_role("button", name="Create", exact=True).click()
        self.page.get_by_text("The video was ordered.").wait_for()

    def leave(self) -> None:
        self._context.close()
