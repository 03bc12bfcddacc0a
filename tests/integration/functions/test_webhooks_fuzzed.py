"""Forged webhooks, to the real adapters: only a genuine one changes anything.

Hypothesis forges: it starts from what the provider would send and changes its headers, its body,
the keys it is verified with or the address it is sent to.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job
from clipmint.jobs.outcomes import Succeeded
from clipmint.providers import registry
from clipmint.providers.base import Provider
from clipmint.providers.fal import Fal, FalSettings, addresses
from clipmint.providers.registry import Registry
from clipmint.providers.runware import Runware, RunwareSettings
from functions.webhooks.app import handler
from tests.support.fal_wire import ENDPOINT, NOW, QUEUE, REQUEST_ID, VIDEO, Signer
from tests.support.gateway import Answer, Context, answer_of, event
from tests.support.jobs import LISTED, TASK_ID, begin_sending, open_job, task_id_of
from tests.support.moto_aws import Aws
from tests.support.runware_wire import VIDEO as RUNWARE_VIDEO

TOKEN = "the-token"
TASK_TOKEN = "task-token"
REFUSED = {401, 404, 503}
FAL = Signer(1)
SUCCESS = {"request_id": REQUEST_ID, "status": "OK", "payload": {"video": {"url": VIDEO}}}
fuzz = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    # One job for all examples: what they share is what none of them may change.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass
class Wire:
    """The providers' side: the keys that fal publishes, Runware's response to a poll."""

    keys: httpx.Response | None = None
    poll: object = None
    asked: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if request.method == "GET":
            return self.keys or httpx.Response(200, json={"keys": [FAL.jwk]})
        return httpx.Response(200, json=self.poll)


@dataclass
class Target:
    """A job of each provider that sends webhooks, sent and tracked; and everything about them."""

    aws: Aws
    wire: Wire
    jobs: dict[str, Job]
    before: list[Any] = field(default_factory=list)

    def everything(self) -> list[Any]:
        """Every record, and every token that was woken."""
        tables = ("JOBS_TABLE", "LEDGER_TABLE")
        return [*(self.aws.items(table) for table in tables), list(self.aws.executions.responses)]

    def deliver(
        self,
        headers: Mapping[str, str],
        body: bytes | str,
        address: Mapping[str, str] | None = None,
        *,
        encoded: bool | None = None,
        provider: str = "fal",
    ) -> Answer:
        """As the gateway passes it on: text as it is, other bytes in base64."""
        self.wire.asked = 0
        if isinstance(body, bytes):
            try:
                text, is_encoded = body.decode(), False
            except UnicodeDecodeError:
                text, is_encoded = base64.b64encode(body).decode(), True
        else:
            text, is_encoded = body, False
        parts = {
            "provider": provider,
            "job_id": self.jobs[provider].job_id,
            "stage": "video",
            "token": TOKEN,
            **(address or {}),
        }
        made = event("POST", "/webhooks/a/b/c/d", user=None, body=text, headers=headers)
        made["pathParameters"] = parts
        made["isBase64Encoded"] = is_encoded if encoded is None else encoded
        registry.forget()  # no adapter remembers the keys of the delivery before
        return answer_of(handler(made, Context()))


@pytest.fixture
def target(aws: Aws) -> Iterator[Target]:
    wire = Wire(poll={"data": [{"taskUUID": TASK_ID, "status": "processing"}]})
    transport = httpx.MockTransport(wire)

    def adapter(name: str, key: str) -> Provider | None:
        if name == "fal":
            return Fal(FalSettings(key=key, queue_url=QUEUE), transport, lambda: NOW)
        return Runware(RunwareSettings(key=key), transport) if name == "runware" else None

    keys = {"FAL_KEY": "id:secret", "RUNWARE_API_KEY": "0" * 32}
    with registry.use(Registry(adapter, lambda: keys)):
        sent = {}
        handles = {
            "fal": addresses.handle(QUEUE, ENDPOINT, REQUEST_ID, {}),
            "runware": Handle(TASK_ID),
        }
        for provider, handle in handles.items():
            job = begin_sending(open_job(providers=[provider]), TOKEN, provider=provider)
            job_store.mark_sent(job.job_id, "video", task_id_of(TOKEN), handle)
            job_store.store_task_token(job.job_id, "video", TASK_TOKEN)
            sent[provider] = job
        aws.executions.sleeping.add(TASK_TOKEN)
        target = Target(aws, wire, sent)
        target.before = target.everything()
        yield target
        # The job could have been changed all along.
        wire.keys, wire.poll = None, {"data": [{"taskUUID": TASK_ID, "videoURL": RUNWARE_VIDEO}]}
        genuine = FAL.call(SUCCESS)
        for provider, headers, body, url in (
            ("fal", genuine.headers, genuine.body, VIDEO),
            ("runware", {}, json.dumps({"taskUUID": TASK_ID}).encode(), RUNWARE_VIDEO),
        ):
            answer = target.deliver(headers, body, provider=provider)
            assert (answer.status, answer.body) == (200, {"result": "accepted"})
            found = job_store.get(sent[provider].job_id)
            assert found
            assert found.stages[0].outcome == Succeeded(url, LISTED)
            # And once: the genuine call is a replay from now on.
            before = [aws.items(table) for table in ("JOBS_TABLE", "LEDGER_TABLE")]
            answer = target.deliver(headers, body, provider=provider)
            assert (answer.status, answer.body) == (200, {"result": "duplicate"})
            assert [aws.items(table) for table in ("JOBS_TABLE", "LEDGER_TABLE")] == before


# ── What a forger may try ────────────────────────────────────────────────────────────────────────

anything = st.text(max_size=200) | st.sampled_from(["", " ", "\x00", "null", "NaN", "x" * 100_000])
timestamps = st.sampled_from(
    [
        *("0", "-1", "+1", "1e9", "NaN", "nan", "Infinity", "-0", "1.5", "0x6ab13380", "", " "),
        *("9" * 12, "9" * 13, "9" * 5_000, f"{NOW} ", f" {NOW}", f"{NOW}\n", f"{NOW},{NOW}"),
        *(str(NOW - 301), str(NOW + 301), f"{NOW * 1000}", f"{NOW:,}", f"0{NOW}", f"{NOW}.0"),
        # The same second in the digits of other scripts.
        "".join(chr(0x660 + int(digit)) for digit in str(NOW)),
        "".join(chr(0xFF10 + int(digit)) for digit in str(NOW)),
    ]
)
names = st.sampled_from(["request-id", "user-id", "timestamp", "signature"])


@st.composite
def forged_headers(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """A genuine call with a header that is missing, doubled, made up or of another call."""
    call = FAL.call(SUCCESS)
    headers = dict(call.headers)
    name = f"x-fal-webhook-{draw(names)}"
    other = FAL.call({**SUCCESS, "status": "ERROR"}, request_id="another-request", user_id="other")
    replaced: str | None = draw(
        st.none() | anything | timestamps | st.just(other.headers[name]) | st.just("doubled")
    )
    if replaced is None:
        del headers[name]
    elif replaced == "doubled":
        # The gateway joins headers of one name by commas.
        headers[name] = draw(st.sampled_from([f"{headers[name]},{headers[name]}", ",", "a,b"]))
    else:
        headers[name] = replaced
    if headers == dict(call.headers):
        headers[name] += "x"
    return headers, call.body


@st.composite
def forged_calls(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """Signed as fal signs, but with another key, at another time, or about something else."""
    signer = draw(st.sampled_from([FAL, Signer(2), Signer(3)]))
    about = draw(st.sampled_from([REQUEST_ID, "another-request", REQUEST_ID.upper()]))
    timestamp = draw(st.sampled_from([NOW, NOW - 301, NOW + 301, 0, 2**31, 10**11]))
    if (signer, about, timestamp) == (FAL, REQUEST_ID, NOW):
        signer = Signer(2)
    body = {**SUCCESS, "request_id": about}
    call = signer.call(body, request_id=about, timestamp=timestamp)
    return dict(call.headers), call.body


@st.composite
def forged_bodies(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """The headers of a genuine call over bytes that are not its own."""
    call = FAL.call(SUCCESS)
    where = draw(st.integers(0, len(call.body) - 1))
    body = draw(
        st.one_of(
            st.binary(max_size=300),
            st.sampled_from([b"", b"{}", b"[]", b"null", b"[" * 100_000, b"x" * (2 << 20)]),
            st.just(call.body + b" "),
            st.just(call.body[:where]),
            st.builds(
                lambda byte: call.body[:where] + bytes([byte]) + call.body[where + 1 :],
                st.integers(0, 255),
            ),
        )
    )
    if body == call.body:
        body += b"\n"
    return dict(call.headers), body


def unmoved(target: Target, answer: Answer) -> None:
    """Refused in the one shape of errors, after at most one call to a provider, and without a
    change.
    """
    assert answer.status in REFUSED
    assert answer.code in {"WEBHOOK_NOT_PROVEN", "NOT_FOUND", "TEMPORARILY_UNAVAILABLE"}
    assert target.wire.asked <= 1
    assert target.everything() == target.before


@fuzz
@given(forged=st.one_of(forged_headers(), forged_calls(), forged_bodies()))
def test_no_forged_call_changes_anything(
    target: Target, forged: tuple[dict[str, str], bytes]
) -> None:
    unmoved(target, target.deliver(*forged))


entries = st.one_of(
    st.sampled_from(
        [
            Signer(2).jwk,
            {**FAL.jwk, "kty": "RSA"},
            {**FAL.jwk, "kty": "oct", "k": FAL.jwk["x"]},
            {**FAL.jwk, "crv": "X25519"},
            {**FAL.jwk, "crv": "Ed448"},
            {**FAL.jwk, "crv": None},
            {**FAL.jwk, "x": FAL.jwk["x"] + "AA"},
            {**FAL.jwk, "x": FAL.jwk["x"][:-4]},
            {**FAL.jwk, "x": ""},
            {**FAL.jwk, "x": "A" * 43},
            {**FAL.jwk, "x": "A" * 1_000_000},
            {**FAL.jwk, "x": "\u0660" * 43},
            {**FAL.jwk, "x": [FAL.jwk["x"]]},
            {"alg": "none"},
            {},
        ]
    ),
    st.dictionaries(st.sampled_from(["kty", "crv", "x", "kid", "alg"]), st.text(), max_size=5),
    st.none() | st.integers() | st.text(),
)
documents = st.one_of(
    st.builds(lambda keys: json.dumps({"keys": keys}).encode(), st.lists(entries, max_size=20)),
    st.sampled_from(
        [
            *(b"", b"{}", b"[]", b'{"keys": null}', b'{"keys": {}}', b"<html>", b"[" * 100_000),
            json.dumps({"keys": [Signer(2).jwk] * 5_000}).encode(),
            json.dumps([FAL.jwk]).encode(),
            json.dumps({"jwks": [FAL.jwk]}).encode(),
        ]
    ),
    st.binary(max_size=100),
)


@fuzz
@given(
    document=documents,
    status=st.sampled_from([200, 200, 200, 204, 301, 302, 401, 404, 429, 500, 503]),
)
def test_a_genuine_call_proves_nothing_without_the_key_it_was_signed_with(
    target: Target, document: bytes, status: int
) -> None:
    target.wire.keys = httpx.Response(status, content=document)
    call = FAL.call(SUCCESS)
    unmoved(target, target.deliver(call.headers, call.body))


def test_the_right_key_is_found_among_wrong_ones_and_only_there(target: Target) -> None:
    call = FAL.call({**SUCCESS, "status": "IN_PROGRESS", "request_id": "another-request"})
    target.wire.keys = httpx.Response(200, json={"keys": [{}, Signer(2).jwk, FAL.jwk]})
    answer = target.deliver(call.headers, call.body)
    assert (answer.status, answer.code) == (401, "WEBHOOK_NOT_PROVEN")
    assert target.everything() == target.before


addresses_not_ours = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.sampled_from(["runware", "runway", "FAL", "fal ", "", "__init__"])
        | anything,
        "job_id": st.sampled_from(["", "0", "../jobs", "*"]) | anything | st.uuids().map(str),
        "stage": st.sampled_from(["image", "Video", "", "__class__", "submission"]) | anything,
        "token": st.sampled_from(["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), TOKEN + "\x00", "é"])
        | anything
        # What UTF-8 cannot encode, but JSON can.
        | st.just("\ud800"),
    },
)


@fuzz
@given(address=addresses_not_ours)
def test_a_genuine_call_changes_nothing_at_another_address(
    target: Target, address: dict[str, str]
) -> None:
    ours = {"provider": "fal", "job_id": target.jobs["fal"].job_id, "stage": "video"}
    wrong = {name: value for name, value in address.items() if value != ours.get(name, TOKEN)}
    # The one token here is that of all submissions; what else is in the address has to match too.
    at = {**ours, **(wrong or {"token": "another"})}
    call = FAL.call(SUCCESS)
    answer = target.deliver(call.headers, call.body, at)
    assert answer.status in {401, 404}
    unmoved(target, answer)


@fuzz
@given(
    body=st.binary(max_size=100).map(lambda raw: base64.b64encode(raw).decode())
    | st.text(max_size=100)
    | st.sampled_from(["=", "====", "A", "AAA=A", "\ud800", "e30=\x00", "é" * 10]),
    encoded=st.booleans(),
)
def test_no_change_of_the_body_encoding_passes_verification(
    target: Target, body: str, encoded: bool
) -> None:
    call = FAL.call(SUCCESS)
    for sent, flag in (
        (body, encoded),
        (call.body.decode(), True),
        (base64.b64encode(call.body).decode(), False),
        (base64.b64encode(base64.b64encode(call.body)).decode(), True),
    ):
        unmoved(target, target.deliver(call.headers, sent, encoded=flag))


# ── Runware signs nothing: the address is the only proof, and only a poll is believed ─────────────

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "errors", "taskUUID", "status", "videoURL", "cost"]), inner
        )
    ),
    max_leaves=10,
)
claims = st.one_of(
    values,
    st.just({"taskUUID": TASK_ID, "status": "success", "videoURL": "https://vm.runware.ai/mine"}),
    st.just({"data": [{"taskUUID": TASK_ID, "videoURL": RUNWARE_VIDEO}]}),
    st.just({"errors": [{"taskUUID": TASK_ID, "code": "contentPolicyViolation"}]}),
    st.just({"taskUUID": TASK_ID.upper(), "videoURL": RUNWARE_VIDEO}),
    st.just({"taskUUID": [TASK_ID]}),
)


@fuzz
@given(claim=claims | st.binary(max_size=200), headers=st.just({}) | st.just({"x-signature": "1"}))
def test_no_result_of_a_running_task_is_believed(
    target: Target, claim: object, headers: dict[str, str]
) -> None:
    body = claim if isinstance(claim, bytes) else json.dumps(claim).encode()
    answer = target.deliver(headers, body, provider="runware")
    if answer.status == 200:
        assert answer.body == {"result": "ignored"}
    else:
        assert answer.status == 401
    assert target.wire.asked <= 1
    assert target.everything() == target.before


@fuzz
@given(
    poll=values.filter(lambda reported: "videoURL" not in json.dumps(reported))
    | st.just({"data": [{"taskUUID": "another", "videoURL": RUNWARE_VIDEO}]})
    | st.just({"data": [{"videoURL": RUNWARE_VIDEO}]})
)
def test_no_response_about_another_task_changes_a_task(target: Target, poll: object) -> None:
    if _is_a_verdict(poll):
        return  # an error about our task, or about none: Runware's own word
    target.wire.poll = poll
    answer = target.deliver({}, json.dumps({"taskUUID": TASK_ID}).encode(), provider="runware")
    assert answer.status in {200, 503}
    assert answer.status == 503 or answer.body == {"result": "ignored"}
    assert target.everything() == target.before


def _is_a_verdict(poll: object) -> bool:
    return isinstance(poll, dict) and ("errors" in poll or "data" in poll)
