"""Anything, in any order: the real functions beside `tests.proof.model`, compared at every step.

Hypothesis chooses what happens: grants, orders, repeats, webhooks (early, late, double, forged),
polls, failures, cancellations, deadlines, sweeps, deletions. The functions run on an account in
process, with fal's real adapter on fal's real wire protocol; what fal does is decided here.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import re
import tempfile
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from clipmint import aws
from clipmint.catalog import model_store
from clipmint.catalog.model import Model as CatalogModel
from clipmint.credits import ledger
from clipmint.jobs import job_store
from clipmint.telemetry import logger
from functions.admin.app import handler as admin
from functions.cancel.app import handler as cancel
from functions.generate.app import handler as generate
from functions.migrate.app import handler as migrate
from functions.settle.app import handler as settle
from functions.status.app import handler as status
from functions.submit.app import handler as submit
from functions.sweep.app import handler as sweep
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.proof import model as model_of
from tests.proof.model import Model
from tests.proof.records import snapshots
from tests.support import moto_aws
from tests.support.clock import virtual_time
from tests.support.fal_wire import Signer
from tests.support.gateway import Answer, Caller, Context, Handler
from tests.support.invariants import Snapshot, left_behind, violations
from tests.support.moto_aws import Clients
from tests.support.mp4 import write_mp4

QUEUE = "https://queue.fal.run"
MEDIA = "http://127.0.0.1:9009"
USERS = ("ada", "bob")
PRICES = {"small": 10, "large": 25}
SCHEDULE = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}

KEYS = ("key-number-one", "key-number-two", "key-number-three", "key-number-four")

TERMS = [
    ("purchased", None),
    ("purchased", None),
    ("purchased", None),
    ("purchased", 4_005),
    ("promo", None),
    ("promo", 605),
    ("promo", 4_005),
    ("allowance", 605),
    ("allowance", 95_005),
]
"""Kinds of credits, and their ends in seconds after the beginning: never at a time that a step of
`time_passes` can reach exactly, because the clock of the functions has fractions of seconds."""

users = st.sampled_from(USERS)
references = st.sampled_from(["r0", "r1", "r2", "r3"])
mostly = st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, False, False, False, False, True])


def _other(user: str) -> str:
    return USERS[user == USERS[0]]


def offered(name: str, price: int) -> CatalogModel:
    return CatalogModel.model_validate(
        {
            "model_id": name,
            "name": name,
            "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9"], "duration": [4]},
            "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
            "price": {"kind": "fixed", "credits": price},
            "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1"}],
            "deadline_seconds": model_of.DEADLINE,
        }
    )


class Fal:
    """fal's side of the wire, controlled by the test.

    ``reply`` is how it answers the next submission. A request is known by the path of the webhook
    it came with, which names our job; ``states`` holds the current state of each.
    """

    def __init__(self, video: bytes) -> None:
        self.signer = Signer()
        self.reply = "accepts"
        self.requests: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self._video = video

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.url.host == "127.0.0.1":
            return httpx.Response(200, stream=httpx.ByteStream(self._video))
        if path.endswith("jwks.json"):
            return httpx.Response(200, json={"keys": [self.signer.jwk]})
        if request.method == "POST":
            return self._submitted(request)
        found = re.fullmatch(r"/fal-ai/veo3\.1/requests/([^/]+)(/status|/cancel)?", path)
        assert found, path
        request_id, what = found[1], found[2]
        there = self.states[request_id]
        if what == "/cancel":
            assert there == "queued"
            self.states[request_id] = "withdrawn"
            return httpx.Response(200, json={"status": "OK"})
        if what == "/status":
            words = {"queued": "IN_QUEUE", "running": "IN_PROGRESS"}.get(there, "COMPLETED")
            return httpx.Response(200, json={"status": words, "request_id": request_id})
        return httpx.Response(200 if there == "ok" else 500, json=self.result(request_id))

    def result(self, request_id: str) -> dict[str, Any]:
        if self.states[request_id] == "ok":
            return {"video": {"url": f"{MEDIA}/{request_id}.mp4"}}
        return {"detail": "The runner failed", "error_type": "runner_disconnected"}

    def _submitted(self, request: httpx.Request) -> httpx.Response:
        if self.reply == "busy":
            return httpx.Response(503, json={"detail": "No runner available"})
        if self.reply == "refuses":
            problem = {"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}
            return httpx.Response(422, json={"detail": [problem]})
        request_id = str(uuid.uuid4())
        path = httpx.URL(request.url.params["fal_webhook"]).path
        job_id = path.split("/")[3]
        assert job_id not in self.requests, "paid for twice"
        self.requests[job_id] = request_id
        self.states[request_id] = "queued"
        if self.reply == "lost":
            raise httpx.ReadError("reset", request=request)
        return httpx.Response(
            200,
            json={
                "status": "IN_QUEUE",
                "request_id": request_id,
                "response_url": f"{QUEUE}/fal-ai/veo3.1/requests/{request_id}",
                "status_url": f"{QUEUE}/fal-ai/veo3.1/requests/{request_id}/status",
                "cancel_url": f"{QUEUE}/fal-ai/veo3.1/requests/{request_id}/cancel",
            },
        )


def _as_bytes(params: dict[str, Any], **_: Any) -> None:
    params["Body"] = bytes(params["Body"])  # moto cannot read a bytearray; S3 can


Key = tuple[str, str]


class Anything(RuleBasedStateMachine):
    """One account, two users, and everything that can happen to them. Set `clients` and `video`."""

    clients: Clients
    video: bytes
    answers: ClassVar[Counter[str]] = Counter()
    """How often each response was compared, over all runs of this process."""

    orders = Bundle("orders")
    granted = Bundle("granted")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        self.clock = self._stack.enter_context(virtual_time())
        patch.setattr(logger._logger, "disabled", True)  # noqa: SLF001
        limits = {"MAX_OPEN_JOBS": model_of.OPEN_JOBS, "MAX_JOBS_PER_HOUR": model_of.JOBS_PER_HOUR}
        for name, value in limits.items():
            patch.setenv(name, str(value))
        moto_aws.override(patch, fal={"media_hosts": [MEDIA.removeprefix("http://")]})
        self.fal = Fal(self.video)
        patch.setattr(
            httpx.HTTPTransport, "handle_request", lambda _, request: self.fal.handle(request)
        )
        self.aws = self._stack.enter_context(moto_aws.empty_account(self.clients))
        aws.s3().meta.events.register("before-parameter-build.s3.PutObject", _as_bytes)
        self._stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        for name, price in PRICES.items():
            model_store.put(offered(name, price))
        self.model = Model(now=int(self.clock.seconds()))
        self.began = self.model.time
        self.ids: dict[Key, str] = {}
        self.steps = 0
        self._before: dict[str, Snapshot] = {}

    def teardown(self) -> None:
        try:
            self._examine()
        finally:
            self._stack.close()

    # ── Users ────────────────────────────────────────────────────────────────────────────────────

    @initialize(target=orders, credits_=st.integers(30, 200), slow=seldom, succeeds=mostly)
    def begin(self, credits_: int, *, slow: bool, succeeds: bool) -> Key:
        self.grant("ada", credits_, "r0")
        self.order("ada", KEYS[0], "small")
        if slow:
            self.go_too_slowly(("ada", KEYS[0]), succeeds=succeeds, settled=True, again=False)
        return "ada", KEYS[0]

    @rule(
        target=granted,
        user=users,
        credits_=st.sampled_from([1, 10, 60]),
        reference=references,
        terms=st.sampled_from(TERMS),
    )
    def grant(
        self,
        user: str,
        credits_: int,
        reference: str,
        terms: tuple[str, int | None] = ("purchased", None),
    ) -> tuple[str, int, str, tuple[str, int | None]]:
        kind, seconds = terms
        ends = None if seconds is None else self.began + timedelta(seconds=seconds)
        body: dict[str, Any] = {"user_id": user, "amount": credits_, "reference": reference}
        if kind != "purchased":
            body["kind"] = kind
        if ends:
            body["expires_at"] = ends.isoformat()
        observed = self._call_as_owner("grants", body, "available")
        self._same("grant", observed, self.model.grant(user, credits_, reference, kind, ends))
        return user, credits_, reference, terms

    @rule(grant=granted)
    def repeat_grant(self, grant: tuple[str, int, str, tuple[str, int | None]]) -> None:
        self.grant(*grant)

    @rule(
        user=users,
        credits_=st.sampled_from([1, 10, 60]),
        reference=references,
        kind=st.sampled_from(["purchased", "purchased", "allowance", "promo"]),
    )
    def refund(self, user: str, credits_: int, reference: str, kind: str) -> None:
        body = {"user_id": user, "amount": credits_, "reference": reference, "kind": kind}
        observed = self._call_as_owner("clawbacks", body, "available", "debt")
        self._same("refund", observed, self.model.take_back(user, credits_, reference, kind))

    @rule(user=users, credits_=st.sampled_from([-20, 5, 20]), reference=references)
    def correct(self, user: str, credits_: int, reference: str) -> None:
        body = {"user_id": user, "amount": credits_, "reference": reference, "reason": "A mistake"}
        observed = self._call_as_owner("adjustments", body, "available", "debt")
        self._same("correct", observed, self.model.correct(user, credits_, reference))

    def _call_as_owner(self, what: str, body: dict[str, Any], *members: str) -> tuple[object, ...]:
        path = f"/v1/admin/{what}"
        answer = self._call(admin, "POST", path, user="admin", body=body, scope="clipmint/admin")
        if answer.status != 200:
            return (answer.status,)
        return (answer.status, *(answer.body[name] for name in members), answer.body["replayed"])

    @rule(user=users)
    def look_at_credits(self, user: str) -> None:
        answer = self._call(status, "GET", "/v1/credits", user=user)
        expected = self.model.account(user).credits
        lots = Counter(
            {(lot["kind"], lot["expires_at"]): lot["credits"] for lot in answer.body["lots"]}
        )
        live = Counter(
            (one.kind, one.ends and one.ends.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
            for one in expected.live(self.model.time)
        )
        observed = (200, lots, *(answer.body[name] for name in ("available", "held", "debt")))
        must = (200, live, live.total(), expected.held, expected.debt)
        self._same("credits", observed, must)

    @rule(
        target=orders,
        user=users,
        key=st.sampled_from(KEYS),
        model_id=st.sampled_from(sorted(PRICES)),
    )
    def order(self, user: str, key: str, model_id: str) -> Any:
        answer = self._call(
            generate,
            "POST",
            "/v1/videos",
            user=user,
            body={"model_id": model_id, "prompt": f"a fox, {user}, {key}"},
            headers={"Idempotency-Key": key},
        )
        observed: tuple[object, ...] = (answer.status,)
        if answer.status == 202:
            replayed = answer.headers.get("x-idempotent-replay") == "true"
            observed += (answer.body["credits_used"], answer.body["credits_remaining"], replayed)
            assert self.ids.setdefault((user, key), answer.body["job_id"]) == answer.body["job_id"]
        self._same("order", observed, self.model.generate(user, key, model_id, PRICES[model_id]))
        return (user, key) if answer.status == 202 else multiple()

    @rule(order=orders, own=mostly)
    def cancel(self, order: Key, *, own: bool) -> None:
        caller = order[0] if own else _other(order[0])
        if found := self._found(order):
            job_id, job = found
            answer = self._call(cancel, "POST", f"/v1/videos/{job_id}/cancel", user=caller)
            observed: tuple[object, ...] = (answer.status,)
            if answer.status == 200:
                observed += (answer.body["credits_released"],)
            self._same("cancel", observed, self.model.cancel(job, caller))

    @rule(order=orders, own=mostly)
    def delete(self, order: Key, *, own: bool) -> None:
        caller = order[0] if own else _other(order[0])
        if found := self._found(order):
            job_id, job = found
            answer = self._call(cancel, "DELETE", f"/v1/videos/{job_id}", user=caller)
            self._same("delete", (answer.status,), self.model.delete(job, caller))

    @rule(order=orders, own=mostly)
    def look(self, order: Key, *, own: bool) -> None:
        caller = order[0] if own else _other(order[0])
        if found := self._found(order):
            job_id, job = found
            answer = self._call(status, "GET", f"/v1/videos/{job_id}", user=caller)
            observed: tuple[object, ...] = (answer.status,)
            if answer.status == 200:
                observed += (answer.body["status"], answer.body["credits_used"])
            self._same("look", observed, self.model.look(job, caller))

    # ── The state machine ────────────────────────────────────────────────────────────────────────

    @rule(order=orders, reply=st.sampled_from(["accepts", "accepts", "busy", "refuses", "lost"]))
    def submit(self, order: Key, reply: str) -> None:
        if found := self._found(order):
            job_id, job = found
            self.fal.reply = reply
            moto_aws.forget_answers()  # a new process, also so that no circuit ever opens
            observed = self._state(submit, {"job_id": job_id}, "stage")
            self._same("submit", observed, self.model.submit(job, reply))

    @rule(order=orders, turn=st.sampled_from([0, 1]))
    def track(self, order: Key, turn: int) -> None:
        if found := self._found(order):
            job_id, job = found
            token = str(uuid.uuid4())
            self.aws.executions.sleeping.add(token)
            event = {"job_id": job_id, "stage": "video", "turn": turn, "task_token": token}
            self._same("track", self._state(track, event, "woken"), self.model.track(job, turn))
            self._withdrawn_alike(job_id, job)

    @rule(order=orders)
    def migrate(self, order: Key) -> None:
        if found := self._found(order):
            job_id, job = found
            event = {"job_id": job_id, "stage": "video"}
            self._same("migrate", self._state(migrate, event, "more"), self.model.migrate(job))

    @rule(order=orders, patient=mostly)
    def settle(self, order: Key, *, patient: bool) -> None:
        if found := self._found(order):
            job_id, job = found
            if patient and not (job.outcome or job.ended):
                return
            observed = self._state(settle, {"job_id": job_id, "error": ""}, "status")
            self._same("settle", observed, self.model.settle(job))

    @rule(order=orders, how=st.sampled_from(["FAILED", "TIMED_OUT", "ABORTED"]), spared=mostly)
    def execution_ends(self, order: Key, how: str, *, spared: bool) -> None:
        if (found := self._found(order)) and not spared:
            job_id, job = found
            event = {"source": "aws.states", "detail": {"name": job_id, "status": how}}
            observed = self._state(sweep, event, "settled")
            self._same("execution fails", observed, self.model.execution_ended(job))

    @precondition(lambda self: self.ids)
    @rule(spared=mostly)
    def sweep(self, *, spared: bool) -> None:
        if spared:
            return
        observed = self._state(sweep, SCHEDULE, "settled", "started")
        self._same("sweep", observed, self.model.sweep())
        for user, account in self.model.accounts.items():
            # Its audit records what has ended of the accounts that are due in this minute.
            if ledger.account_of(user).available == len(account.credits.live(self.model.time)):
                self.model.expire(account)

    @rule(order=orders, steps=st.sampled_from([*range(1, 8), 8, 8, 8]), webhook=st.booleans())
    def go_well(self, order: Key, steps: int, *, webhook: bool) -> None:
        """That many steps of the path that most orders take."""
        way: list[Callable[[], None]] = [
            lambda: self.submit(order, "accepts"),
            lambda: self.track(order, 0),
            lambda: self.provider_goes_on(order, 1, succeeds=True),
            lambda: self.provider_goes_on(order, 1, succeeds=True),
            (lambda: self.webhook(order, "")) if webhook else (lambda: self.track(order, 1)),
            lambda: self.migrate(order),
            lambda: self.settle(order, patient=False),
            lambda: self.look(order, own=True),
        ]
        for step in way[:steps]:
            step()

    @rule(order=orders, succeeds=mostly, settled=st.booleans(), again=st.booleans())
    def go_too_slowly(self, order: Key, *, succeeds: bool, settled: bool, again: bool) -> None:
        """The provider finishes a task that was given up."""
        self.submit(order, "accepts")
        self.provider_goes_on(order, 1, succeeds=succeeds)
        self.time_passes(700)
        self.track(order, 1)
        if settled:
            self.settle(order, patient=False)
        self.provider_goes_on(order, 1, succeeds=succeeds)
        for _ in range(1 + again):
            self.webhook(order, "")

    # ── The provider, and time ───────────────────────────────────────────────────────────────────

    @rule(order=orders, succeeds=st.booleans(), steps=st.integers(1, 2))
    def provider_goes_on(self, order: Key, steps: int, *, succeeds: bool) -> None:
        if found := self._found(order):
            job_id, job = found
            for _ in range(steps):
                self.model.advance(job, succeeds=succeeds)
            if request_id := self.fal.requests.get(job_id):
                self.fal.states[request_id] = job.there

    @rule(
        order=orders,
        forgery=st.sampled_from(["", "", "", "token", "signature", "stale", "other request"]),
    )
    def webhook(self, order: Key, forgery: str) -> None:
        if not (found := self._found(order)):
            return
        job_id, job = found
        request_id = self.fal.requests.get(job_id, "")
        if not forgery and job.there not in {"ok", "bad"}:
            return
        if forgery == "other request" and job.sent != "yes":
            return  # the id of our request is unknown: the one in the signed webhook is believed
        result = self._webhook(job_id, request_id or str(uuid.uuid4()), forgery)
        observed: tuple[object, ...] = (result["statusCode"],)
        if result["statusCode"] == 200:
            observed += (json.loads(result["body"])["result"],)
        self._same(f"webhook{forgery and ' forged'}", observed, self.model.webhook(job, forgery))

    @rule(seconds=st.sampled_from([20, 130, 300, 580, 700, 4_000, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds=seconds)
        self.model.now += seconds

    # ── Every step ───────────────────────────────────────────────────────────────────────────────

    @invariant()
    def each_user_has_what_the_model_has(self) -> None:
        self.steps += 1
        for user, expected in self.model.accounts.items():
            account, credits_ = ledger.account_of(user), expected.credits
            assert (account.available, account.held) == (credits_.available, credits_.held)
            assert account.debt == credits_.debt
            assert (account.sequence, account.open_jobs) == (expected.lines, expected.open)
            assert credits_.problems() == []
        for order, job in self.model.jobs.items():
            found = job_store.get(self.ids[order])
            assert found
            assert found.status.value == job.status
        if self.steps % 10 == 0:
            self._examine()

    def _examine(self) -> None:
        paid = {(job_id, "video"): 1 for job_id in self.fal.requests}
        for now in snapshots(self.aws, USERS, paid):
            found = [*violations(now, self._before.get(now.user_id)), *left_behind(now)]
            assert not found, found
            self._before[now.user_id] = now

    # ── Hands ────────────────────────────────────────────────────────────────────────────────────

    def _found(self, order: Key) -> tuple[str, model_of.Job] | None:
        """The order's job, if there ever was one."""
        job_id, job = self.ids.get(order), self.model.jobs.get(order)
        return (job_id, job) if job_id and job else None

    def _same(self, what: str, observed: tuple[object, ...], expected: tuple[object, ...]) -> None:
        """The response was the required one."""
        assert observed == expected, f"{what}: {observed}, not {expected}"
        self.answers[f"{what}: {_kind(expected)}"] += 1

    def _call(self, handler: Handler, method: str, path: str, **parts: Any) -> Answer:
        return Caller(handler)(method, path, **parts)

    def _state(
        self, handler: Handler, event: Mapping[str, Any], *members: str
    ) -> tuple[object, ...]:
        """What a state's function returns of these, or the name of its error."""
        context = Context(aws_request_id=str(uuid.uuid4()), remaining_ms=800_000)
        try:
            result = handler(dict(event), context)
        except Exception as error:  # noqa: BLE001  (the state machine also catches by name)
            return (type(error).__name__,)
        return tuple(result[member] for member in members)

    def _webhook(self, job_id: str, request_id: str, forgery: str) -> Any:
        recorded = self.aws.job_item(job_id)["video"]["M"].get("submission", {}).get("M", {})
        token = recorded.get("webhook_token", {}).get("S", "none-yet")
        there = self.fal.states.get(request_id)
        body: dict[str, Any] = {"request_id": request_id, "gateway_request_id": request_id}
        if there == "ok":
            body |= {"status": "OK", "payload": self.fal.result(request_id)}
        elif there:
            body |= {
                "status": "ERROR",
                "error": "Invalid status code: 500",
                "payload": self.fal.result(request_id),
            }
        if forgery == "other request":
            body["request_id"] = body["gateway_request_id"] = request_id = str(uuid.uuid4())
        if forgery == "token":
            token = "a-guess"
        signer = Signer(2) if forgery == "signature" else self.fal.signer
        sent_at = int(self.clock.seconds()) - (301 if forgery == "stale" else 0)
        call = signer.call(body, request_id=request_id, timestamp=sent_at)
        event = {
            "headers": dict(call.headers),
            "body": call.body.decode(),
            "pathParameters": {
                "provider": "fal",
                "job_id": job_id,
                "stage": "video",
                "token": token,
            },
        }
        return webhooks(event, Context())

    def _withdrawn_alike(self, job_id: str, job: model_of.Job) -> None:
        request_id = self.fal.requests.get(job_id)
        if request_id is not None:
            assert self.fal.states[request_id] == job.there


def _kind(answer: tuple[object, ...]) -> str:
    """A response without its numbers."""
    words = [str(part) for part in answer if isinstance(part, str | bool)]
    if type(answer[0]) is int and answer[0] >= HTTPStatus.OK:
        words.insert(0, str(answer[0]))
    return " ".join(words) or "counted"


def try_anything(
    clients: Clients, *, examples: int, steps: int, part: int = 0, shrink: bool = True
) -> Counter[str]:
    """Try so many examples of so many steps. Each part is the same every time, and unlike others.

    Parameters
    ----------
    shrink
        Look for the shortest way to a wrong answer, which takes minutes.

    Raises
    ------
    AssertionError
        An answer was not the expected one; its notes list the steps before it.
    """
    Anything.clients, Anything.answers = clients, Counter()
    with tempfile.TemporaryDirectory() as folder:
        Anything.video = write_mp4(Path(folder) / "video.mp4", seconds=0.5)
    run_state_machine_as_test(
        seed(part)(Anything),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
    return Anything.answers


NEEDED = frozenset(
    {
        "cancel: 200", "cancel: 404", "cancel: 409",
        "delete: 204", "delete: 404", "delete: 409",
        "correct: 200 False", "correct: 200 True", "correct: 409",
        "credits: 200",
        "grant: 200 False", "grant: 200 True", "grant: 400", "grant: 409",
        "look: 200 cancelled", "look: 200 completed", "look: 200 failed", "look: 404",
        "migrate: False", "migrate: JobFinished",
        "refund: 200 False", "refund: 200 True", "refund: 409",
        "order: 202 False", "order: 202 True", "order: 402", "order: 422", "order: 429",
        "settle: cancelled", "settle: completed", "settle: failed",
        "submit: DeadlineExceeded", "submit: JobFinished", "submit: ProviderBusy",
        "submit: SubmissionRejected", "submit: video",
        "sweep: counted", "execution fails: counted",
        "track: False", "track: JobFinished", "track: True",
        "webhook: 200 accepted", "webhook: 200 duplicate", "webhook: 200 late",
        "webhook forged: 401", "webhook forged: 404",
    }
)  # fmt: skip
"""Responses that must occur: one that did not occur was not compared."""


def try_everything(
    *, examples: int, steps: int, processes: int, batch: int = 0
) -> tuple[Counter[str], list[str]]:
    """`try_anything` in several processes at once: the responses compared, and the violations.

    Each batch has other examples.
    """
    first = batch * processes
    parts = [(examples // processes, steps, first + part) for part in range(processes)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        results = pool.map(_try_part, parts, chunksize=1)
    answers = sum((answers for answers, _ in results), Counter[str]())
    return answers, [failure for _, failure in results if failure]


def _try_part(what: tuple[int, int, int]) -> tuple[Counter[str], str]:
    examples, steps, part = what
    with moto_aws.functions_environment() as clients:
        try:
            try_anything(clients, examples=examples, steps=steps, part=part)
        except Exception:  # noqa: BLE001  (every error must be reported)
            return Anything.answers, traceback.format_exc()
    return Anything.answers, ""
