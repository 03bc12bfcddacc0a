"""`python -m tests.browser.measurements`: how fast the console is, and what an open page costs.

Two figures, for docs/console.md:

- **The time to the first progress**: from a click on Create until the browser shows the job's
  progress bar. The functions are warm.
- **An hour of an open page**: a page is open for up to a minute, in a visible tab with a running
  video and with none, and in a hidden tab. Its requests, the AWS calls of their functions, and
  their list price (`benchmarks.prices`) are counted, and given for an hour. The first minute of a
  running video counts apart, because its requests are more frequent.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cost import ACCESS_LOG_BYTES
from benchmarks.prices import NotCounted, Usage, cached, called, dollars, lambda_run
from local.deploy import ROOT, load_template
from local.journal import Invocation
from local.stack import Stack
from tests.browser.visitor import Visitor
from tests.support.browser import running_browser

ORDERS = 9
SECONDS = 60
VIDEOS = 3
PAGE = 24
"""Videos that the console reads at once."""
FIRST_PROGRESS = """() => new Promise((done) => {
  const before = document.querySelectorAll(".recent progress").length;
  const began = performance.now();
  const seen = new MutationObserver(() => {
    if (document.querySelectorAll(".recent progress").length <= before) return;
    seen.disconnect();
    requestAnimationFrame(() => done(performance.now() - began));
  });
  seen.observe(document.body, {childList: true, subtree: true});
  document.querySelector("form button[type=submit]").click();
})"""
HIDE = """() => {
  Object.defineProperty(document, "hidden", {value: true, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@dataclass(frozen=True)
class Hour:
    """An open page, scaled to an hour."""

    page: str
    requests: float
    calls: float
    dollars: float

    def __str__(self) -> str:
        return (
            f"{self.page:34} {self.requests:6.0f} requests"
            f" {self.calls:6.0f} AWS calls  ${self.dollars:.5f}"
        )


def first_progress(visitor: Visitor) -> list[float]:
    """Milliseconds from the click to the progress bar, of several orders."""
    found = []
    for number in range(ORDERS):
        visitor.page.get_by_label("Describe the video").fill(f"A lighthouse at dawn, {number}")
        visitor.page.wait_for_function("!document.querySelector('form [type=submit]').disabled")
        found.append(visitor.page.evaluate(FIRST_PROGRESS))
        cancel_all(visitor)
        visitor.page.get_by_role("progressbar").wait_for(state="detached")
    return found


def cancel_all(visitor: Visitor) -> None:
    for job in visitor.http("GET", "/v1/videos")["videos"]:
        if job["completed_at"] is None:
            visitor.http("POST", f"/v1/videos/{job['job_id']}/cancel")


def usage_of(run: Invocation, template: Any) -> Usage:
    """What AWS bills for one request."""
    megabytes = template["Resources"][run.function]["Properties"]["MemorySize"]
    own = [call for call in run.calls if not cached(call)]
    # A list reads its jobs with BatchGetItem, whose units the emulator does not report: as for a
    # full page of jobs of at most 4 kB.
    lists = sum(call.capacity is None for call in own)
    own = [call for call in own if call.capacity is not None]
    gateway = Usage({"HTTP API requests": 1, "log bytes": ACCESS_LOG_BYTES})
    return (
        lambda_run(run.milliseconds or 0, run.cpu_milliseconds or 0, megabytes)
        + called(own)
        + Usage({"DynamoDB read units": lists * PAGE})
        + gateway
    )


def hour(stack: Stack, page: str, visitor: Visitor, after: float, per_hour: float) -> Hour:
    """The requests of the last seconds, scaled. `per_hour` is the factor."""
    ran = [
        run
        for run in stack.invocations(about=f'"{visitor.name}"')
        if run.at >= after and run.ended and "requestContext" in (run.event or {})
    ]
    template = load_template(ROOT / "template.yaml")
    bill = Usage()
    for run in ran:
        bill += usage_of(run, template)
    calls = sum(len([call for call in run.calls if not cached(call)]) for run in ran)
    if len(ran) != len(visitor.calls):
        raise NotCounted(f"{len(ran)} runs for {Counter(visitor.calls)}")
    return Hour(page, len(ran) * per_hour, calls * per_hour, dollars(bill) * per_hour)


def open_pages(stack: Stack, visitor: Visitor) -> Sequence[Hour]:
    """The figures of pages that are open for a while."""

    def watched(page: str, seconds: float, per_hour: float) -> Hour:
        visitor.page.wait_for_load_state("networkidle")
        visitor.page.wait_for_timeout(500)
        visitor.calls.clear()
        after = time.time()
        visitor.page.wait_for_timeout(seconds * 1_000)
        return hour(stack, page, visitor, after, per_hour)

    found = []
    for page in ("Create", "Library", "Storyboard"):
        visitor.go(page)
        found.append(watched(f"{page}, nothing runs", 15, 240))
    visitor.go("Credits")
    found.append(watched("Credits, its first ten minutes", SECONDS, 10))
    visitor.go("Create")
    visitor.order("A ship that does not arrive")
    first = watched("first minute of a running video", SECONDS - 5, 60 / 55)
    found.append(first)
    visitor.page.wait_for_timeout(8_000)
    later = watched("", SECONDS, 59)
    found.append(
        Hour(
            "Create, a video runs",
            first.requests + later.requests,
            first.calls + later.calls,
            first.dollars + later.dollars,
        )
    )
    visitor.page.evaluate(HIDE)
    found.append(watched("hidden tab, a video runs", 15, 240))
    cancel_all(visitor)
    return found


def main() -> int:
    with Stack(simulate=("fal", "runway", "runware")) as stack, running_browser() as browser:
        visitor = Visitor(stack, browser, "measured", 5_000)
        visitor.sign_in()
        for number in range(VIDEOS):
            visitor.order(f"A lighthouse at dawn, number {number}")
            visitor.page.locator(".recent .status.completed").nth(number).wait_for()
        stack.fal.change(queue_seconds=600)
        times = sorted(first_progress(visitor))
        print(
            f"first progress after a click on Create: median {statistics.median(times):.0f} ms,"
            f" from {times[0]:.0f} to {times[-1]:.0f} ms, {len(times)} orders"
        )
        for one in open_pages(stack, visitor):
            print(one)
        visitor.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
