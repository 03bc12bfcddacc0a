"""The rules of docs/sign-in.md for tokens, with the local issuer."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import httpx
import pytest

from local.issuer import AUDIENCE, BACK_OFFICE, TOKENS
from local.running import RunningStack
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.documents import ROOT, blocks, programs, run

COGNITO = {"token_use": "access", "scope": "aws.cognito.signin.user.admin", "username": "u"}


def asked(stack: RunningStack, token: str, path: str = "/v1/credits") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(stack.api_url + path, headers=headers, timeout=60)


def test_an_access_token_and_an_id_token_of_cognito_are_the_same_user(
    stack: RunningStack, ada: Customer
) -> None:
    # An access token of Cognito has the client's id in `client_id`, and no `aud`.
    access = stack.token(ada.user_id, aud=None, client_id=AUDIENCE, **COGNITO)
    identity = stack.token(ada.user_id, token_use="id", email="ada@example.com")
    for token in (access, identity):
        answer = asked(stack, token)
        assert (answer.status_code, answer.json()["available"]) == (200, 10 * PRICE), answer.text
    other = stack.token(ada.user_id, aud=None, client_id="another-app", **COGNITO)
    assert asked(stack, other).status_code == 401


def test_an_app_refreshes_an_expired_token_and_repeats_its_order_once(
    stack: RunningStack, ada: Customer
) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    ada.http.headers["Authorization"] = f"Bearer {stack.token(ada.user_id, expires_in=-10)}"
    refused = ada.http.post("/v1/videos", headers=key, json=ada.body())
    assert refused.status_code == 401
    assert "the token has expired" in refused.headers["WWW-Authenticate"]
    ada.http.headers["Authorization"] = f"Bearer {stack.token(ada.user_id)}"
    accepted = [ada.http.post("/v1/videos", headers=key, json=ada.body()) for _ in range(2)]
    assert [answer.status_code for answer in accepted] == [202, 202]
    ada.until_ended(accepted[0].json()["job_id"])
    assert ada.kinds() == ["grant", "hold", "capture"]


def test_without_a_token_the_answer_asks_for_one(stack: RunningStack) -> None:
    answer = httpx.get(f"{stack.api_url}/v1/credits", timeout=60)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("scope", [{"scope": "openid clipmint/admin"}, {"scp": ["clipmint/admin"]}])
def test_an_own_issuer_may_name_several_audiences_and_the_scope_in_either_claim(
    stack: RunningStack, scope: dict[str, object]
) -> None:
    user = f"user-{uuid.uuid4().hex}"
    token = stack.token("shop", aud=["other", AUDIENCE], **scope)
    granted = httpx.post(
        f"{stack.api_url}/v1/admin/grants",
        headers={"Authorization": f"Bearer {token}"},
        json={"user_id": user, "amount": 5, "reference": uuid.uuid4().hex},
        timeout=60,
    )
    assert granted.status_code == 200, granted.text
    assert asked(stack, stack.token(user, aud=["other", AUDIENCE])).json()["available"] == 5


def test_a_back_office_signs_in_as_printed(stack: RunningStack, tmp_path: Path) -> None:
    (printed,) = [
        block for block in blocks(ROOT / "docs" / "sign-in.md") if block.heading == "A back office"
    ]
    done = run(printed.text, programs(tmp_path / "bin"), {"CLIPMINT_STACK": stack.name})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reference"] == "order-4711"


@pytest.mark.parametrize(
    ("secret", "form", "refusal"),
    [
        ("wrong", {"grant_type": "client_credentials"}, (401, "invalid_client")),
        (BACK_OFFICE[1], {"grant_type": "password"}, (400, "unsupported_grant_type")),
        (
            BACK_OFFICE[1],
            {"grant_type": "client_credentials", "scope": "x"},
            (400, "invalid_scope"),
        ),
    ],
)
def test_no_token_without_the_secret_or_for_another_scope(
    stack: RunningStack, secret: str, form: dict[str, str], refusal: tuple[int, str]
) -> None:
    answer = httpx.post(stack.issuer + TOKENS, auth=(BACK_OFFICE[0], secret), data=form, timeout=30)
    assert (answer.status_code, answer.json()["error"]) == refusal
