"""The demo with all providers: one job at each, side by side, and one past a provider that is down.

The same wish goes to three models. The simulators tell by webhook, except Runway, which has none
and is asked; the table shows what that comes to.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from local.demo.checks import decode, faults_of_journal
from local.demo.first_act import Story, Take
from local.demo.inspection import told
from local.demo.orders import NAMES, Shot

SECOND = "runware"
"""Whom the rerouted video's model names after its first provider."""


class SideBySide(Story):
    """One run on a started stack that has all three providers."""

    def tell_all(self, shots: Sequence[Shot], rerouted: Shot) -> None:
        """All of it. Raises what `App` raises, and TimeoutError if a job does not end."""
        with self._app, self._owner:
            self._buy_credits()
            takes = self._price(shots)
            self._start(takes)
            self._watch(takes)
            self._account_after(takes)
            completed = [take for take in takes if take.video["status"] == "completed"]
            self._download(completed)
            for take in takes:
                self._check_behind(take)
            self._compare(completed)
            self._journal(takes)
            first, second = rerouted.provider, SECOND
            if {first, second} <= self._stack.simulators.keys():
                self._fail_over(rerouted, first, second)
            else:
                self._screen.say("The failover is skipped: a real provider is not down to order.")

    def _compare(self, takes: Sequence[Take]) -> None:
        self._screen.heading("Side by side")
        rows = []
        for take in takes:
            clip = decode(self._out / f"{take.name}.mp4")
            states = self._behind.transitions(take.job_id)
            rows.append(
                (
                    take.name,
                    take.shot.model_id,
                    clip.codec,
                    f"{clip.seconds:.2f} s",
                    f"{clip.width}x{clip.height}",
                    take.video["credits_used"],
                    f"{len(states)} ({told(states)})",
                    self._behind.aws_calls(take.job_id),
                    f"{_seconds(take):.1f} s",
                )
            )
        columns = ("provider", "model", "codec", "length", "size", "credits")
        self._screen.table((*columns, "transitions", "AWS calls", "took"), rows)

    def _fail_over(self, shot: Shot, first: str, second: str) -> None:
        """The first provider of a model refuses everything; the second one delivers."""
        self._screen.heading(f"{NAMES[first]} is down, and {shot.model_id} has a second provider")
        before = {name: len(each.submissions()) for name, each in self._stack.simulators.items()}
        self._stack.simulators[first].arm("submit_503", times=None)
        take = self._estimated(shot)
        self._begin(take, str(uuid.uuid4()), self._balance - take.estimate)
        self._show_account("while it runs", self._balance - take.estimate, take.estimate)
        self._watch([take])
        self._stack.simulators[first].disarm()
        self._checks.equal("failover: status", take.video["status"], "completed")
        self._checks.equal("failover: credits used", take.video["credits_used"], take.estimate)
        self._balance -= take.estimate
        self._show_account("in the end", self._balance, 0)
        if take.video["status"] != "completed":
            return
        self._download([take])
        self._check_behind(take, second)

        self._screen.heading("How it went")
        self._screen.say(f"history: {' → '.join(self._behind.transitions(take.job_id))}")
        refusals = self._behind.stages(take.job_id)[0]["refusals"]
        for refusal in refusals:
            self._screen.say(
                f"refused: by {refusal['provider']}, {refusal['reason']}, at {refusal['at']}"
            )
        noted = [(refusal["provider"], refusal["reason"]) for refusal in refusals]
        self._checks.equal("failover: refusals", noted, [(first, "BUSY")])
        self._hold_and_payment(take, before, second)

    def _hold_and_payment(self, take: Take, before: dict[str, int], second: str) -> None:
        entries = self._app.all_entries()
        lines = [line for line in entries if line["job_id"] == take.job_id]
        kinds = [line["kind"] for line in lines]
        said = ", ".join(f"{line['kind']} {line['credits']}" for line in lines)
        self._screen.say(f"journal: {said}")
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


def _seconds(take: Take) -> float:
    """From the order to the end, by the API's own clock."""
    began, ended = (
        datetime.fromisoformat(take.video[member]) for member in ("created_at", "completed_at")
    )
    return (ended - began).total_seconds()
