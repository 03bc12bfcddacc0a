"""The owner's calls: grants and the catalog."""

from __future__ import annotations

from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.credits import ledger
from clipmint.credits.account_changes import MAX_LOTS
from clipmint.orders import offers
from functions.admin.app import handler
from functions.status.app import handler as status
from tests.support.gateway import Answer, Caller, Context, answer_of, event
from tests.support.jobs import assert_adds_up
from tests.support.moto_aws import Aws

GRANT = {"user_id": "user-1", "amount": 500, "reference": "store-transaction-1"}
GRANTED = {**GRANT, "job_id": None, "available": 500}
VEO = DEFAULT_CATALOG[0].model_dump(mode="json")


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler, user="back-office", scope="openid clipmint/admin")


def test_a_purchase_is_granted_once_however_often_it_is_reported(aws: Aws, call: Caller) -> None:
    first = call("POST", "/v1/admin/grants", body=GRANT)
    assert (first.status, first.body) == (200, GRANTED | {"replayed": False})
    again = call("POST", "/v1/admin/grants", body=GRANT)
    assert (again.status, again.body) == (200, GRANTED | {"replayed": True})
    assert assert_adds_up("user-1").available == 500


@pytest.mark.parametrize("user_id", ["x" * 300, "x" * 1_024, "é" * 512])
def test_every_user_who_can_sign_in_can_be_granted_credits(call: Caller, user_id: str) -> None:
    assert Caller(status, user=user_id)("GET", "/v1/credits").body["available"] == 0
    granted = call("POST", "/v1/admin/grants", body=GRANT | {"user_id": user_id})
    assert (granted.status, granted.body["available"]) == (200, 500)
    assert Caller(status, user=user_id)("GET", "/v1/credits").body["available"] == 500


def test_one_purchase_is_not_granted_to_two_users(call: Caller) -> None:
    call("POST", "/v1/admin/grants", body=GRANT)
    answer = call("POST", "/v1/admin/grants", body=GRANT | {"user_id": "user-2"})
    assert (answer.status, answer.code) == (409, "REFERENCE_REUSED")
    assert ledger.account_of("user-2").available == 0


@pytest.mark.parametrize("scope", [None, "", "openid", "clipmint/administrator", "xclipmint/admin"])
def test_without_the_scope_nothing_is_granted_or_changed(
    aws: Aws, call: Caller, scope: str | None
) -> None:
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/v1/admin/grants", GRANT),
        ("POST", "/v1/admin/clawbacks", GRANT),
        ("POST", "/v1/admin/adjustments", GRANT | {"reason": "Why"}),
        ("PUT", "/v1/admin/models/veo-3.1", VEO | {"available": False}),
        ("GET", "/v1/admin/models/veo-3.1", None),
        ("DELETE", "/v1/admin/models/veo-3.1", None),
        ("POST", "/v1/admin/models/veo-3.1/check", VEO),
    ]
    for method, path, body in calls:
        answer = call(method, path, body=body, scope=scope)
        assert (answer.status, answer.code) == (403, "SCOPE_REQUIRED")
    assert aws.items("LEDGER_TABLE") == []
    assert model_store.find("veo-3.1").available


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 10**9}, "amount"),
        ({"reference": ""}, "reference"),
        ({"reference": "two words"}, "reference"),
        ({"reference": "x" * 256}, "reference"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 1_025}, "user_id"),
        ({"user_id": "é" * 513}, "user_id"),
        ({"currency": "EUR"}, "currency"),
    ],
)
def test_a_grant_that_is_not_as_agreed_is_refused(
    aws: Aws, call: Caller, change: dict[str, Any], named: str
) -> None:
    answer = call("POST", "/v1/admin/grants", body=GRANT | change)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert named in answer.body["details"]
    assert aws.items("LEDGER_TABLE") == []


END = "2090-02-28T23:59:59.5+01:00"


def test_a_promotion_is_granted_until_its_end(aws: Aws, call: Caller) -> None:
    body = GRANT | {"kind": "promo", "expires_at": END}
    assert call("POST", "/v1/admin/grants", body=body).body["available"] == 500
    utc = body | {"expires_at": "2090-02-28T22:59:59.500Z"}
    assert call("POST", "/v1/admin/grants", body=utc).body["replayed"]
    [lot] = assert_adds_up("user-1").lots
    assert (lot.kind, lot.credits) == ("promo", 500)
    other = call("POST", "/v1/admin/grants", body=body | {"kind": "allowance"})
    assert (other.status, other.code) == (409, "REFERENCE_REUSED")


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": END},
        {"kind": "purchased", "expires_at": END},
        {"kind": "promo", "expires_at": "2020-01-01T00:00:00Z"},
        {"kind": "promo", "expires_at": "2090-01-01T00:00:00"},
        {"kind": "promo", "expires_at": "2090-01-01"},
        {"kind": "promo", "expires_at": 3_787_000_000},
        {"kind": "promo", "expires_at": "3787000000"},
        {"kind": "promo", "expires_at": "9999-12-31T23:59:59-14:00"},
        {"kind": "promo", "expires_at": "0001-01-01T00:00:00+14:00"},
        {"kind": "promo", "expires_at": True},
        {"kind": "gift"},
        {"kind": None},
    ],
)
def test_purchased_credits_have_no_end_and_others_one_in_the_future(
    aws: Aws, call: Caller, change: dict[str, Any]
) -> None:
    answer = call("POST", "/v1/admin/grants", body=GRANT | change)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert aws.items("LEDGER_TABLE") == []


def test_a_user_has_a_limited_number_of_different_ends(call: Caller) -> None:
    def promote(minute: int) -> Answer:
        body = {"reference": f"promo-{minute}", "kind": "promo"}
        body["expires_at"] = f"2090-01-01T00:{minute:02}:00Z"
        return call("POST", "/v1/admin/grants", body=GRANT | body)

    assert {promote(minute).status for minute in range(MAX_LOTS)} == {200}
    refused = promote(MAX_LOTS)
    assert (refused.status, refused.code) == (409, "TOO_MANY_LOTS")
    assert assert_adds_up("user-1").available == 500 * MAX_LOTS


REFUND = {"user_id": "user-1", "amount": 600, "reference": "refund-1"}


def test_a_refund_is_taken_back_once_however_often_it_is_reported(call: Caller) -> None:
    call("POST", "/v1/admin/grants", body=GRANT)
    expected = REFUND | {"kind": "purchased", "available": 0, "debt": 100}
    for replayed in (False, True, True):
        answer = call("POST", "/v1/admin/clawbacks", body=REFUND)
        assert (answer.status, answer.body) == (200, expected | {"replayed": replayed})
    assert assert_adds_up("user-1").debt == 100
    other = call("POST", "/v1/admin/clawbacks", body=REFUND | {"amount": 1})
    assert (other.status, other.code) == (409, "REFERENCE_REUSED")


CORRECTION = {"user_id": "user-1", "amount": -3, "reference": "ticket-1", "reason": "Two by error"}


def test_a_correction_is_made_once(call: Caller) -> None:
    call("POST", "/v1/admin/grants", body=GRANT)
    for replayed in (False, True):
        answer = call("POST", "/v1/admin/adjustments", body=CORRECTION)
        assert answer.body == CORRECTION | {"available": 497, "debt": 0, "replayed": replayed}
    assert assert_adds_up("user-1").available == 497


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clawbacks", REFUND | {"amount": 0}),
        ("clawbacks", REFUND | {"amount": -1}),
        ("clawbacks", REFUND | {"amount": 1.5}),
        ("clawbacks", REFUND | {"kind": "gift"}),
        ("clawbacks", REFUND | {"expires_at": END}),
        ("adjustments", CORRECTION | {"amount": 0}),
        ("adjustments", CORRECTION | {"amount": 10**9}),
        ("adjustments", CORRECTION | {"reason": ""}),
        ("adjustments", CORRECTION | {"reason": "x" * 501}),
        ("adjustments", {"user_id": "user-1", "amount": 1, "reference": "ticket-1"}),
    ],
)
def test_a_refund_or_correction_that_is_not_as_agreed_is_refused(
    aws: Aws, call: Caller, path: str, body: dict[str, Any]
) -> None:
    answer = call("POST", f"/v1/admin/{path}", body=body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert aws.items("LEDGER_TABLE") == []


# A list, as Cognito and others pass it on, or as the gateway writes a list.
@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "clipmint/admin"},
        {"scope": "[openid clipmint/admin]"},
        {"scope": "[clipmint/admin]"},
        {"scp": "openid clipmint/admin"},
        {"scp": "[clipmint/admin openid]"},
        {"scp": "[openid, clipmint/admin]"},
    ],
)
def test_the_scope_may_come_as_a_text_or_as_a_list(aws: Aws, claims: dict[str, str]) -> None:
    assert grant_with(claims).status == 200
    assert ledger.account_of("user-1").available == 500


@pytest.mark.parametrize(
    "claims",
    [
        {"scp": ""},
        {"scp": "[]"},
        {"scp": "[openid clipmint/administrator]"},
        {"scope": "[openid", "scp": "xclipmint/admin]"},
        {"scopes": "clipmint/admin"},
        {"scope": "clipmint", "scp": "/admin"},
    ],
)
def test_what_only_looks_like_the_scope_grants_nothing(aws: Aws, claims: dict[str, str]) -> None:
    answer = grant_with(claims)
    assert (answer.status, answer.code) == (403, "SCOPE_REQUIRED")
    assert aws.items("LEDGER_TABLE") == []


def grant_with(claims: dict[str, str]) -> Answer:
    made = event("POST", "/v1/admin/grants", user="back-office", body=GRANT)
    made["requestContext"]["authorizer"]["jwt"]["claims"].update(claims)
    return answer_of(handler(made, Context()))


def test_a_model_can_be_changed_and_added(call: Caller) -> None:
    dearer = VEO | {"price": {"kind": "fixed", "credits": 99}}
    answer = call("PUT", "/v1/admin/models/veo-3.1", body=dearer)
    assert (answer.status, answer.body["price"]) == (200, {"kind": "fixed", "credits": 99})
    assert model_store.find("veo-3.1").price.model_dump() == {"kind": "fixed", "credits": 99}
    answer = call("PUT", "/v1/admin/models/mine", body=VEO | {"model_id": "mine"})
    assert answer.status == 200
    assert "mine" in {model.model_id for model in offers.offered()}


@pytest.mark.parametrize(
    ("path", "change", "named"),
    [
        ("veo-9", {}, "model_id: must be 'veo-9'"),
        (
            "veo-3.1",
            {"routes": [*VEO["routes"], {"provider": "acme", "endpoint": "x"}]},
            "routes: provider: acme: there are fal, runware, runway",
        ),
        ("veo-3.1", {"price": {"kind": "fixed", "credits": 0}}, "credits"),
        ("veo-3.1", {"defaults": VEO["defaults"] | {"duration": 5}}, "is not among"),
        ("veo-3.1", {"poll_seconds": []}, "poll_seconds"),
        ("veo-3.1", {"poll_seconds": [1], "deadline_seconds": 86_400}, "at most 1200 polls"),
    ],
)
def test_a_model_that_makes_no_sense_changes_nothing(
    call: Caller, path: str, change: dict[str, Any], named: str
) -> None:
    answer = call("PUT", f"/v1/admin/models/{path}", body=VEO | change)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert named in answer.body["details"]
    assert model_store.find("veo-3.1") == DEFAULT_CATALOG[0]
