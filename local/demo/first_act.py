"""The first act: videos of one provider, of which one fails, or one video of each provider.

Each step is checked. With all providers, one more job has a model with a second provider, while the
first one is down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from local.demo.act import FAILURES, Act, Job
from local.demo.app import once
from local.demo.inspection import counted
from local.demo.orders import NAMES

CREDITS = 100
FIRST, SECOND = "fal", "runware"
"""The providers of the model that has two."""


class FirstAct(Act):
    """The orders are those at one provider."""

    def play(self) -> None:
        jobs = self.make()
        shown = [job for job in jobs if job.completed][:1]
        if not self.any_real:
            jobs.append(self._fail_one())
        self.journal(jobs)
        for job in shown:
            self._show_backstage(job)

    def make(self) -> list[Job]:
        """Buy credits, order the videos, watch and download them."""
        self.heading("A user buys credits")
        granted = self.owner.grant(self.user, CREDITS)
        self.available = CREDITS
        self.equal("the granted amount", granted["available"], CREDITS)
        self.account("account before")

        self.heading("What will it cost?")
        jobs = [self.price(order) for order in self.orders]
        columns = ("video", "credits", "model", "settings", "prompt")
        self.table(columns, [(job.name, job.price, *job.order.looks) for job in jobs])

        these = "Both" if len(jobs) == 2 else "All"
        self.heading(f"{these} are started, each with an Idempotency-Key")
        for job in jobs:
            self._start_twice(job)
        self.say("sent twice with the same key, each is still one job and one charge")
        self.account("while they run")
        self.watch(jobs)
        for job in jobs:
            self.end(job)
        self.account("account after")
        self.clips = self.download(jobs)
        for job in jobs:
            self.inspect(job)
        return jobs

    def _start_twice(self, job: Job) -> None:
        key = once()
        self.start(job, key)
        again = self.app.post("/v1/videos", json=job.order.body, headers=key)
        self.equal(f"{job.name}: job of a retry", again.json()["job_id"], job.job_id)
        replay = again.headers.get("X-Idempotent-Replay") == "true"
        self.checks.that(replay, f"{job.name}: the retry is not marked as a replay")

    def order_one(self, job: Job, status: str, moment: str) -> None:
        """Order another video, and watch it until it has this status."""
        self.start(job, once())
        self.account("while it runs")
        self.watch([job])
        self.end(job, status)
        self.account(moment)

    def _fail_one(self) -> Job:
        """A generation the simulated provider accepts and then fails: the user pays nothing."""
        self.heading("One that the provider fails")
        order = replace(self.orders[0], name="failing", prompt="A video the provider fails to make")
        provider = order.model.provider
        self.stack.simulators[provider].arm(**FAILURES[provider])
        job = self.price(order)
        self.order_one(job, "failed", "refunded")
        self.equal("failing: video", job.video["video_url"], None)
        self.equal("failing: objects", self.backstage.objects(job.job_id), {})
        self.inspect(job)
        return job

    def _show_backstage(self, job: Job) -> None:
        """The states that one job went through, and every AWS call made for it."""
        self.heading(f"Behind the scenes of {job.name}")
        states = self.backstage.states(job.job_id)
        self.say(f"{len(states)} state transitions: {' → '.join(states)}")
        runs, of_polls = self.backstage.aws_calls(job.job_id)
        polls = len(job.percents)
        rows = [
            (name, counted([call.operation for call in calls], ", "))
            for name, calls in [*runs, (f"{polls} polls", of_polls)]
        ]
        self.table(("function", "AWS calls"), rows)
        self.equal(f"{job.name}: AWS calls of {polls} polls", len(of_polls), polls)


class SideBySide(FirstAct):
    """The orders are one at each provider: the same prompt goes to three models.

    The simulators send webhooks, except Runway, which has none and is polled; the table shows the
    cost of that in state transitions and AWS calls.
    """

    def play(self) -> None:
        jobs = self.make()
        self._compare([job for job in jobs if job.completed])
        self.journal(jobs)
        if {FIRST, SECOND} <= self.stack.simulators.keys():
            self._fail_over()
        else:
            self.say("The failover is left out: a real provider cannot be made to fail.")

    def _compare(self, jobs: Sequence[Job]) -> None:
        self.heading("Side by side")
        rows = []
        for job in jobs:
            states = self.backstage.states(job.job_id)
            runs, _ = self.backstage.aws_calls(job.job_id)
            calls = sum(len(calls) for _, calls in runs)
            about = (job.name, job.order.model.model_id, job.video["credits_used"])
            rows.append((*about, calls, len(states), counted(states)))
        columns = ("provider", "model", "credits", "AWS calls", "transitions", "which are")
        self.table(columns, rows)

    def _fail_over(self) -> None:
        """The first provider of a model refuses every submission; the second makes the video."""
        order = replace(self.orders[0], name="failover")
        first, model_id = self.stack.simulators[FIRST], order.model.model_id
        self.heading(f"{NAMES[FIRST]} is down, and {model_id} has a second provider")
        before = self._submissions()
        first.arm("submit_503", times=None)
        job = self.price(order)
        self.order_one(job, "completed", "in the end")
        first.disarm()
        self.download([job])
        self.inspect(job, SECOND)

        self.heading("How it went")
        self.say(f"history: {' → '.join(self.backstage.states(job.job_id))}")
        refusals = self.backstage.stages(job.job_id)[0]["refusals"]
        for refusal in refusals:
            self.say("refused: by {provider}, {reason}, at {at}".format_map(refusal))
        entries = self.app.journal()
        lines = [entry for entry in entries if entry["job_id"] == job.job_id]
        self.say("journal: " + ", ".join(f"{line['kind']} {line['credits']}" for line in lines))
        paid = {name: count - before[name] for name, count in self._submissions().items()}
        self.say("paid submissions: " + ", ".join(f"{name} {n}" for name, n in paid.items()))
        noted = [(refusal["provider"], refusal["reason"]) for refusal in refusals]
        self.equal("failover: refusals", noted, [(FIRST, "BUSY")])
        self.equal("failover: journal", [line["kind"] for line in lines], ["hold", "capture"])
        self.add_up(entries)
        self.equal("failover: paid submissions", paid, {name: int(name == SECOND) for name in paid})

    def _submissions(self) -> dict[str, int]:
        """How many submissions each simulator has accepted."""
        return {name: len(each.submissions()) for name, each in self.stack.simulators.items()}
