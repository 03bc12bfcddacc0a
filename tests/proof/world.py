"""Everything production consists of, in one process: the real functions, the real state machine,
the providers' simulators, an AWS account, and time.

A `World` is one run of a scenario. The functions are the deployed handlers, unchanged; what they
call passes `tests.proof.boundary`, where they may crash. What AWS and callers do about that is done
here:

=====================  ==========================================================================
a crashed function     loses what it kept in memory; its caller sees a failure
the HTTP API           answers 500
a caller               sends the same request with the same key again, after a while
the state machine      retries and catches as its definition requires (``Runtime.ExitError``)
a provider             delivers its webhook again, as its simulator knows it to
EventBridge            invokes `sweep` for failed executions; two more times if `sweep` fails
a table's stream       passes each change to `events` and `usage`, until both have succeeded
SQS                    passes a message to `deliver` when it is due, and again until it succeeds
the schedule           runs `sweep` every minute
=====================  ==========================================================================
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import itertools
import json
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import botocore.client
import httpx
import pytest
import yaml

from clipmint import clock as clock_
from clipmint.api import usage_routes
from clipmint.api.audit_trail import AUDIT
from clipmint.catalog.model import Model
from clipmint.credits import grants
from clipmint.lots import CreditKind
from clipmint.orders import placing
from clipmint.telemetry import logger
from clipmint.usage import counting
from clipmint.usage.reports import Grouping
from tests.proof import memory, records
from tests.proof.boundary import WRITES, Boundary, Crash, Point
from tests.proof.machine import Execution, FunctionFailed, Machine, Refused
from tests.proof.network import KEYS, RECEIVER_HOST, RECEIVER_URL, Call, Network, environment
from tests.proof.outgoing import Outgoing, Receiver, not_found_by_id
from tests.proof.timeline import Timeline
from tests.support import moto_aws, streams, usage
from tests.support.clock import Clock, virtual_time
from tests.support.gateway import Answer, Context, answer_of, event
from tests.support.invariants import (
    STAGES,
    TERMINAL,
    Snapshot,
    left_behind,
    overdue_at,
    unfinished,
    violations,
)
from tests.support.moto_aws import Aws, Clients
from tests.support.reading import DEFINITION, of_type, written

T = TypeVar("T")
Script = Generator[float, Any, Any]
"""What a user does, as a script: it yields the seconds until the next action."""

SWEEP_SECONDS = 60
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
EVENT_RETRIES = (60, 120)
"""Seconds after which Lambda runs a failed asynchronous invocation again."""

CALLER_PAUSES = (1, 2, 4, 8, 15, 30, 60)
"""Seconds that a caller waits between attempts; the caller gives up after the last."""

CALM_SECONDS = 300
"""A job that is still under way after this many seconds is not waited for: a generation that never
ends.
"""

STREAM_PAUSES = (1, 2, 4, 8, 15, 30, 60)
"""Seconds after which records of a stream are passed again; the last one repeats."""

VISIBILITY_SECONDS = 180
"""After which SQS passes a message again that `deliver` has failed on."""

LOW_CREDITS = 95
"""An account of a scenario has 100 credits, and an order costs at least 10."""

OVERDUE_SECONDS = 120 + 2 * SWEEP_SECONDS
"""The sweep's grace, and one sweep; and another one, in case the first was killed."""


@functools.cache
def _definition() -> dict[str, Any]:
    text = re.sub(r"\$\{(\w+)FunctionArn\}", lambda found: found[1].lower(), DEFINITION.read_text())
    loaded = yaml.safe_load(text.replace("${Partition}", "aws"))
    assert isinstance(loaded, dict)
    return loaded


def earlier_definition() -> dict[str, Any]:
    """The state machine of earlier versions: Submit only sends, and Track waits from the start."""
    states = _definition()["States"]
    submit = states["StartPolling"]
    submit = {**submit, "Assign": {**submit["Assign"], "turn": 0}}
    return {**_definition(), "States": {**states, "Submit": submit}}


@functools.cache
def _seconds_of(function: str) -> int:
    functions = of_type(written()["Resources"], "AWS::Serverless::Function")
    return int(functions[f"{function.capitalize()}Function"]["Timeout"])


@dataclass
class _Context(Context):
    """A context whose remaining time follows the world's clock."""

    ends: float = 0.0
    now: Callable[[], float] = time.time

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return max(0, int((self.ends - self.now()) * 1000))


@dataclass(frozen=True)
class CallerResponse:
    """A final response to a user."""

    method: str
    path: str
    answer: Answer


@dataclass
class World:
    """One run. ``found`` are the violations so far, ``log`` what happened, in order."""

    aws: Aws
    clock: Clock
    boundary: Boundary
    timeline: Timeline
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    responses: list[CallerResponse] = field(default_factory=list)
    """The last response to each call that was repeated."""

    loses_events: bool = False
    forgets_tokens: bool = False
    """Submit's code is that of an earlier version: it uses no task token."""

    _queued: int = 0
    outgoing: Outgoing = field(default_factory=Outgoing)
    _read_to: dict[str, int] = field(default_factory=dict)
    """How many records of each table's stream were read."""

    _counted: list[dict[str, Any]] = field(default_factory=list)
    """Every record that was passed to `usage`."""

    _busy: int = 0
    _sweeps: int = 0
    _last_response: CallerResponse | None = None
    _last_seen: dict[str, Snapshot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = self.timeline.now()
        self.machine = Machine(_definition(), self.timeline, self.invoke, self._execution_ended)
        self.receiver = Receiver()
        self.network = Network(self.timeline, self.settings, self._webhook, self.receiver.answer)
        self.timeline.after(SWEEP_SECONDS, self._sweep)

    # ── What a scenario does ─────────────────────────────────────────────────────────────────────

    def grant(self, user: str, credits_: int, *, promo_seconds: int | None = None) -> None:
        """A new user's credits. Promotional ones end after so many seconds."""
        ends, kind = None, CreditKind.PURCHASED
        if promo_seconds is not None:
            ends = clock_.now() + timedelta(seconds=promo_seconds)
            kind = CreditKind.PROMO
        grants.grant(user, credits_, f"{kind} for {user}", kind=kind, expires_at=ends)
        if user not in self.users:
            self.users.append(user)

    def subscribe(self, *types: str, statuses: tuple[int, ...] = ()) -> str:
        """Add an endpoint for these types of events, or for all; ``statuses``: of its first
        responses. It exists before anything else happens. Returns its id."""
        from clipmint.events import endpoints

        endpoint, secret = endpoints.create(RECEIVER_URL, types, None)
        self.receiver.subscribe(secret, types, statuses)
        return endpoint.endpoint_id

    def offer(self, *models: Model) -> None:
        """What the catalog contains besides the default models."""
        from clipmint.catalog import model_store

        for model in models:
            model_store.put(model)

    def begin(self, script: Script, *, in_seconds: float = 0) -> None:
        """Run a user's script."""
        self._busy += 1

        def go_on() -> None:
            try:
                pause = next(script)
            except StopIteration:
                self._busy -= 1
            else:
                self.timeline.after(pause, go_on)

        self.timeline.after(in_seconds, go_on)

    def http(
        self, function: str, method: str, path: str, *, user: str | None, **parts: Any
    ) -> Answer:
        """One HTTP call of a user."""
        try:
            answer = answer_of(self.invoke(function, event(method, path, user=user, **parts)))
        except FunctionFailed:
            answer = Answer(500, {}, {"message": "Internal Server Error"})
        self._last_response = CallerResponse(method, path, answer)
        shown = answer.body if answer.status >= 400 else ""
        what = f"{method} {path.partition('?')[0]}: {answer.status} {shown}".rstrip()
        self.log.append(f"{self.seconds:8.1f} {what}")
        return answer

    def persistently(
        self, call: Callable[[], Answer], *, attempts: int = len(CALLER_PAUSES) + 1
    ) -> Generator[float, Any, Answer]:
        """A call that is repeated until it is answered, with any status."""
        for pause in CALLER_PAUSES[: attempts - 1]:
            answer = call()
            in_progress = answer.status == 409 and answer.body.get("code") == "REQUEST_IN_PROGRESS"
            if answer.status < 500 and not in_progress:
                break
            yield pause
        else:
            answer = call()
        assert self._last_response is not None
        self.responses.append(self._last_response)
        return answer

    def abort(self, job_id: str) -> None:
        """An operator stops the job's execution."""
        if job_id in self.machine.executions:
            self.machine.abort(job_id)

    @property
    def seconds(self) -> float:
        """Seconds since the world began."""
        return self.timeline.now() - self._began

    # ── What AWS does ────────────────────────────────────────────────────────────────────────────

    def invoke(self, function: str, event_: Any) -> Any:
        """Run a function, as Lambda does. Raises `FunctionFailed`."""
        handler = importlib.import_module(f"functions.{function}.app").handler
        if self.forgets_tokens and function == "submit":
            event_ = {"job_id": event_["job_id"]}
        ends = self.timeline.now() + _seconds_of(function)
        context = _Context(aws_request_id=str(uuid.uuid4()), ends=ends, now=self.timeline.now)
        self.boundary.begin(function)
        error: FunctionFailed | None = None
        result = None
        try:
            result = handler(json.loads(json.dumps(event_)), context)
        except Crash:
            pass
        except Exception as failed:  # noqa: BLE001  (so does Lambda)
            error = FunctionFailed(type(failed).__name__, str(failed))
        if self.boundary.end():
            self.log.append(f"{self.seconds:8.1f} {function} crashed")
            moto_aws.forget_answers()
            self._note(memory.survivors())
            self._examine()
            raise FunctionFailed("Runtime.ExitError")
        shown = f": {error}" if error else ""
        self.log.append(f"{self.seconds:8.1f} {function}{shown}")
        if error is not None:
            raise error
        return result

    def _sweep(self) -> None:
        self._sweeps += 1
        with contextlib.suppress(FunctionFailed):
            self.invoke("sweep", SCHEDULED)
        self.timeline.after(SWEEP_SECONDS, self._sweep)

    def _execution_ended(self, execution: Execution) -> None:
        self.log.append(
            f"{self.seconds:8.1f} execution {execution.status} {execution.error}".rstrip()
        )
        if self.loses_events:
            return
        detail = {"name": execution.name, "status": execution.status}

        def deliver() -> Script:
            for pause in (*EVENT_RETRIES, None):
                try:
                    self.invoke("sweep", {"source": "aws.states", "detail": detail})
                except FunctionFailed:
                    if pause is not None:
                        yield pause
                else:
                    return

        self.begin(deliver(), in_seconds=1)

    def _webhook(self, call: Call) -> httpx.Response:
        try:
            result = self.invoke(
                "webhooks",
                event("POST", call.path, user=None, headers=call.headers, body=call.body.decode()),
            )
        except FunctionFailed:
            return httpx.Response(500, json={"message": "Internal Server Error"})
        return httpx.Response(result["statusCode"], content=result["body"])

    def call_aws(self, original: Callable[..., T], client: Any, operation: str, params: Any) -> T:
        """One call of an AWS API, by a function or by the test."""
        service = client.meta.service_model.service_id
        if service == "S3" and isinstance(params.get("Body"), bytearray):
            params = params | {"Body": bytes(params["Body"])}  # moto cannot read the other; S3 can

        def call() -> Any:
            if service == "SFN":
                return self._call_machine(client, operation, params)
            if service == "EventBridge":
                return self._put_events(params)
            if service == "SQS":
                return self._queue(params)
            if service == "Lambda":
                return self._start(params)
            answer = original(client, operation, params)
            if service == "DynamoDB" and operation in WRITES:
                self._read_streams()
            return answer

        return self.boundary.aws(service, operation, call)  # type: ignore[no-any-return]

    def _put_events(self, params: Mapping[str, Any]) -> dict[str, Any]:
        sources = {job["job_id"]: job.get("source_job_id", job["job_id"]) for job in self.jobs()}
        with self.boundary.outside():
            files = records.files()
        self.outgoing.put(params["Entries"], files, sources)
        return {"FailedEntryCount": 0, "Entries": [{} for _ in params["Entries"]]}

    def _read_streams(self) -> None:
        """Pass what was committed since to `events` and `usage`."""
        for table in streams.MAPPINGS:
            before = self._read_to.get(table, 0)
            read = streams.records(table, moto_aws.REGION, before)
            self._read_to[table] = before + len(read)
            patterns = streams.filters(table, LOW_CREDITS)
            new = [record for record in read if streams.passes(record, patterns)]
            if new:
                self.begin(self._pass_on(new), in_seconds=0.2)
            ended = [one for one in read if table == "JobsTable" and _is_counted(one)]
            if ended:
                self._counted += ended
                self.begin(self._count(ended), in_seconds=0.2)

    def _count(self, new: list[dict[str, Any]]) -> Script:
        pauses = itertools.chain(STREAM_PAUSES, itertools.repeat(STREAM_PAUSES[-1]))
        while True:
            try:
                self.invoke("usage", {"Records": new})
            except FunctionFailed:
                yield next(pauses)
            else:
                return

    def _usage(self) -> Iterator[str]:
        """How the counters of usage differ from a recount. A run without a crash also passes all
        records again, and compares the counters of users; that is the same in each run."""
        jobs, groupings = self.jobs(), [Grouping.OUTCOME]
        if not self.boundary.points:
            counting.count_all(self._counted)
            groupings.append(Grouping.USER)
        times = [job.get("completed_at") or job["updated_at"] for job in jobs]
        found = [one["found_at"] for job in jobs for one in job.get("orphans", [])]
        days = [clock_.from_iso(at).date() for at in [*times, *found]]
        for grouping in groupings:
            if days:
                answer = usage_routes.answer(min(days), max(days), grouping)
                yield from usage.differences(answer.model_dump(mode="json"), jobs)

    def _pass_on(self, new: list[dict[str, Any]]) -> Script:
        pauses = itertools.chain(STREAM_PAUSES, itertools.repeat(STREAM_PAUSES[-1]))
        while new:
            try:
                failures = self.invoke("events", {"Records": new})["batchItemFailures"]
            except FunctionFailed:
                yield next(pauses)
                continue
            if not failures:
                return
            first = failures[0]["itemIdentifier"]
            numbers = [record["dynamodb"]["SequenceNumber"] for record in new]
            new = new[numbers.index(first) :]
            yield next(pauses)

    def _queue(self, params: Mapping[str, Any]) -> dict[str, Any]:
        message = params["MessageBody"]
        self._queued += 1
        self.begin(self._receive(message), in_seconds=0.1 + params["DelaySeconds"])
        return {"MessageId": str(self._queued)}

    def _start(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Lambda starts a function, once, and no caller waits for it."""
        assert (params["InvocationType"], params["FunctionName"]) == ("Event", moto_aws.MIGRATE)

        def run() -> Script:
            with suppress(FunctionFailed):
                self.invoke("migrate", json.loads(params["Payload"]))
            yield from ()

        self.begin(run(), in_seconds=0.1)
        return {"StatusCode": 202}

    def _receive(self, message: str) -> Script:
        while True:
            try:
                self.invoke("deliver", {"Records": [{"body": message}]})
            except FunctionFailed:
                yield VISIBILITY_SECONDS
            else:
                return

    def _call_machine(self, client: Any, operation: str, params: Mapping[str, Any]) -> Any:
        try:
            return self.machine.answer(operation, params)
        except Refused as refused:
            kind = client.exceptions.from_code(refused.code)
            raise kind(
                {"Error": {"Code": refused.code, "Message": refused.code}}, operation
            ) from None

    def call_http(self, request: httpx.Request) -> httpx.Response:
        """One HTTP request of a function."""
        what = f"{self.network.provider(request)} {request.method}"
        return self.boundary.effect(what, lambda: self.network.exchange(request))

    # ── What is there to see ─────────────────────────────────────────────────────────────────────

    def audited(self, path: str) -> list[dict[str, Any]]:
        """The entries of the audit trail about a path, oldest first."""
        items = records.items(self.aws, "ENDPOINTS_TABLE")
        found = [item for item in items if item["group"] == AUDIT and item["about"] == path]
        return sorted(found, key=lambda item: str(item["sk"]))

    def jobs(self) -> list[dict[str, Any]]:
        return records.items(self.aws, "JOBS_TABLE")

    def jobs_in_order(self) -> list[dict[str, Any]]:
        """In the order of the requests; jobs of one call in the order of their prompts."""
        return sorted(self.jobs(), key=lambda job: (job["created_at"], job["prompt"]))

    def job_ids(self) -> list[str]:
        """In the order of the requests."""
        return [job["job_id"] for job in self.jobs_in_order()]

    def paid(self) -> Counter[tuple[str, str]]:
        """Paid submissions by job and stage. A webhook URL names both. A provider without webhooks,
        or one whose response was lost, is matched by the prompt, which no two jobs share.
        """
        return Counter(self._order_of(submission) for submission in self.network.submissions())

    def _order_of(self, submission: Mapping[str, Any]) -> tuple[str, str]:
        """The job and stage that a provider was asked for."""
        if submission["webhook_url"]:
            *_, job_id, stage, _token = submission["webhook_url"].split("/")
            return job_id, stage
        by_prompt = {}
        for job in self.jobs():
            by_prompt[job["prompt"]] = job["job_id"], "video"
            if "image" in job:
                by_prompt[json.loads(job["image"]["picture"])["prompt"]] = job["job_id"], "image"
        return by_prompt[submission["input"]["promptText"]]

    def billed(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Job and stage of everything that was made and billed, and the provider's record of it."""
        return [
            (*self._order_of(submission), submission)
            for submission in self.network.submissions()
            if submission["billed"]
        ]

    def _unaccounted(self) -> Iterator[str]:
        """What was billed and neither used nor reported to the owner, or reported and never
        billed.
        """
        jobs = {job["job_id"]: job for job in self.jobs()}
        for job_id, name, submission in self.billed():
            job, request_id = jobs[job_id], submission["request_id"]
            tries = [job[name], *job[name].get("earlier", [])]
            made = {
                (one.get("submission") or one).get("request_id")
                for one in tries
                if {"media_url", "cost"} & one.get("outcome", {}).keys()
            }
            recorded = {orphan["request_id"] for orphan in job.get("orphans", [])}
            # The response to our submission is lost, and no webhook arrived: we cannot know of it.
            known = job[name]["submission"].get("request_id") or submission["deliveries"]
            if known and request_id not in made | recorded:
                yield f"{name} of job {job_id} was billed, not used, and the owner was not told"
            elif known and (found := _costs_of(job, request_id)) != [_billed_usd(submission)]:
                yield f"{name} of job {job_id} has the costs {found} for what was billed"
        withdrawn = {
            submission["request_id"]
            for submission in self.network.submissions()
            if submission["state"] == "CANCELLED" and not submission["billed"]
        }
        for job_id, job in jobs.items():
            for orphan in job.get("orphans", []):
                if orphan["request_id"] in withdrawn:
                    yield f"the owner was told of {orphan['stage']} of job {job_id}, taken back"

    def snapshots(self) -> list[Snapshot]:
        """Every user, now."""
        return records.snapshots(self.aws, self.users, self.paid())

    def _examine(self) -> list[Snapshot]:
        """Check the current records against the invariants, and against earlier records."""
        seen = self.snapshots()
        for now in seen:
            self._note(violations(now, self._last_seen.get(now.user_id)))
            self._last_seen[now.user_id] = now
        return seen

    def _note(self, sentences: list[str]) -> None:
        self.found += [sentence for sentence in sentences if sentence not in self.found]

    # ── The run ──────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Run until nothing is left to do, or a job is overdue; then examine what is left."""
        quiet_since: float | None = None
        while quiet_since is None or self.timeline.now() - quiet_since < CALM_SECONDS:
            self._step_to_sweep()
            jobs = self.jobs()
            if any(self._is_overdue(job) for job in jobs):
                break
            if self._busy or self.machine.running() or not all(map(_has_ended, jobs)):
                quiet_since = None
            elif self.timeline.idle():
                break
            else:
                quiet_since = quiet_since or self.timeline.now()
        # A sweep after everything has ended changes nothing.
        self._sweep()
        for now in self._examine():
            self._note([*unfinished(now), *left_behind(now)])
        self._note([f"{name}'s CDN was shown a key" for name in self.network.leaked()])
        self._note([*self._unaccounted()])
        ledger = records.items(self.aws, "LEDGER_TABLE")
        accounts = records.versions("LedgerTable", moto_aws.REGION, "ACCOUNT")
        self._note([*self.outgoing.violations(self.jobs(), ledger, accounts, LOW_CREDITS)])
        self._note([*not_found_by_id(self.jobs(), records.items(self.aws, "ENDPOINTS_TABLE"))])
        self._note([*self.receiver.violations(self.outgoing)])
        self._note([*self._usage()])
        for execution in self.machine.executions.values():
            if execution.status == "RUNNING":
                self._note([f"the execution of {execution.name} runs for ever"])

    def _step_to_sweep(self) -> None:
        """Run everything up to and including the next scheduled sweep."""
        sweeps = self._sweeps
        while self._sweeps == sweeps:
            self.timeline.step()

    def _is_overdue(self, job: Mapping[str, Any]) -> bool:
        late = self.timeline.now() - overdue_at(job) > OVERDUE_SECONDS
        return late and not _has_ended(job)


def _is_counted(record: Mapping[str, Any]) -> bool:
    return streams.passes(record, streams.filters("JobsTable", mapping=streams.USAGE))


def _costs_of(job: Mapping[str, Any], request_id: str) -> list[int | None]:
    """The costs that are recorded for a generation, in millionths of a USD."""
    stages = [job[name] for name in STAGES if name in job]
    runs = [one for stage in stages for one in (stage, *stage.get("earlier", []))]
    recorded = [
        one["outcome"]["cost"]
        for one in runs
        if (one.get("submission") or one).get("request_id") == request_id
        and "cost" in one.get("outcome", {})
    ]
    orphans = [one for one in job.get("orphans", []) if one["request_id"] == request_id]
    return [cost.get("usd_micros") for cost in [*recorded, *(one["cost"] for one in orphans)]]


def _billed_usd(submission: Mapping[str, Any]) -> int:
    """What a simulated provider billed, in millionths of a USD. fal does not report it, and every
    scenario orders Veo 3.1 there."""
    if "credits" in submission:
        return int(submission["credits"] * 10_000)
    usd = submission.get("cost") or 0.40 * int(submission["input"]["duration"].removesuffix("s"))
    return round(usd * 1_000_000)


def _has_ended(job: Mapping[str, Any]) -> bool:
    return job["status"] in TERMINAL


@contextlib.contextmanager
def new_world(
    clients: Clients,
    points: tuple[Point, ...] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[World]:
    """An empty account at the start of virtual time. Functions crash at ``points``."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        clock = stack.enter_context(virtual_time())
        patch.setattr(time, "sleep", lambda seconds: clock.forward(seconds=seconds))
        for name, value in environment().items():
            patch.setenv(name, value)
        patch.setenv("LOW_CREDITS", str(LOW_CREDITS))
        patch.setenv("WEBHOOK_TEST_HOSTS", RECEIVER_HOST)
        patch.setattr(logger._logger, "disabled", True)  # noqa: SLF001
        patch.setattr(placing, "STARTS_AT_ONCE", 1)  # in the same order every time
        random.seed(0)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # metrics
        aws = stack.enter_context(moto_aws.empty_account(clients))
        moto_aws.publish_keys(KEYS)
        timeline = Timeline(clock)
        stack.callback(timeline.close)
        world = World(aws, clock, Boundary(points), timeline, settings or {})
        original = getattr(botocore.client.BaseClient, "_make_api_call")  # noqa: B009

        def make_api_call(client: Any, operation: str, params: Any) -> Any:
            return world.call_aws(original, client, operation, params)

        patch.setattr(botocore.client.BaseClient, "_make_api_call", make_api_call)
        for name, instead in (
            ("__init__", lambda *_, **__: None),  # no certificates to load, no sockets to close
            ("handle_request", lambda _, request: world.call_http(request)),
            ("close", lambda _: None),
        ):
            patch.setattr(httpx.HTTPTransport, name, instead)
        yield world
