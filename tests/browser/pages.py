"""What the tests of all pages use: a phone, and axe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.browser import AXE

if TYPE_CHECKING:
    from tests.browser.visitor import Visitor

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
}


ADD_REFRESH_TOKEN = """() => {
  const key = Object.keys(sessionStorage).find((one) => one.startsWith("oidc.user:"));
  const user = {...JSON.parse(sessionStorage[key]), refresh_token: "r1"};
  sessionStorage[key] = JSON.stringify(user);
}"""
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth)
    .map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`)"""

# Only violations in full: otherwise axe makes a selector for each element that passes a rule.
RUN = "axe.run({resultTypes: ['violations']}).then((result) => result.violations)"


def violations(visitor: Visitor) -> list[str]:
    """What axe finds, with its gravity and the elements, and whether the page is too wide."""
    # The page's own policy forbids scripts that it has not loaded itself; this one is the test's.
    visitor.page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = visitor.page.evaluate(RUN)
    return [f"wider than the window: {one}" for one in visitor.page.evaluate(TOO_WIDE)] + [
        f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
