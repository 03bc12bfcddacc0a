"""The demo with all providers: one job at each, and one job whose first provider is down.

The same prompt goes to three models. The simulators send webhooks, except Runway, which has none
and is polled; the table shows the cost of that in state transitions and AWS calls.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from local.demo.checks import decode, faults_of_journal
from local.demo.first_act import FirstAct, Job
from local.demo.inspection import count_repeats
from local.demo.orders import NAMES, Order

SECOND = "runware"
"""The second provider of the rerouted video's model."""


class SideBySide(FirstAct):
    """One run on a started stack that has all three providers."""

    def run_all(self, orders: Sequence[Order], rerouted: Order) -> None:
        """Run the demo. Raises what `App` raises, and TimeoutError if a job does not end."""
        with self._app, self._owner:
            jobs, completed = self._make(orders)
            self._compare(completed)
            self._journal(jobs)
            first, second = rerouted.provider, SECOND
            if {first, second} <= self._stack.simulators.keys():
                self._fail_over(rerouted, first, second)
            else:
                self._screen.say(
                    "The failover is left out: a real provider cannot be made to fail."
                )

    def _compare(self, jobs: Sequence[Job]) -> None:
        self._screen.heading("Side by side")
        rows = []
        for job in jobs:
            clip = decode(self._out / f"{job.name}.mp4")
            states = self._inspector.transitions(job.job_id)
            rows.append(
                (
                    job.name,
                    job.order.model_id,
                    clip.codec,
                    f"{clip.seconds:.2f} s",
                    f"{clip.width}x{clip.height}",
                    job.video["credits_used"],
                    f"{len(states)} ({count_repeats(states)})",
                    self._inspector.aws_calls(job.job_id),
                    f"{_seconds(job):.1f} s",
                )
            )
        columns = ("provider", "model", "codec", "length", "size", "credits")
        self._screen.table((*columns, "transitions", "AWS calls", "took"), rows)

    def _fail_over(self, order: Order, first: str, second: str) -> None:
        """The first provider of a model refuses every submission; the second makes the video."""
        self._screen.heading(f"{NAMES[first]} is down, and {order.model_id} has a second provider")
        before = {name: len(each.submissions()) for name, each in self._stack.simulators.items()}
        self._stack.simulators[first].arm("submit_503", times=None)
        job = self._estimated(order)
        self._begin(job, str(uuid.uuid4()), self._balance - job.estimate)
        self._show_account("while it runs", self._balance - job.estimate, job.estimate)
        self._watch([job])
        self._stack.simulators[first].disarm()
        self._checks.equal("failover: status", job.video["status"], "completed")
        self._checks.equal("failover: credits used", job.video["credits_used"], job.estimate)
        self._balance -= job.estimate
        self._show_account("in the end", self._balance, 0)
        if job.video["status"] != "completed":
            return
        self._download([job])
        self._inspect(job, second)

        self._screen.heading("How it went")
        self._screen.say(f"history: {' → '.join(self._inspector.transitions(job.job_id))}")
        refusals = self._inspector.stages(job.job_id)[0]["refusals"]
        for refusal in refusals:
            self._screen.say(
                f"refused: by {refusal['provider']}, {refusal['reason']}, at {refusal['at']}"
            )
        noted = [(refusal["provider"], refusal["reason"]) for refusal in refusals]
        self._checks.equal("failover: refusals", noted, [(first, "BUSY")])
        self._hold_and_payment(job, before, second)

    def _hold_and_payment(self, job: Job, before: dict[str, int], second: str) -> None:
        entries = self._app.all_entries()
        lines = [line for line in entries if line["job_id"] == job.job_id]
        kinds = [line["kind"] for line in lines]
        text = ", ".join(f"{line['kind']} {line['credits']}" for line in lines)
        self._screen.say(f"journal: {text}")
        self._checks.equal("failover: journal", kinds, ["hold", "capture"])
        for fault in faults_of_journal(entries, self._balance, 0):
            self._checks.that(False, f"journal: {fault}")
        paid = {
            name: len(each.submissions()) - before[name]
            for name, each in self._stack.simulators.items()
        }
        self._screen.say("paid submissions: " + ", ".join(f"{n} {c}" for n, c in paid.items()))
        expected = {name: int(name == second) for name in paid}
        self._checks.equal("failover: paid submissions", paid, expected)


def _seconds(job: Job) -> float:
    """Seconds from the order to the end, by the API's timestamps."""
    began, ended = (
        datetime.fromisoformat(job.video[member]) for member in ("created_at", "completed_at")
    )
    return (ended - began).total_seconds()
