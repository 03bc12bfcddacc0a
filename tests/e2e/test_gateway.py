"""Which callers are admitted, and what is refused before it costs anything."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from local.issuer import AUDIENCE, KEY_ID
from local.running import RunningStack
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.plain_http import PLAIN

NOT_A_DOMAIN = ["https://10.0.0.1/a.png", "https://[::1]/a.png", "https://2130706433/a.png"]


def outsider(stack: RunningStack, token: str | None) -> httpx.Client:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(
        base_url=stack.api_url, headers=headers, trust_env=False, timeout=60, verify=PLAIN
    )


def forged_token(stack: RunningStack) -> str:
    """All claims are valid, but signed with an unknown key."""
    claims = jwt.decode(stack.token("ada"), options={"verify_signature": False})
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": KEY_ID})


TOKENS: dict[str, Callable[[RunningStack], str | None]] = {
    "no token": lambda _: None,
    "an expired token": lambda stack: stack.token("ada", expires_in=-60),
    "a token for another audience": lambda stack: stack.token("ada", audience=f"not-{AUDIENCE}"),
    "a token of another issuer": lambda stack: stack.token("ada", iss="https://example.com"),
    "a token signed by a stranger": forged_token,
    "something that is no token": lambda _: "nonsense",
}


@pytest.mark.parametrize("what", TOKENS)
def test_no_caller_is_admitted_with(stack: RunningStack, what: str) -> None:
    with outsider(stack, TOKENS[what](stack)) as http:
        for method, path in [
            ("POST", "/v1/videos"),
            ("GET", "/v1/credits"),
            ("GET", "/v1/models"),
            ("POST", "/v1/admin/grants"),
        ]:
            answer = http.request(method, path, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 401, f"{method} {path}"


def test_the_admin_routes_need_their_scope(ada: Customer) -> None:
    grant = {"user_id": ada.user_id, "amount": 1000, "reference": "my own idea"}
    assert ada.http.post("/v1/admin/grants", json=grant).status_code == 403
    assert ada.http.put("/v1/admin/models/quick-t2v", json={}).status_code == 403
    assert ada.credits()["available"] == 10 * PRICE


def test_a_body_that_names_another_user_is_refused(ada: Customer) -> None:
    refused = ada.post(user_id="somebody-else")
    assert (refused.status_code, refused.json()["code"]) == (403, "USER_MISMATCH")
    assert ada.kinds() == ["grant"]
    assert ada.post(user_id=ada.user_id).status_code == 202


def test_another_users_job_looks_like_an_unknown_job(
    new_customer: Callable[[int], Customer],
) -> None:
    ada, eve = new_customer(PRICE), new_customer(PRICE)
    job_id = ada.order()
    for found in (job_id, str(uuid.uuid4())):
        for answer in (
            eve.http.get(f"/v1/videos/{found}"),
            eve.cancel(found),
            eve.http.delete(f"/v1/videos/{found}"),
        ):
            answered = answer.json()
            assert (answer.status_code, answered["code"]) == (404, "JOB_NOT_FOUND")
            assert answered["error"] == "There is no such video"
    assert eve.http.get("/v1/videos").json()["videos"] == []
    assert eve.kinds() == ["grant"]
    assert ada.until_ended(job_id)["status"] == "completed"


def test_a_browser_may_send_a_preflight_request(stack: RunningStack) -> None:
    with outsider(stack, None) as http:
        answer = http.options(
            "/v1/videos",
            headers={
                "Origin": "https://app.example.com",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,idempotency-key",
            },
        )
    assert answer.status_code in {200, 204}
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", "https://app.example.com"}
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"].lower()


BAD_INPUT: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "an unknown field": ({"price": 0}, 400, "INVALID_REQUEST", "price"),
    "a wrong type": ({"settings": {"duration": "4"}}, 400, "INVALID_REQUEST", "settings.duration"),
    "an empty prompt": ({"prompt": "  "}, 400, "INVALID_REQUEST", "prompt"),
    "a prompt that is too long": ({"prompt": "x" * 5_001}, 400, "INVALID_REQUEST", "prompt"),
    "no prompt and no model": (
        {"prompt": None, "model_id": None},
        400,
        "INVALID_REQUEST",
        "model_id",
    ),
    "an image that is needed": ({"model_id": "veo-3.1-i2v"}, 400, "IMAGE_REQUIRED", "image_url"),
    "an image nobody needs": (
        {"image_url": "https://example.com/a.png"},
        400,
        "INVALID_REQUEST",
        "image_url",
    ),
    "a setting the model lacks": (
        {"settings": {"resolution": "8k"}},
        400,
        "SETTING_NOT_ALLOWED",
        "720p",
    ),
    "a preset the model lacks": (
        {"model_id": "veo-3.1", "preset": "epic"},
        400,
        "SETTING_NOT_ALLOWED",
        "draft, standard, high",
    ),
    "an unknown model": ({"model_id": "veo-9"}, 404, "MODEL_NOT_FOUND", ""),
    "a model that is switched off": (
        {"model_id": "retired-t2v"},
        400,
        "MODEL_UNAVAILABLE",
        "",
    ),
}
for number, url in enumerate(
    [
        "http://example.com/a.png",
        "https://ada:secret@example.com/a.png",
        f"https://example.com/{'a' * 2_048}.png",
        *NOT_A_DOMAIN,
    ]
):
    BAD_INPUT[f"a bad image URL, number {number + 1}"] = (
        {"model_id": "veo-3.1-i2v", "image_url": url},
        400,
        "INVALID_REQUEST",
        "image_url",
    )


def test_bad_input_is_named_and_costs_nothing(ada: Customer) -> None:
    for what, (members, status, code, named) in BAD_INPUT.items():
        for answer in (
            ada.post(**members),
            ada.http.post("/v1/videos/estimate", json=ada.body(**members)),
        ):
            answered = answer.json()
            assert (answer.status_code, answered["code"]) == (status, code), what
            assert set(answered) == {"error", "code", "details", "timestamp"}, what
            assert named in (answered["details"] or ""), what
    assert ada.kinds() == ["grant"]
    assert ada.http.get("/v1/videos").json()["videos"] == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "IDEMPOTENCY_KEY_REQUIRED"),
        ({"Idempotency-Key": '""'}, "IDEMPOTENCY_KEY_INVALID"),
        ({"Idempotency-Key": "x" * 256}, "IDEMPOTENCY_KEY_INVALID"),
    ],
)
def test_a_request_needs_a_proper_key(ada: Customer, headers: dict[str, str], code: str) -> None:
    answer = ada.http.post("/v1/videos", headers=headers, json=ada.body())
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert ada.kinds() == ["grant"]


def test_a_body_that_is_no_json_is_refused(ada: Customer) -> None:
    answer = ada.http.post("/v1/videos", headers={"Idempotency-Key": "k"}, content=b'{"model_id":')
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


def test_too_few_credits_are_refused_with_the_numbers(
    new_customer: Callable[[int], Customer],
) -> None:
    customer = new_customer(PRICE + 1)
    job_id = customer.order()
    refused = customer.post()
    answered = refused.json()
    assert (refused.status_code, answered["code"]) == (402, "INSUFFICIENT_CREDITS")
    numbers = (answered["current_credits"], answered["held_credits"], answered["required_credits"])
    assert numbers == (1, PRICE, PRICE)
    assert customer.until_ended(job_id)["status"] == "completed"
    assert customer.credits() == {"available": 1, "held": 0}
