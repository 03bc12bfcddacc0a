"""One job, and everything that may end it at the same time.

`play` is one round: a job at some point of its way, its execution, its provider, its user who
cancels, time that passes its deadline, the sweep, and an operator who stops the execution. All of
them are real handlers except two: the execution, which goes from state to state as `statemachine/`
defines, and the provider. `judge` returns the violations afterwards.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from clipmint import clock
from clipmint.credits import grants, holds
from clipmint.credits.account import Limits
from clipmint.execution import workflow
from clipmint.execution.sweeping import DEADLINE_GRACE
from clipmint.execution.waiting import SUBMIT_SECONDS
from clipmint.jobs.job import Handle, ImageOrder, Job, Stage
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import Accepted, Notice, Submitted, Task, Unanswered, WebhookCall
from functions.cancel.app import handler as cancel
from functions.migrate.app import handler as migrate
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from functions.sweep.app import handler as sweep
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.proof.emulated import Emulated
from tests.proof.turns import Actor, Turns
from tests.support.gateway import Answer, Context, answer_of, event
from tests.support.invariants import (
    TERMINAL,
    Item,
    left_behind,
    overdue_at,
    stages_of,
    unfinished,
    violations,
)
from tests.support.jobs import ROUTES, new_job
from tests.support.moto_aws import WEBHOOKS

Kind = Literal["one stage", "two stages", "clip"]
KINDS: tuple[Kind, ...] = ("one stage", "two stages", "clip")

SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
CALM = Limits(open_jobs=1_000, jobs_per_hour=1_000, open_clips=1_000)
CONTEXT = Context(remaining_ms=150_000)
FINAL = {
    "SubmissionRejected",
    "ImageExpired",
    "JobFinished",
    "DeadlineExceeded",
    "ProviderNotConfigured",
}
"""Errors of Submit that its state does not retry."""

MOST_ATTEMPTS = 20
"""The attempts of each actor at anything; what AWS or a user would repeat more often is left to the
sweep.
"""


@dataclass
class Generation:
    """A task at the provider. ``queued → begun → finished``, or ``withdrawn`` while queued."""

    task: Task
    state: str = "queued"
    outcome: Outcome = field(default_factory=Running)

    @property
    def path(self) -> str:
        return (self.task.webhook_url or "").removeprefix(WEBHOOKS)

    @property
    def stage(self) -> tuple[str, str]:
        """Job and stage."""
        *_, job_id, stage, _ = self.path.split("/")
        return job_id, stage


@dataclass
class Provider:
    """Takes turns at every call, and sometimes loses a response or a webhook."""

    turns: Turns
    name: str = "fal"
    after_unanswered: str = "wait"
    media_hosts: tuple[str, ...] = (".fal.media",)
    generations: dict[str, Generation] = field(default_factory=dict)

    def submit(self, task: Task) -> Submitted:
        self._turn("submit")
        request_id = f"request-{len(self.generations)}"
        made = self.generations[request_id] = Generation(task)
        self.turns.begin(f"provider {request_id}", lambda: self._generate(request_id, made))
        self._turn("answer to submit")
        lost = self.turns.random.random() < 0.1
        return Unanswered("lost") if lost else Accepted(Handle(request_id))

    def poll(self, handle: Handle) -> Outcome:
        self._turn("poll")
        return self.generations[handle.request_id].outcome

    def cancel(self, handle: Handle) -> bool:
        self._turn("cancel")
        made = self.generations[handle.request_id]
        if made.state != "queued":
            return False
        made.state, made.outcome = "withdrawn", Failed(FailureCode.CANCELLED)
        self._turn("answer to cancel")
        return True

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:
        del endpoint
        request_id = json.loads(call.body)["request_id"]
        return Notice(Handle(request_id), self.generations[request_id].outcome)

    def paid(self) -> Counter[tuple[str, str]]:
        """Submissions by job and stage."""
        return Counter(made.stage for made in self.generations.values())

    def _turn(self, what: str) -> None:
        self.turns.pause()
        self.turns.note(f"provider: {what}")

    def _generate(self, request_id: str, made: Generation) -> None:
        chance = self.turns.random
        self.turns.linger(12)
        if made.state != "queued":
            return
        made.state = "begun"
        self.turns.linger(6)
        made.state, made.outcome = "finished", _some_outcome(chance.random())
        self.turns.note(f"finished: {type(made.outcome).__name__}")
        if chance.random() < 0.2:
            return  # its webhook is lost
        for copy in range(chance.choice((1, 1, 2))):
            self.turns.begin(f"webhook {copy}", lambda: self._deliver(request_id, made))

    def _deliver(self, request_id: str, made: Generation) -> None:
        call = event("POST", made.path, user=None, body={"request_id": request_id})
        _until_done(lambda: answer_of(webhooks(call, CONTEXT)).status < 500)


def _some_outcome(chance: float) -> Outcome:
    if chance < 0.55:
        return Succeeded("https://v3.fal.media/files/video.mp4")
    return Failed(FailureCode.CONTENT_POLICY if chance < 0.85 else FailureCode.PROVIDER_ERROR)


def _until_done(attempt: Callable[[], bool]) -> bool:
    """Repeat a call, as the caller of a function does when the function fails."""
    for _ in range(MOST_ATTEMPTS):
        with suppress(Exception):  # the caller retries after any failure of a function
            if attempt():
                return True
    return False


@dataclass
class Execution:
    """The state machine's way through one job.

    It may have been ``stopped``: a function that runs then continues to its end, because Lambda is
    not notified, but no state follows. It ``gave_up`` on a function that failed too often; that is
    sooner than `statemachine/` defines.
    """

    account: Emulated
    turns: Turns
    job_id: str
    stopped: bool = False
    gave_up: bool = False
    state: str = "submit"

    def run(self) -> None:
        """From Submit to Settle."""
        self.turns.pause(lambda: self.job_id in self.account.executions.started)
        if self.job_id not in self.account.executions.started:
            return  # it was never started
        self._stage, self._turn_, self._error = "", 0, ""
        while self.state != "end" and not self.stopped:
            self.turns.note(f"enters {self.state}")
            self.state = getattr(self, f"_{self.state}")()
        self.account.executions.ended.add(self.job_id)

    def _submit(self) -> str:
        executions = self.account.executions
        for _ in range(MOST_ATTEMPTS):
            if self.stopped:
                return "end"
            token = str(uuid.uuid4())
            executions.sleeping.add(token)
            try:
                result = submit({"job_id": self.job_id, "task_token": token}, CONTEXT)
            except Exception as error:  # noqa: BLE001  (as the state machine does)
                if token not in executions.responses:
                    executions.sleeping.discard(token)
                    self._error = type(error).__name__
                    self.turns.note(f"submit: {error!r}")
                    if self._error in FINAL:
                        return "settle"
                    continue
            else:
                self._stage, self._turn_ = result["stage"], 0
            self.turns.pause(partial(self._is_over, token))
            executions.sleeping.discard(token)
            response = executions.responses.get(token)
            if response is None:
                return "start_polling"  # the wait was in vain
            return {"": "migrate", "PollNeeded": "track"}.get(response, "submit")
        self.gave_up = True
        return "settle"

    def _start_polling(self) -> str:
        result = self._invoke(submit, {}, FINAL)
        if result is None:
            return "settle"
        self._stage, self._turn_ = result["stage"], 1
        return "track"

    def _track(self) -> str:
        executions = self.account.executions
        for _ in range(MOST_ATTEMPTS):
            if self.stopped:
                return "end"
            token = str(uuid.uuid4())
            executions.sleeping.add(token)
            call = {"stage": self._stage, "turn": self._turn_, "task_token": token}
            try:
                track({"job_id": self.job_id, **call}, CONTEXT)
            except Exception as error:  # noqa: BLE001  (as the state machine does)
                # If the token was answered before its function failed, the answer counts.
                if token not in executions.responses:
                    executions.sleeping.discard(token)
                    if type(error).__name__ == "JobFinished":
                        self._error = "JobFinished"
                        return "settle"
                    continue
            self.turns.pause(partial(self._is_over, token))
            executions.sleeping.discard(token)
            if token in executions.responses:
                return "submit" if executions.responses[token] else "migrate"
            self._turn_ += 1  # time to look
        self._error = "States.Timeout"
        return "end"  # it would continue like this: the sweep ends it

    def _is_over(self, token: str) -> bool:
        """Whether a state that waits for this token can continue."""
        return self.stopped or token in self.account.executions.responses

    def _migrate(self) -> str:
        result = self._invoke(migrate, {"stage": self._stage}, {"JobFinished", "MediaInvalid"})
        if result is None:
            return "settle"
        self._error = ""
        return "submit" if result["more"] else "settle"

    def _settle(self) -> str:
        self._invoke(settle, {"error": self._error}, set())
        return "end"

    def _invoke(self, function: Any, more: dict[str, Any], given_up: set[str]) -> Any:
        """The response of a function; None where its state ends in Settle, or ends for good."""
        for _ in range(MOST_ATTEMPTS):
            if self.stopped:
                return None
            try:
                return function({"job_id": self.job_id, **more}, CONTEXT)
            except Exception as error:  # noqa: BLE001  (as the state machine does)
                self._error = type(error).__name__
                self.turns.note(f"{function.__module__}: {error!r}")
                if self._error in given_up:
                    return None
        self.gave_up = True
        return None


@dataclass
class Round:
    """One round, as `judge` examines it."""

    seed: str
    user: str
    provider: Provider
    log: list[str]
    machine: Execution
    answers: list[Answer] = field(default_factory=list)
    deletions: list[Answer] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


def play(account: Emulated, kind: Kind, seed: str, *, conflicts: float = 0.0) -> Round:
    """One job of this kind and all actors; the interleaving is drawn from the seed."""
    turns = account.begin_round(seed)
    chance = turns.random
    provider = Provider(turns)
    user = f"user-{uuid.uuid4()}"
    account.provider = provider
    job = _open(kind, user)
    machine = Execution(account, turns, job.job_id)
    this = Round(seed, user, provider, turns.log, machine)
    workflow.start(job.job_id)
    account.conflicts = conflicts
    running = turns.begin("execution", machine.run)
    for _ in range(chance.choice((0, 1, 1, 2))):
        turns.begin("user", lambda: _cancel(this, turns, job))
    if chance.random() < 0.5:
        turns.begin("time", lambda: _pass_the_deadline(machine, job))
    for _ in range(chance.choice((0, 1, 1, 2))):
        turns.begin("sweep", lambda: _sweep(turns))
    if chance.random() < 0.3:
        turns.begin("abort", lambda: _abort(machine, running))
    if chance.random() < 0.2:
        turns.begin("deletion", lambda: _delete(this, turns, job))
    turns.run()
    account.conflicts = 0.0
    account.turns = None
    judge(account, this, job)
    account.clear_files()
    return this


def _open(kind: Kind, user: str) -> Job:
    """A job as Generate leaves it, its credits held."""
    credits_ = 10
    [video] = new_job(user, credits_=credits_).stages
    # So that an execution waits in Submit, if the deadline is not near.
    video = replace(video, poll_seconds=(SUBMIT_SECONDS, 30))
    made = new_job(user, stages=(video,), deadline_in=600)
    if kind == "two stages":
        order = ImageOrder("a model", "a red kettle", "16:9")
        image = Stage(
            "image",
            (ROUTES["fal"],),
            "fal",
            "fal-ai/nano-banana",
            3,
            poll_seconds=(10,),
            deadline_seconds=600,
            image_order=order,
        )
        made = new_job(user, stages=(image, video), deadline_in=600)
    if kind == "clip":
        made = replace(made, batch_id=str(uuid.uuid4()))
    grants.grant(user, 20, f"for {user}")
    return holds.hold_and_record([made], CALM, clips=kind == "clip")[0]


def _cancel(this: Round, turns: Turns, job: Job) -> None:
    turns.linger(25)
    call = event("POST", f"/v1/videos/{job.job_id}/cancel", user=this.user)

    def ask() -> bool:
        answer = answer_of(cancel(call, CONTEXT))
        turns.note(f"cancel is answered {answer.status}")
        this.answers.append(answer)
        return answer.status not in {500, 503}

    _until_done(ask)


def _delete(this: Round, turns: Turns, job: Job) -> None:
    turns.linger(60)
    call = event("DELETE", f"/v1/videos/{job.job_id}", user=this.user)

    def ask() -> bool:
        answer = answer_of(cancel(call, CONTEXT))
        turns.note(f"deletion is answered {answer.status}")
        this.deletions.append(answer)
        if answer.status == 409:
            turns.linger(20)
        return answer.status == 204

    for _ in range(3):
        if ask():
            break


def _await_a_moment(machine: Execution) -> None:
    """Any turn, or one while a file is stored, where most can go wrong."""
    if machine.turns.random.random() < 0.5:
        machine.turns.linger(40)
    else:
        while not (machine.stopped or machine.state in {"migrate", "end"}):
            machine.turns.pause(lambda: machine.state == "migrate")
        machine.turns.linger(3)


def _pass_the_deadline(machine: Execution, job: Job) -> None:
    account, turns = machine.account, machine.turns
    _await_a_moment(machine)
    late = turns.random.choice((1, DEADLINE_GRACE.total_seconds() + 1))
    account.hands.forward(seconds=max(0, job.deadline - clock.epoch(clock.now())) + late)
    turns.note("the deadline passes")
    _sweep(turns, 3)


def _sweep(turns: Turns, within: int = 40) -> None:
    turns.linger(within)
    _until_done(lambda: sweep(dict(SCHEDULED), CONTEXT) is not None)


def _abort(machine: Execution, running: Actor) -> None:
    turns, executions = machine.turns, machine.account.executions
    _await_a_moment(machine)
    if running.ended:
        return
    turns.note("stops the execution")
    machine.stopped = True
    executions.ended.add(machine.job_id)
    executions.sleeping.clear()
    if turns.random.random() < 0.3:
        # At this moment its time is over, or its host is gone.
        turns.note("the function crashes")
        running.doomed = True
    if turns.random.random() < 0.3:
        return  # its event is lost
    aborted = {"source": "aws.states", "detail": {"name": machine.job_id, "status": "ABORTED"}}
    _until_done(lambda: sweep(aborted, CONTEXT) is not None)


def judge(account: Emulated, this: Round, job: Job) -> None:
    """In every case: the job ends by its deadline and one sweep, everything adds up, and what the
    user was shown is true.
    """
    [before] = account.jobs(this.user)
    if before["status"] not in TERMINAL:
        this.outcomes["left to the sweep"] += 1
        late = overdue_at(before) - clock.epoch(clock.now())
        account.hands.forward(seconds=max(0, late) + DEADLINE_GRACE.total_seconds() + 1)
        sweep(dict(SCHEDULED), CONTEXT)
    now = account.snapshot(this.user, dict(this.provider.paid()))
    this.found += [*violations(now), *unfinished(now)]
    if any(answer.status == 204 for answer in this.deletions):
        this.found += left_behind(now)
    [ended] = now.jobs
    status = ended["status"]
    this.outcomes[status] += 1
    resolved = Counter(e["stage"] for e in now.entries if e["kind"] in {"capture", "release"})
    if resolved != Counter(stages_of(ended).keys()):
        this.found.append(f"{this.user}: resolved {dict(resolved)}")
    this.found += [f"{this.user}: {what}" for what in _untruths(this, ended, now.journal)]
    if not (this.machine.stopped or this.machine.gave_up):
        this.found += [f"{this.user}: {what}" for what in _thrown_away(ended)]


def _untruths(this: Round, ended: Item, journal: list[Item]) -> list[str]:
    """Responses to the user that are not true."""
    this.outcomes.update(f"cancel {answer.status}" for answer in this.answers)
    this.outcomes.update(f"delete {answer.status}" for answer in this.deletions)
    released = sum(int(entry["credits"]) for entry in journal if entry["kind"] == "release")
    found = [
        wrong
        for answer in this.answers
        if (wrong := _wrong_cancellation(answer, ended, released)) is not None
    ]
    if ended["status"] == "cancelled":
        found += _not_cancelled(this, ended)
    for answer in this.deletions:
        if answer.status not in {204, 409, 503}:
            found.append(f"delete was answered {answer.status}: {answer.body}")
        if answer.status == 204 and not ended.get("deleted"):
            found.append("delete was answered 204, and the job is still to be seen")
    return found


def _thrown_away(ended: Item) -> list[str]:
    """Stages that succeeded, and were given up before their time to be downloaded was over."""
    in_time = clock.epoch(clock.from_iso(ended["completed_at"])) < overdue_at(ended)
    if ended["status"] != "failed" or not in_time:
        return []
    return [
        f"the job is failed, and its {name} was there to be fetched"
        for name, stage in stages_of(ended).items()
        if (stage.get("outcome") or {}).get("media_url") and not stage.get("asset")
    ]


def _wrong_cancellation(answer: Answer, ended: Item, released: int) -> str | None:
    status = ended["status"]
    if answer.status not in {200, 404, 409, 503}:
        return f"cancel was answered {answer.status}: {answer.body}"
    if answer.status == 404 and not ended.get("deleted"):
        return "cancel was answered 404, and the job is there"
    if answer.status == 200 and status != "cancelled":
        return f"cancel was answered 200, and the job is {status}"
    if answer.status == 200 and answer.body["credits_released"] != released:
        return f"{answer.body['credits_released']} said, {released} released"
    return None


def _not_cancelled(this: Round, ended: Item) -> list[str]:
    """Reasons why a job must not have been cancelled."""
    found = []
    statuses = [answer.status for answer in this.answers]
    # Too late for the first of two stages may be early enough for the second.
    after = statuses[statuses.index(409) :] if 409 in statuses else []
    if after and not (ended.get("image") and 200 in after):
        found.append("cancel was answered 409, and the job is cancelled")
    if not {200, 503} & {*statuses}:
        found.append("the job is cancelled, and nobody did it")
    stages = stages_of(ended)
    current = next((name for name, stage in stages.items() if not stage.get("asset")), None)
    if current is None:
        return [*found, "the job is cancelled, and all of its files are there"]
    made = [made for made in this.provider.generations.values() if made.stage[1] == current]
    if stages[current].get("submission") and made[-1].state != "withdrawn":
        found.append(f"the job is cancelled, and its provider has {made[-1].state} {current}")
    return found
