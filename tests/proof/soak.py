"""``make soak MINUTES=N``: users of all kinds and faults of all kinds, for N minutes.

::

    python -m tests.proof.soak [--minutes N] [--seed TEXT] [--users N]

Every user's plan is drawn from the seed: what they order, which faults their jobs meet, when
workers are killed and executions are stopped. The timing differs from run to run. At the end all
faults are removed, every job gets until its deadline and one sweep, and the accounts, files and
submissions of all users are audited. A webhook must have received each event, and no other. The
last line is ``violations: N``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from functools import partial

from botocore.exceptions import ClientError

from clipmint.catalog.defaults import DEFAULT_CATALOG
from local.receiver import Receiver, Subscription
from local.stack import STACK_NAME, Stack, wait_for
from operations.installation import read_stack
from operations.recount import Recount, recount
from tests.proof.outgoing import Key, events_of_credits, events_of_jobs, key_of
from tests.proof.soak_user import MODELS, User
from tests.support.audit import Auditor
from tests.support.backstage import (
    Item,
    Owner,
    age,
    close_circuits,
    execution,
    pass_the_deadline,
    scan,
    sweep,
)
from tests.support.invariants import TERMINAL, stages_of
from tests.support.usage import BY_JOB, differences

PROVIDERS = {
    "fal": {"queue_seconds": 0.5, "generation_seconds": 0.5, "concurrency": 6, "time_factor": 0.05},
    "runway": {"pending_seconds": 0.5, "generation_seconds": 0.5, "concurrency": 6},
    "runware": {"generation_seconds": 0.5, "time_factor": 0.1},
}
LIMITS = {"MaxOpenJobs": "8", "MaxOpenClips": "12", "MaxJobsPerHour": "10000"}
LOST = 0.4
"""The probability that events of executions are lost, each time the soak draws it."""

SWEEP_SECONDS = 20
DRAIN_SECONDS = 40
"""For jobs to end by themselves when the faults are over; then their deadlines pass."""

DEADLINES = 3
"""A success that is recorded meanwhile moves the deadline: a job has three of them at most."""

EVENT_SECONDS = 400
"""An event whose first two attempts failed waits for five minutes."""

USAGE_SECONDS = 60
"""For records of the stream that the function failed on to come again."""

EXECUTION_SECONDS = 150
"""Time for the execution of a job that has ended to notice it: a state waits a minute between
attempts, and may have to try twice.
"""


class Soak:
    """One soak on a running stack."""

    def __init__(self, stack: Stack, seed: str, users: int, receiver: Receiver) -> None:
        self.stack = stack
        self.receiver = receiver
        self.done = Counter[str]()
        self.found: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.refused = 0
        self._random = random.Random(f"{seed}: the world")
        self.owner = Owner(stack)
        for model in DEFAULT_CATALOG:
            if model.model_id in MODELS:
                sooner = {"poll_seconds": [4, 3, 6], "deadline_seconds": 900}
                self.owner.put_model(**model.model_dump(mode="json") | sooner)
        self.users = [User(self, f"{seed}: user {number}") for number in range(users)]

    def count(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def wrong(self, what: str) -> None:
        """A violation."""
        with self._lock:
            self.found.append(what)
        print(f"✗ {what}", file=sys.stderr, flush=True)

    def open_jobs(self) -> list[Item]:
        return [job for job in scan(self.stack, "JobsTable") if job["status"] not in TERMINAL]

    def run(self, minutes: float) -> None:
        """Run users and faults together, then without faults, then audit."""
        until = time.monotonic() + minutes * 60
        with ThreadPoolExecutor(len(self.users) + 1) as threads:
            begun = [threads.submit(user.live, until) for user in self.users]
            begun.append(threads.submit(self._trouble, until))
            for one in begun:
                try:
                    one.result()
                except Exception as error:  # noqa: BLE001  (it is a finding, and the rest counts)
                    self.wrong(f"somebody's day broke off: {error!r}")
        self._calm()
        self._drain()
        self._audit()

    # ── What goes wrong with AWS ─────────────────────────────────────────────────────────────────

    def _trouble(self, until: float) -> None:
        troubles = (
            *(self._crash, self._kill, self._abort, self._outlive, self._lose_events),
            self._refuse,
        )
        swept = time.monotonic()
        while time.monotonic() < until:
            time.sleep(self._random.uniform(1, 5))
            self._random.choice(troubles)()
            if time.monotonic() - swept > SWEEP_SECONDS:
                self._sweep()
                swept = time.monotonic()

    def _crash(self) -> None:
        function, operation = self._random.choice(
            [
                ("GenerateFunction", "TransactWriteItems"),
                ("GenerateFunction", "StartExecution"),
                ("SubmitFunction", "UpdateItem"),
                ("SubmitFunction", "Return"),
                ("TrackFunction", "UpdateItem"),
                ("MigrateFunction", "UpdateItem"),
                ("MigrateFunction", "PutObject"),
                ("SettleFunction", "TransactWriteItems"),
                ("WebhooksFunction", "UpdateItem"),
                ("WebhooksFunction", "SendTaskSuccess"),
                ("CancelFunction", "UpdateItem"),
                ("CancelFunction", "TransactWriteItems"),
                ("SweepFunction", "TransactWriteItems"),
                ("EventsFunction", "PutEvents"),
                ("EventsFunction", "SendMessage"),
                ("UsageFunction", "TransactWriteItems"),
            ]
        )
        self.stack.crash(function, operation, moment=self._random.choice(("before", "after")))
        self.count(f"crash planned: {function.removesuffix('Function')} at {operation}")

    def _kill(self) -> None:
        functions = ("GenerateFunction", "SubmitFunction", "TrackFunction", "MigrateFunction")
        with suppress(ProcessLookupError, FileNotFoundError):
            if self.stack.kill_workers(self._random.choice(functions)):
                self.count("workers killed")

    def _abort(self) -> None:
        with suppress(ClientError, IndexError):  # it has ended, or was never begun
            job_id = self._random.choice(self.open_jobs())["job_id"]
            arn = self.stack.execution_arn(job_id)
            self.stack.boto3("stepfunctions").stop_execution(executionArn=arn)
            self.count("executions stopped")

    def _outlive(self) -> None:
        with suppress(IndexError):
            pass_the_deadline(self.stack, self._random.choice(self.open_jobs())["job_id"])
            self.count("deadlines passed")

    def _lose_events(self) -> None:
        events = self.stack.boto3("events")
        rules = [rule for rule in events.list_rules()["Rules"] if "EventPattern" in rule]
        for rule in rules:
            if rule["State"] == "ENABLED" and self._random.random() < LOST:
                events.disable_rule(Name=rule["Name"])
                self.count("events of executions lost for a while")
            else:
                events.enable_rule(Name=rule["Name"])

    def _sweep(self) -> None:
        answer = self.stack.boto3("lambda").invoke(
            FunctionName=self.stack.functions["SweepFunction"],
            Payload=b'{"source": "aws.events"}',
        )
        self.count("sweeps that were killed" if "FunctionError" in answer else "sweeps")

    # ── Peace ────────────────────────────────────────────────────────────────────────────────────

    def _calm(self) -> None:
        self.refused -= len(self.receiver.statuses)
        self.receiver.statuses.clear()
        left = self.stack.planned_crashes()
        self.done["workers crashed"] = (
            sum(times for what, times in self.done.items() if what.startswith("crash planned"))
            - left
        )
        self.stack.call_off_crashes()
        for name, simulator in self.stack.simulators.items():
            for rule in simulator.faults():
                self.done[f"fault: {name} {rule['fault']['kind']}"] += rule["fired"]
            simulator.disarm()
        events = self.stack.boto3("events")
        for rule in events.list_rules()["Rules"]:
            if "EventPattern" in rule:
                events.enable_rule(Name=rule["Name"])
        close_circuits(self.stack)

    def _drain(self) -> None:
        """The jobs of all users end by themselves, or at the latest after their deadline, by one
        sweep.
        """
        for user in self.users:
            user.ask_again()
        until = time.monotonic() + DRAIN_SECONDS
        while self.open_jobs() and time.monotonic() < until:
            time.sleep(2)
        for _ in range(DEADLINES):
            left = self.open_jobs()
            for job in left:
                age(self.stack, job["job_id"])
                pass_the_deadline(self.stack, job["job_id"])
            self.done["ended by the last sweep"] += len(left)
            sweep(self.stack)
        for job in self.open_jobs():
            self.wrong(f"job {job['job_id']} is {job['status']} past its deadline and a sweep")
        for job in scan(self.stack, "JobsTable"):
            try:
                wait_for(partial(_has_ended, self.stack, job["job_id"]), EXECUTION_SECONDS)
            except TimeoutError:
                self.wrong(f"the execution of job {job['job_id']} runs on")

    def _audit(self) -> None:
        for user in self.users:
            user.finish()
        auditor = _Auditor(self.stack)
        for check in (auditor.check_all, auditor.check_all_logs):
            try:
                check()
            except (AssertionError, LookupError) as error:
                for line in repr(error).split("\\n"):
                    self.wrong(line)
        jobs = scan(self.stack, "JobsTable")
        self.done.update(f"job {job['status']}" for job in jobs)
        self.done.update(f"failed: {job['failure']}" for job in jobs if "failure" in job)
        for name, simulator in self.stack.simulators.items():
            self.done[f"submissions that {name} was paid for"] += len(simulator.submissions())
        self._add_up()
        self._compare_events(jobs)
        self._compare_usage(jobs)

    def _compare_usage(self, jobs: list[Item]) -> None:
        """The API's usage is that of a full recount, by each dimension."""
        days = sorted(job["completed_at"][:10] for job in jobs)
        days += [one["found_at"][:10] for job in jobs for one in job.get("orphans", [])]
        query = {"from": min(days), "to": max(days)}

        def different() -> list[str]:
            answers = [self.owner.usage(**query, group_by=by) for by in BY_JOB]
            return [line for answer in answers for line in differences(answer, jobs)]

        with suppress(TimeoutError):
            wait_for(lambda: not different(), USAGE_SECONDS)
        for line in different():
            self.wrong(line)
        self.done["jobs in the usage"] = self.owner.usage(**query)["totals"]["jobs"]
        # The owner's program finds nothing to do, and makes all counters again from nothing.
        region = str(self.stack.boto3("sts").meta.region_name)
        deployed = read_stack(self.stack.boto3, STACK_NAME, region, "the emulator's")
        span = [date.fromisoformat(day) for day in (min(days), max(days))]
        if not recount(self.stack.boto3, deployed, span[0], span[1], ""):
            self.wrong("the owner's recount differs from the usage")
        Recount(self.stack.boto3, deployed, span[0], span[1]).delete()
        recount(self.stack.boto3, deployed, span[0], span[1], "missing")
        for line in different():
            self.wrong(f"after a recount: {line}")

    def _compare_events(self, jobs: list[Item]) -> None:
        """A webhook has received each event that was committed, and no other."""
        ledger = scan(self.stack, "LedgerTable")
        expected = {*events_of_jobs(jobs), *events_of_credits(ledger, [], 0)}

        def received() -> dict[Key, set[str]]:
            ids = defaultdict[Key, set[str]](set)
            for call in [*self.receiver.events]:
                ids[key_of(call.payload or {})].add(call.event_id)
            return ids

        with suppress(TimeoutError):
            wait_for(lambda: expected <= received().keys(), EVENT_SECONDS)
        for key in expected - received().keys():
            self.wrong(f"the webhook did not get {' '.join(key)}")
        for key in received().keys() - expected:
            self.wrong(f"the webhook got {' '.join(key)}, which was not committed")
        for key, ids in received().items():
            if len(ids) > (2 if key[0] == "scene.image_ready" else 1):
                self.wrong(f"the event {' '.join(key)} has {len(ids)} ids")
        self.done["events"] = len(received())
        self.done["calls of the webhook"] = len(self.receiver.calls)
        if len(self.receiver.calls) != len(self.receiver.events) + self.refused:
            self.wrong("a call of the webhook was not signed")

    def _refuse(self) -> None:
        """The webhook refuses its next call, which comes again after five seconds."""
        if not self.receiver.statuses:
            self.receiver.statuses.append(503)
            self.refused += 1
            self.count("calls that the webhook refused")

    def _add_up(self) -> None:
        """Credits granted are captured or left; credits held are captured or released."""
        ledger = scan(self.stack, "LedgerTable")
        kinds = ("grant", "hold", "capture", "release")
        moved = Counter(dict.fromkeys(kinds, 0))
        left = 0
        for item in ledger:
            if item["sk"] == "ACCOUNT":
                left += int(item["available"]) + int(item["held"])
            elif item["sk"].startswith("ENTRY#"):
                moved[item["kind"]] += int(item["credits"])
        for kind in kinds:
            self.done[f"credits: {kind}"] = moved[kind]
        self.done["credits: left"] = left
        if moved["grant"] != moved["capture"] + left:
            self.wrong(f"{moved['grant']} credits in, {moved['capture']} + {left} out")
        if moved["hold"] != moved["capture"] + moved["release"]:
            self.wrong(f"{moved['hold']} held, {moved['capture']} + {moved['release']} resolved")


class _Auditor(Auditor):
    """Finds a submission whose response was lost by its prompt, which no two orders share."""

    def _paid(self, jobs: Iterable[Item]) -> Counter[tuple[str, str]]:
        by_task: dict[str, tuple[str, str]] = {}
        unanswered: dict[str, list[tuple[str, str]]] = {}
        for job in jobs:
            for name, stage in stages_of(job).items():
                where = (job["job_id"], name)
                for one in (stage.get("submission", {}), *stage.get("earlier", ())):
                    if "request_id" in one:
                        by_task[one["request_id"]] = where
                    else:
                        order = json.loads(stage.get("picture", "{}"))
                        prompt = order.get("prompt", job["prompt"])
                        unanswered.setdefault(prompt, []).append(where)
        paid = Counter[tuple[str, str]]()
        for simulator in self._stack.simulators.values():
            for submission in simulator.submissions():
                if submission["webhook_url"]:
                    *_, job_id, stage_name, _ = submission["webhook_url"].split("/")
                    paid[job_id, stage_name] += 1
                elif submission["request_id"] in by_task:
                    paid[by_task[submission["request_id"]]] += 1
                else:
                    # LookupError here: paid for, and no job knows its result.
                    paid[unanswered[submission["input"]["promptText"]].pop()] += 1
        return paid


def _has_ended(stack: Stack, job_id: str) -> bool:
    found = execution(stack, job_id)
    return found is None or found["status"] != "RUNNING"


def soak(minutes: float, seed: str, users: int) -> tuple[Counter[str], list[str]]:
    """What was done, and the violations."""
    with (
        Stack(
            enforce_iam=True, simulate=tuple(PROVIDERS), parameters=LIMITS, settings=PROVIDERS
        ) as stack,
        Receiver(stack.receiver_port) as receiver,
        Subscription(stack, receiver, []),
    ):
        run = Soak(stack, seed, users, receiver)
        run.run(minutes)
        run.owner.close()
    return run.done, run.found


def table(done: Counter[str]) -> list[str]:
    """What was done, a line each."""
    return [f"{times:8,}  {what}" for what, times in sorted(done.items()) if times]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", default=f"{time.time():.0f}")
    parser.add_argument("--users", type=int, default=4)
    asked = parser.parse_args(arguments)
    print(f"seed: {asked.seed}", flush=True)
    done, found = soak(asked.minutes, asked.seed, asked.users)
    print(*table(done), *(f"✗ {what}" for what in found), sep="\n")
    print(f"violations: {len(found)}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
