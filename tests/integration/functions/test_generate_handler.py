"""POST /v1/videos and its estimate, as the gateway calls them."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipmint.aws import dynamodb
from clipmint.catalog import model_store
from clipmint.catalog.model import Model
from clipmint.catalog.pricing import FixedPrice, PerSecondPrice
from clipmint.credits import grants, holds
from clipmint.jobs.job import JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.orders.idempotency_keys import job_id_for
from functions.generate.app import handler
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller, Context, answer_of, event
from tests.support.jobs import assert_adds_up, journal
from tests.support.moto_aws import KEYS, Aws, hooked, publish_keys
from tests.support.reading import of_type, written
from tests.support.strategies import AVAILABLE_MODELS, generations, prices

FOX = {"model_id": "veo-3.1", "prompt": "a fox in the snow"}
EXAMPLES = itertools.count()


@pytest.fixture
def call(aws: Aws) -> Caller:
    grants.grant("user-1", 100, "purchase-1")
    return Caller(handler)


def generate(call: Caller, body: object = FOX, key: str | None = "key-1", **parts: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return call("POST", "/v1/videos", body=body, headers=headers, **parts)


def untouched(aws: Aws) -> bool:
    return (
        aws.items("JOBS_TABLE") == []
        and assert_adds_up("user-1").held == 0
        and aws.executions.attempts_to_start == 0
    )


def test_a_generation_is_accepted_with_its_price_and_address(aws: Aws, call: Caller) -> None:
    answer = generate(call)
    job_id = job_id_for("user-1", "key-1")
    assert answer.status == 202
    assert answer.body == {
        "job_id": job_id,
        "status": "pending",
        "credits_used": 32,
        "credits_remaining": 68,
    }
    assert answer.headers["location"] == f"/v1/videos/{job_id}"
    assert "x-idempotent-replay" not in answer.headers
    assert assert_adds_up("user-1").held == 32
    assert aws.executions.started() == [{"name": job_id, "input": {"job_id": job_id}}]


def test_a_retry_gets_the_same_answer_marked_as_a_replay(aws: Aws, call: Caller) -> None:
    first = generate(call)
    for key in ("key-1", '"key-1"', " key-1 "):
        again = generate(call, key=key)
        assert (again.status, again.body) == (202, first.body)
        assert again.headers["x-idempotent-replay"] == "true"
        assert again.headers["location"] == first.headers["location"]
    assert assert_adds_up("user-1").held == 32
    assert aws.transactions == 2


def test_a_retry_after_the_record_is_gone_gets_the_same_answer_from_the_job(
    aws: Aws, call: Caller
) -> None:
    first = generate(call)
    [record] = aws.items("IDEMPOTENCY_TABLE")
    aws.dynamodb.delete_item(TableName="IdempotencyTable", Key={"id": record["id"]})
    holds.settle(first.body["job_id"], lambda _: Verdict(JobStatus.FAILED, FailureCode.NO_OUTPUT))
    again = generate(call)
    assert (again.status, again.body) == (202, first.body)
    assert again.headers["x-idempotent-replay"] == "true"
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]


def test_an_answer_is_replayed_for_a_day_before_the_job_itself_answers(
    aws: Aws, call: Caller, hands: Clock
) -> None:
    generate(call)
    [record] = aws.items("IDEMPOTENCY_TABLE")
    assert int(record["expiration"]["N"]) - 24 * 3_600 == int(hands.seconds())


def test_a_comma_in_a_key_is_a_character_like_any_other(call: Caller) -> None:
    answer = generate(call, key='"order 7, second try"')
    assert answer.status == 202
    assert answer.body["job_id"] == job_id_for("user-1", "order 7, second try")


def test_two_keys_are_two_jobs_and_one_key_of_two_users_too(aws: Aws, call: Caller) -> None:
    grants.grant("user-2", 100, "purchase-2")
    ids = {
        generate(call).body["job_id"],
        generate(call, key="key-2").body["job_id"],
        generate(call, user="user-2").body["job_id"],
    }
    assert len(ids) == 3
    assert assert_adds_up("user-1").held == 64
    assert assert_adds_up("user-2").held == 32


class Killed(BaseException):
    """The process was killed: no code in it runs any more, not even an ``except Exception``."""


def kill() -> str:
    raise Killed


def test_a_concurrent_duplicate_is_asked_to_retry_later(aws: Aws, call: Caller) -> None:
    aws.before_each_transaction(kill)
    with pytest.raises(Killed):
        generate(call)
    answer = generate(call)
    assert (answer.status, answer.code) == (409, "REQUEST_IN_PROGRESS")
    assert answer.headers["retry-after"] == "1"
    assert untouched(aws)


@pytest.mark.parametrize("after_the_transaction", [False, True])
def test_killed_anywhere_the_retry_makes_it_one_job_and_one_hold(
    aws: Aws,
    call: Caller,
    hands: Clock,
    monkeypatch: pytest.MonkeyPatch,
    after_the_transaction: bool,
) -> None:
    call.context = Context(remaining_ms=29_000)
    with monkeypatch.context() as patch:
        if after_the_transaction:
            patch.setattr("clipmint.orders.placing.workflow.start", lambda _: kill())
        else:
            aws.before_each_transaction(kill)
        with pytest.raises(Killed):
            generate(call)
    # The record of a request in flight expires with the function that answered it.
    hands.forward(seconds=28)
    assert (still := generate(call)).code == "REQUEST_IN_PROGRESS", still
    hands.forward(seconds=2)
    answer = generate(call)
    assert (answer.status, answer.body["credits_remaining"]) == (202, 68)
    assert ("x-idempotent-replay" in answer.headers) == after_the_transaction
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold"]
    assert [found["name"] for found in aws.executions.started()] == [answer.body["job_id"]]


def test_a_key_used_for_another_body_is_refused(aws: Aws, call: Caller) -> None:
    first = generate(call)
    for other in (
        FOX | {"prompt": "a fox in the rain"},
        FOX | {"preset": "draft"},
        FOX | {"settings": {"duration": 4}},
    ):
        answer = generate(call, other)
        assert (answer.status, answer.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    [record] = aws.items("IDEMPOTENCY_TABLE")
    aws.dynamodb.delete_item(TableName="IdempotencyTable", Key={"id": record["id"]})
    answer = generate(call, FOX | {"prompt": "a fox in the rain"})
    assert (answer.status, answer.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert generate(call).body == first.body
    assert assert_adds_up("user-1").held == 32


def test_the_same_body_in_another_order_is_the_same_request(call: Caller) -> None:
    first = generate(call, '{"model_id":"veo-3.1","prompt":"a fox in the snow"}')
    again = generate(call, '{ "prompt" : "a fox in the snow",\n "model_id" : "veo-3.1" }')
    assert again.body == first.body


def test_without_enough_credits_the_response_shows_how_many_there_are(
    aws: Aws, call: Caller
) -> None:
    for key in ("key-1", "key-2", "key-3"):
        assert generate(call, key=key).status == 202
    answer = generate(call, key="key-4")
    assert (answer.status, answer.code) == (402, "INSUFFICIENT_CREDITS")
    assert list(answer.body)[4:] == ["current_credits", "held_credits", "required_credits"]
    assert (answer.body["current_credits"], answer.body["held_credits"]) == (4, 96)
    assert answer.body["required_credits"] == 32
    # The key is not used up: with more credits the same request goes through.
    grants.grant("user-1", 28, "purchase-2")
    assert generate(call, key="key-4").status == 202


def test_beyond_the_limits_the_response_states_when_to_retry(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_OPEN_JOBS", "1")
    assert generate(call).status == 202
    answer = generate(call, key="key-2")
    assert (answer.status, answer.code) == (429, "RATE_LIMITED")
    assert {name for name in answer.headers if name.startswith("x-ratelimit")} == {
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    }
    assert int(answer.headers["retry-after"]) > 0


def test_a_busy_account_is_asked_to_come_back(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipmint.credits.ledger.MAX_ATTEMPTS", 2)
    aws.before_each_transaction(*[lambda: "TransactionConflict"] * 2)
    answer = generate(call)
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"
    assert generate(call).status == 202


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "IDEMPOTENCY_KEY_REQUIRED"),
        ("", "IDEMPOTENCY_KEY_INVALID"),
        ('""', "IDEMPOTENCY_KEY_INVALID"),
        ("x" * 256, "IDEMPOTENCY_KEY_INVALID"),
    ],
)
def test_a_key_is_required_and_of_a_reasonable_length(
    aws: Aws, call: Caller, key: str | None, code: str
) -> None:
    answer = generate(call, key=key)
    assert (answer.status, answer.code) == (400, code)
    assert untouched(aws)


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", ["body", "line 1, column 2"]),
        ('{"model_id": "veo-3.1",\n "prompt": }', ["body", "line 2, column 12"]),
        ("not json", ["body", "line 1, column 1"]),
        (None, ["model_id", "prompt"]),
        ("", ["model_id", "prompt"]),
        ("[]", ["body"]),
        ("null", ["body"]),
        ('"text"', ["body"]),
        ({}, ["model_id", "prompt"]),
        ({**FOX, "credits": 1, "price": 0}, ["credits", "price"]),
        ({**FOX, "prompt": 7, "settings": {"duration": "8", "fps": 3}}, ["prompt", "duration"]),
        ({**FOX, "prompt": ""}, ["prompt"]),
        ({**FOX, "prompt": "x" * 5_001}, ["prompt"]),
        ({**FOX, "settings": {"duration": 8.5}}, ["settings.duration"]),
        ({**FOX, "image_url": "http://example.com/a.png"}, ["image_url"]),
        ({**FOX, "image_url": "https://user:word@example.com/a.png"}, ["image_url"]),
        ({**FOX, "image_url": "https://127.0.0.1/a.png"}, ["image_url"]),
        ({**FOX, "image_url": "https://example.com/" + "a" * 2_048}, ["image_url"]),
        ({**FOX, "last_image_url": "https://[::1]/a.png"}, ["last_image_url"]),
    ],
)
def test_a_body_that_is_not_as_agreed_is_refused_and_each_field_named(
    aws: Aws, call: Caller, path: str, body: object, named: list[str]
) -> None:
    answer = call("POST", path, body=body, headers={"Idempotency-Key": "key-1"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    for field in named:
        assert field in answer.body["details"]
    assert untouched(aws)


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
def test_an_unknown_model_points_to_the_list_of_models(aws: Aws, call: Caller, path: str) -> None:
    answer = call(
        "POST", path, body=FOX | {"model_id": "no-such-model"}, headers={"Idempotency-Key": "k"}
    )
    assert (answer.status, answer.code) == (404, "MODEL_NOT_FOUND")
    assert "GET /v1/models" in answer.body["details"]
    assert untouched(aws)


def test_an_unknown_query_parameter_is_refused_like_an_unknown_member(
    aws: Aws, call: Caller
) -> None:
    answer = call("POST", "/v1/videos", body=FOX, query={"dry_run": "true"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.body["details"].startswith("dry_run: ")
    assert untouched(aws)


def nested(depth: int, inside: str) -> str:
    return '{"a":' * depth + inside + "}" * depth


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        "[" * 50_000 + "]" * 50_000,
        "[" * 50_000,
        nested(50_000, "1"),
        nested(3_000, "1"),
        *(nested(depth, "1") for depth in (100, 300, 500, 900, 960, 980)),
        json.dumps(FOX)[:-1] + ', "settings": ' + nested(900, "1") + "}",
        json.dumps(FOX)[:-1] + ', "settings": {"duration": ' + "9" * 5_000 + "}}",
        json.dumps(FOX)[:-1] + ', "settings": {"duration": ' + "9" * 4_000 + "}}",
        "9" * 5_000,
    ],
    ids=lambda body: f"{body[:12]}…{len(body)}",
)
def test_a_body_that_would_break_a_parser_is_the_callers_mistake(
    aws: Aws, call: Caller, path: str, body: str, encoded: bool
) -> None:
    made = event("POST", path, body=body, headers={"Idempotency-Key": "key-1"})
    if encoded:
        made["body"] = base64.b64encode(body.encode()).decode()
        made["isBase64Encoded"] = True
    answer = answer_of(handler(made, Context()))
    assert (answer.status, answer.code) in {
        (400, "INVALID_REQUEST"),
        (400, "SETTING_NOT_ALLOWED"),
    }
    assert len(json.dumps(answer.body)) < 10_000
    assert untouched(aws)


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize("characters", [65, 2_049, 100_000])
def test_a_model_id_longer_than_any_key_is_named_as_the_mistake(
    aws: Aws, call: Caller, path: str, characters: int
) -> None:
    answer = call(
        "POST", path, body=FOX | {"model_id": "a" * characters}, headers={"Idempotency-Key": "k"}
    )
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.body["details"].startswith("model_id: ")
    assert len(answer.body["details"]) < 1_000
    assert untouched(aws)


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize("user", ["", "x" * 1_025, "ü" * 513, "x" * 100_000])
def test_a_subject_that_could_be_no_key_is_refused(
    aws: Aws, call: Caller, path: str, user: str
) -> None:
    answer = call("POST", path, user=user, body=FOX, headers={"Idempotency-Key": "key-1"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "sub" in answer.body["details"]
    assert untouched(aws)


@pytest.mark.parametrize("user", ["x" * 1_024, "ü" * 512, "a/b#c d"])
def test_a_subject_that_is_merely_long_or_odd_is_a_user_like_any_other(
    aws: Aws, call: Caller, user: str
) -> None:
    grants.grant(user, 100, "purchase-2")
    assert generate(call, user=user).status == 202
    assert generate(call, user=user).headers["x-idempotent-replay"] == "true"
    assert assert_adds_up(user).held == 32


def test_a_lost_packet_leaves_the_idempotency_record_time_for_another_try(call: Caller) -> None:
    asked: list[str] = []

    def note(model: Any, **_: Any) -> None:
        asked.append(model.name)

    with hooked(dynamodb(), {"before-call.dynamodb": note}):
        assert generate(call).status == 202
    assert asked == ["PutItem", "UpdateItem"]
    patience: Any = dynamodb().meta.config
    function = of_type(written()["Resources"], "AWS::Serverless::Function")["GenerateFunction"]
    assert 2 * (patience.connect_timeout + patience.read_timeout) < function["Timeout"]
    assert patience.retries["mode"] == "standard"


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"model_id": "veo-3.1-i2v"}, (400, "IMAGE_REQUIRED", "image_url")),
        (
            {"model_id": "veo-3.1-transition", "image_url": "https://example.com/a.png"},
            (400, "IMAGE_REQUIRED", "last_image_url"),
        ),
        (
            {"image_url": "https://example.com/a.png"},
            (400, "INVALID_REQUEST", "image_url: not used by this model"),
        ),
        ({"settings": {"duration": 5}}, (400, "SETTING_NOT_ALLOWED", "allowed: 4, 6, 8")),
        ({"settings": {"resolution": "4k"}}, (400, "SETTING_NOT_ALLOWED", "allowed: 720p, 1080p")),
        ({"preset": "best"}, (400, "SETTING_NOT_ALLOWED", "allowed: draft, standard, high")),
        ({"model_id": "veo-9"}, (404, "MODEL_NOT_FOUND", None)),
        (
            {"model_id": "sora-2-i2v", "image_url": "https://example.com/a.png"},
            (400, "MODEL_UNAVAILABLE", None),
        ),
        ({"user_id": "user-2"}, (403, "USER_MISMATCH", None)),
    ],
)
def test_what_the_catalog_does_not_have_is_refused(
    aws: Aws,
    call: Caller,
    path: str,
    change: dict[str, Any],
    refusal: tuple[int, str, str | None],
) -> None:
    answer = call("POST", path, body=FOX | change, headers={"Idempotency-Key": "key-1"})
    status, code, details = refusal
    assert (answer.status, answer.code) == (status, code)
    if details:
        assert details in answer.body["details"]
    assert untouched(aws)


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize("model_id", ["gen4-image", "runware-image"])
def test_an_image_model_makes_no_video(aws: Aws, call: Caller, path: str, model_id: str) -> None:
    publish_keys(KEYS)
    body = FOX | {"model_id": model_id}
    answer = call("POST", path, body=body, headers={"Idempotency-Key": "key-1"})
    assert (answer.status, answer.code) == (400, "MODEL_UNAVAILABLE")
    assert untouched(aws)


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
def test_a_model_whose_provider_has_no_key_is_not_available(
    aws: Aws, call: Caller, path: str
) -> None:
    body = FOX | {"model_id": "gen4.5"}
    answer = call("POST", path, body=body, headers={"Idempotency-Key": "key-1"})
    assert (answer.status, answer.code) == (400, "MODEL_UNAVAILABLE")
    assert "runway" not in json.dumps(answer.body)
    assert untouched(aws)
    publish_keys(KEYS)
    assert call("POST", path, body=body, headers={"Idempotency-Key": "key-1"}).status in {200, 202}


# Counted as Runway counts: an emoji is two.
@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/estimate"])
@pytest.mark.parametrize(("character", "units"), [("x", 1), ("ü", 1), ("🦊", 2)])
def test_a_prompt_longer_than_the_model_takes_is_refused_with_the_limit(
    aws: Aws, call: Caller, path: str, character: str, units: int
) -> None:
    publish_keys(KEYS)
    fits = {"model_id": "gen4.5", "prompt": character * (1_000 // units)}
    too_long = fits | {"prompt": fits["prompt"] + "."}
    answer = call("POST", path, body=too_long, headers={"Idempotency-Key": "key-1"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.body["details"] == "prompt: at most 1000 characters for gen4.5"
    assert untouched(aws)
    assert call("POST", path, body=fits, headers={"Idempotency-Key": "key-1"}).status in {200, 202}


def test_naming_oneself_in_the_body_is_fine(call: Caller) -> None:
    assert generate(call, FOX | {"user_id": "user-1"}).status == 202


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_a_body_is_json_with_any_content_type(call: Caller, content_type: str) -> None:
    answer = call(
        "POST",
        "/v1/videos",
        body=FOX,
        headers={"Idempotency-Key": "key-1", "Content-Type": content_type},
    )
    assert answer.status == 202


def test_an_unknown_path_is_an_answer_in_the_same_shape(call: Caller) -> None:
    answer = call("POST", "/v1/pictures", body={})
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_an_internal_error_reveals_nothing_about_itself(aws: Aws, call: Caller) -> None:
    aws.dynamodb.delete_table(TableName="ModelsTable")
    for path in ("/v1/videos", "/v1/videos/estimate"):
        answer = call("POST", path, body=FOX, headers={"Idempotency-Key": "key-1"})
        assert (answer.status, answer.code) == (500, "INTERNAL")
        assert answer.body["error"] == "Something went wrong"
        assert answer.body["details"] is None


# ── The estimate ─────────────────────────────────────────────────────────────────────────────────


def test_an_estimate_shows_whether_credits_suffice_and_costs_nothing(
    aws: Aws, call: Caller
) -> None:
    answer = call("POST", "/v1/videos/estimate", body=FOX)
    assert (answer.status, answer.body) == (
        200,
        {"credits": 32, "available": 100, "affordable": True},
    )
    answer = call("POST", "/v1/videos/estimate", body=FOX, user="newcomer")
    assert answer.body == {"credits": 32, "available": 0, "affordable": False}
    assert untouched(aws)


ORDERABLE = [model for model in AVAILABLE_MODELS if model.produces == "video"]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(model=st.sampled_from(ORDERABLE), price=prices, data=st.data())
def test_an_estimate_is_what_is_charged(
    aws: Aws,
    call: Caller,
    model: Model,
    price: FixedPrice | PerSecondPrice,
    data: st.DataObject,
) -> None:
    publish_keys(KEYS)
    if isinstance(price, PerSecondPrice):
        known = model.allowed.resolution
        percent = {name: p for name, p in price.resolution_percent.items() if name in known}
        price = price.model_copy(update={"resolution_percent": percent})
    model_store.put(Model.model_validate(model.model_dump() | {"price": price.model_dump()}))
    body = data.draw(generations([model]), label="body")
    user = f"user-of-example-{next(EXAMPLES)}"
    grants.grant(user, 10_000_000, user)
    estimate = call("POST", "/v1/videos/estimate", body=body, user=user)
    assert estimate.status == 200, estimate.body
    accepted = generate(call, body, user=user)
    assert accepted.status == 202, accepted.body
    assert accepted.body["credits_used"] == estimate.body["credits"]
    assert (
        estimate.body["available"] - accepted.body["credits_remaining"]
        == (estimate.body["credits"])
    )
    assert assert_adds_up(user).held == estimate.body["credits"]
