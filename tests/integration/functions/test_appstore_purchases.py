"""Notifications of the App Store: verified with Apple's library, credited like other payments."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from clipmint.credits.account import Account
from clipmint.lots import CreditKind
from clipmint.purchases import appstore
from clipmint.purchases.pack import Pack
from functions.admin.app import handler as admin
from functions.purchases.app import MOST_BYTES
from tests.support import appstore_wire as apple
from tests.support import shop
from tests.support import store_wire as wire
from tests.support.appstore_wire import TESTER, USER, Signer
from tests.support.gateway import Caller
from tests.support.jobs import assert_adds_up, journal, open_job
from tests.support.moto_aws import Aws, connect_stores
from tests.support.shop import deliver, open_shop, results
from tests.support.store_wire import Delivery
from tests.support.store_wire import appstore as notification

FORGER = Signer(authority=2)
PRO = Pack(credits=300, kind=CreditKind.ALLOWANCE, store_ids={"appstore": ["com.example.pro"]})
PERIOD: dict[str, Any] = {
    "productId": "com.example.pro",
    "type": "Auto-Renewable Subscription",
    "expiresDate": 4_000_000_000_500,
}


@pytest.fixture(autouse=True)
def opened(aws: Aws) -> None:
    open_shop(PRO)


def account(user_id: str = USER) -> Account:
    return assert_adds_up(user_id)


def kinds(user_id: str = USER) -> list[str]:
    return shop.kinds(user_id)


# ── Payments ─────────────────────────────────────────────────────────────────────────────────────


def test_a_purchase_is_credited_once_however_often_it_is_reported() -> None:
    first = notification()
    later = notification(signedDate=apple.transaction()["signedDate"] + 60_000)
    assert results(first, first, later) == ["applied", "known", "known"]
    assert account().available == 500
    [entry] = journal(USER)
    assert entry.reference == "payment:appstore:2000000123456789"


def test_a_notification_counts_days_after_it_was_signed() -> None:
    days_ago = apple.transaction()["signedDate"] - 5 * 86_400_000
    assert results(notification(signedDate=days_ago)) == ["applied"]


def test_a_subscription_grants_an_allowance_for_each_period() -> None:
    subscribed = notification("SUBSCRIBED", "INITIAL_BUY", transactionId="1", **PERIOD)
    renewed = notification("DID_RENEW", transactionId="2", **PERIOD)
    recovered = notification("DID_RENEW", "BILLING_RECOVERY", transactionId="2", **PERIOD)
    assert results(subscribed, renewed, recovered) == ["applied", "applied", "known"]
    ends = datetime.fromtimestamp(4_000_000_000.5, UTC)
    lots = [(lot.kind, lot.credits, lot.expires_at) for lot in account().lots]
    assert lots == [("allowance", 300, ends)] * 2


@pytest.mark.parametrize("kind", ["DID_CHANGE_RENEWAL_PREF", "OFFER_REDEEMED"])
def test_an_upgrade_is_a_purchase_and_a_downgrade_is_not(kind: str) -> None:
    upgrade = notification(kind, "UPGRADE", transactionId="1", **PERIOD)
    downgrade = notification(kind, "DOWNGRADE", transactionId="2", **PERIOD)
    assert results(upgrade, downgrade, notification(kind)) == ["applied", "nothing", "nothing"]
    assert account().available == 300


@pytest.mark.parametrize(
    "delivery",
    [
        lambda: notification("CONSUMPTION_REQUEST"),
        lambda: notification("REFUND_DECLINED"),
        lambda: notification("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED"),
        lambda: notification("EXPIRED", "VOLUNTARY"),
        lambda: notification("A_KIND_OF_THE_FUTURE"),
        lambda: notification("TEST", data={"signedTransactionInfo": None}),
        lambda: notification("SUBSCRIBED", offerDiscountType="FREE_TRIAL"),
        lambda: notification(price=0),
        lambda: notification(inAppOwnershipType="FAMILY_SHARED"),
        lambda: notification("REVOKE", inAppOwnershipType="FAMILY_SHARED"),
        lambda: notification(transactionId=None),
        lambda: notification(environment="Sandbox"),
        lambda: notification(environment="Sandbox", appAccountToken=None),
    ],
)
def test_what_is_not_paid_moves_no_credits(aws: Aws, delivery: Any) -> None:
    before = aws.items("LEDGER_TABLE")
    assert results(delivery()) == ["nothing"]
    assert aws.items("LEDGER_TABLE") == before


def test_purchases_in_the_sandbox_count_for_testers() -> None:
    tester = {"environment": "Sandbox", "appAccountToken": TESTER}
    assert results(notification(**tester)) == ["applied"]
    assert account(TESTER).available == 500
    assert results(notification("REFUND", **tester)) == ["applied"]
    assert account(TESTER).available == 0


def test_the_user_is_the_token_in_lower_case() -> None:
    assert results(notification(appAccountToken=USER.upper())) == ["applied"]
    assert account().available == 500


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["REFUND", "REVOKE"])
def test_a_refund_takes_all_credits_back_once(kind: str) -> None:
    refund = notification(kind, revocationDate=1_795_168_800_000)
    assert results(notification(), refund, refund) == ["applied", "applied", "known"]
    assert (account().available, account().debt) == (0, 0)
    assert kinds() == ["grant", "clawback"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_reversal_returns_the_credits_in_any_order(order: tuple[int, ...]) -> None:
    events = [notification(), notification("REFUND"), notification("REFUND_REVERSED")]
    deliveries = [events[number] for number in order]
    results(*deliveries, *deliveries)
    assert (account().available, account().debt) == (500, 0)


def test_a_refund_after_a_reversal_takes_the_credits_back_again() -> None:
    first = notification("REFUND", revocationDate=1_795_168_800_000)
    reversal = notification("REFUND_REVERSED", signedDate=1_795_168_900_000)
    second = notification("REFUND", revocationDate=1_795_169_000_000)
    assert results(notification(), first, reversal, first) == [*["applied"] * 3, "known"]
    assert account().available == 500
    assert results(second, reversal, first) == ["applied", "known", "known"]
    assert account().available == 0


def test_a_refund_before_its_purchase_is_taken_back_with_it() -> None:
    assert results(notification("REFUND"), notification()) == ["applied", "applied"]
    assert (account().available, account().debt) == (0, 0)


def test_a_refund_in_part_takes_its_part() -> None:
    part: dict[str, Any] = {"revocationType": "REFUND_PRORATED", "revocationPercentage": 25_500}
    refund = notification("REFUND", **part)
    assert results(notification(), refund, refund) == ["applied", "applied", "known"]
    assert account().available == 500 - 127  # rounded down
    assert results(notification("REFUND", revocationType="REFUND_FULL")) == ["applied"]
    assert account().available == 0


def test_a_refund_of_spent_credits_is_a_debt_and_touches_no_hold() -> None:
    results(notification())
    open_job(USER, credits_=120)
    results(notification("REFUND"))
    assert (account().available, account().held, account().debt) == (0, 120, 120)


# ── Purchases that wait ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"productId": "com.example.unknown"}, "UNKNOWN_PRODUCT"),
        ({"productId": None}, "UNKNOWN_PRODUCT"),
        ({"appAccountToken": None}, "UNKNOWN_USER"),
        ({"appAccountToken": "ada"}, "UNKNOWN_USER"),
    ],
)
def test_a_purchase_of_an_unknown_product_or_user_waits(
    aws: Aws, change: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results(notification(**change), notification(**change)) == ["waiting"] * 2
    assert '"PurchaseWaiting":[1.0]' in capsys.readouterr().out.replace(" ", "")
    owner = Caller(admin, user="back-office", scope="openid clipmint/admin")
    [found] = owner("GET", "/v1/admin/purchases").body["purchases"]
    assert (found["store"], found["reason"]) == ("appstore", reason)
    body = {"user_id": USER, "product_id": "credits-500"}
    applied = owner("POST", f"/v1/admin/purchases/{found['purchase_id']}/apply", body=body)
    assert (applied.status, applied.body["status"]) == (200, "applied")
    assert account().available == 500
    assert results(notification("REFUND", **change)) == ["applied"]
    assert account().available == 0


# ── What is not from Apple ───────────────────────────────────────────────────────────────────────


def sent(payload: Any) -> Delivery:
    return Delivery("appstore", json.dumps({"signedPayload": payload}))


def tampered() -> Delivery:
    """The payload of one notification with the signature of another."""
    header, payload, _ = apple.signed("ONE_TIME_CHARGE").split(".")
    other = apple.signed("REFUND").rpartition(".")[2]
    return sent(f"{header}.{payload}.{other}")


EXPIRED = Signer(ends=datetime(2024, 1, 1, tzinfo=UTC))
OTHER_PURPOSE = Signer(purpose=x509.ObjectIdentifier("1.2.840.113635.100.6.11.2"))


@pytest.mark.parametrize(
    "delivery",
    [
        lambda: notification(signer=FORGER),
        lambda: notification(inner_signer=FORGER),
        lambda: notification(signer=EXPIRED),
        lambda: notification(signer=OTHER_PURPOSE),
        lambda: notification(bundleId="com.example.forged"),
        lambda: notification(bundleId="com.example.other"),  # with the Apple id of the first app
        lambda: notification(data={"appAppleId": 1}),
        lambda: notification(data={"bundleId": "com.example.forged"}),
        lambda: notification(data={"environment": "Sandbox"}),
        lambda: notification(environment="Xcode"),
        lambda: notification(environment="LocalTesting"),
        lambda: sent(apple.APPLE.sign(apple.transaction())),  # what the app itself receives
        lambda: sent(apple.APPLE.sign({})),
        lambda: sent(apple.APPLE.sign(apple.transaction(signedDate=10**30))),
        lambda: sent(apple.APPLE.sign(apple.transaction(), x5c=[])),
        lambda: sent(apple.APPLE.sign(apple.transaction(), x5c="abc")),
        lambda: sent(apple.APPLE.sign(apple.transaction(), x5c=["é", "é", "é"])),
        lambda: sent(apple.APPLE.sign({"notificationType": "TEST", "data": []})),
        tampered,
        lambda: sent(""),
        lambda: sent("a.b.c"),
        lambda: sent("é"),
    ],
)
def test_what_apple_has_not_signed_for_this_app_is_refused(
    aws: Aws, delivery: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = aws.items("LEDGER_TABLE")
    answer = deliver(delivery())
    assert (answer.status, answer.code) == (401, "WEBHOOK_NOT_PROVEN")
    assert '"PurchaseRejected":[1.0]' in capsys.readouterr().out.replace(" ", "")
    assert aws.items("LEDGER_TABLE") == before


def test_a_certificate_counts_if_it_was_valid_at_the_time_of_signing() -> None:
    in_time = int(datetime(2023, 12, 31, tzinfo=UTC).timestamp() * 1_000)
    assert results(notification(signer=EXPIRED, signedDate=in_time)) == ["applied"]


@pytest.mark.parametrize(
    "body", ["", "[]", "null", "{", "{}", '{"signedPayload": 5}', '{"signedPayload": null}']
)
def test_a_body_without_a_signed_payload_is_refused(body: str) -> None:
    answer = deliver(Delivery("appstore", body))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "data", [5, {"signedTransactionInfo": apple.APPLE.sign({"expiresDate": "x"})}]
)
def test_what_apple_has_signed_in_another_form_is_refused(aws: Aws, data: Any) -> None:
    before = aws.items("LEDGER_TABLE")
    if isinstance(data, dict):
        made = notification(data=data)
    else:
        made = sent(apple.APPLE.sign({"notificationType": "TEST", "data": data}))
    answer = deliver(made)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert aws.items("LEDGER_TABLE") == before


def test_a_period_that_ends_at_an_impossible_time_is_refused() -> None:
    assert deliver(notification(expiresDate=10**30)).code == "INVALID_REQUEST"


def test_a_body_that_is_too_large_is_refused() -> None:
    assert deliver(Delivery("appstore", "x" * (MOST_BYTES + 1))).code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "change",
    [
        {"APPSTORE_APPS": ""},
        {"APPSTORE_APPS": "com.example.app"},
        {"APPSTORE_APPS": "com.example.app/²"},
        {"APPSTORE_APPS": "com.example.app/12345678901"},
        {"APPSTORE_ROOTS": FORGER.root},
        {"APPSTORE_ROOTS": "no-base64!"},
        {"APPSTORE_ROOTS": "AAAA"},
        {"APPSTORE_ROOTS": ""},  # Apple's own root, which has not signed the tests' certificates
    ],
)
def test_an_app_that_is_not_connected_is_refused(change: dict[str, str]) -> None:
    connect_stores(wire.SECRETS | change)
    answer = deliver(notification())
    assert (answer.status, answer.code) == (401, "WEBHOOK_NOT_PROVEN")


def test_without_roots_of_the_owner_apples_own_is_trusted() -> None:
    [root] = appstore.roots(())
    certificate = x509.load_der_x509_certificate(root)
    assert "Apple Root CA - G3" in certificate.subject.rfc4514_string()
    # As published at https://www.apple.com/certificateauthority.
    assert certificate.fingerprint(hashes.SHA256()).hex().upper() == (
        "63343ABFB89A6A03EBB57E9B3F5FA7BE7C4F5C756F3017B3A8C488C3653E9179"
    )
