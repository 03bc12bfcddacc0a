"""What stores report: each payment is credited once, and each refund is taken back once."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clipmint import aws as clients
from clipmint import clock
from clipmint.api.credit_responses import Credits
from clipmint.credits import grants, ledger
from clipmint.credits.account import Account
from clipmint.lots import CreditKind
from clipmint.purchases import pack_store, revenuecat, stores, stripe
from clipmint.purchases.pack import Pack
from clipmint.purchases.payment_items import PaymentItem
from clipmint.settings import StoreSettings
from functions.admin.app import handler as admin
from functions.purchases.app import MOST_BYTES
from functions.status.app import handler as status
from tests.support import shop
from tests.support import store_wire as wire
from tests.support.clock import Clock
from tests.support.gateway import Caller
from tests.support.jobs import assert_adds_up, journal, open_job
from tests.support.moto_aws import Aws, connect_stores
from tests.support.shop import deliver, open_shop, results
from tests.support.store_wire import Delivery, charge, checkout, dispute, intent, invoice

PRO = Pack(credits=300, kind=CreditKind.ALLOWANCE, store_ids={"stripe": ["price_pro"]})


@pytest.fixture(autouse=True)
def opened(aws: Aws) -> None:
    open_shop(PRO)


@pytest.fixture
def owner(aws: Aws) -> Caller:
    return Caller(admin, user="back-office", scope="openid clipmint/admin")


def account(user_id: str = "ada") -> Account:
    return assert_adds_up(user_id)


def kinds(user_id: str = "ada") -> list[str]:
    return shop.kinds(user_id)


# ── Payments ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_payment_is_credited_once_by_any_number_and_kind_of_events(
    order: tuple[int, ...],
) -> None:
    events = [checkout(), checkout("async_payment_succeeded"), intent()]
    deliveries = [events[number] for number in order]
    assert results(*deliveries, *deliveries) == ["applied", *["known"] * 5]
    assert account().available == 500
    assert [entry.reference for entry in journal("ada")] == ["payment:stripe:pi_1"]


def test_the_pack_determines_the_amount_and_the_payload_does_not() -> None:
    results(
        checkout(amount_total=10**9, metadata={"clipmint_product": "credits-500", "credits": 9})
    )
    assert account().available == 500


@pytest.mark.parametrize("link", [None, "plink_1"])
def test_the_user_whom_our_metadata_name_is_credited(link: str | None) -> None:
    metadata = {"clipmint_product": "credits-500", "clipmint_user": "ada"}
    paid = checkout(client_reference_id="eve", payment_link=link, metadata=metadata)
    assert results(paid) == ["applied"]
    assert (account().available, account("eve").available) == (500, 0)


@pytest.mark.parametrize(
    "delivery",
    [
        lambda: checkout(payment_status="unpaid"),
        lambda: checkout(payment_status="no_payment_required"),
        lambda: checkout("expired"),
        lambda: checkout(mode="subscription"),
        lambda: checkout(client_reference_id=None, metadata={}),
        lambda: checkout(livemode=False),
        lambda: checkout(livemode=None),
        lambda: checkout(livemode=False, client_reference_id=None),
        lambda: intent(metadata={}),
        lambda: invoice("subscription_update"),
        lambda: invoice("manual"),
        lambda: invoice(amount_paid=0),
        lambda: wire.stripe("customer.created", {"id": "cus_1"}),
        lambda: dispute("created", "warning_needs_response"),
        lambda: wire.revenuecat("CANCELLATION", cancel_reason="UNSUBSCRIBE"),
        lambda: wire.revenuecat("TRANSFER", transferred_from=["eve"], transferred_to=["ada"]),
        lambda: wire.revenuecat("EXPIRATION"),
        lambda: wire.revenuecat("TEST"),
        lambda: wire.revenuecat("INITIAL_PURCHASE", period_type="TRIAL"),
        lambda: wire.revenuecat("INITIAL_PURCHASE", is_family_share=True),
        lambda: wire.revenuecat(environment="SANDBOX"),
        lambda: wire.revenuecat(transaction_id=None),
    ],
)
def test_what_is_not_paid_to_us_moves_no_credits(aws: Aws, delivery: Any) -> None:
    before = aws.items("LEDGER_TABLE")
    assert results(delivery()) == ["nothing"]
    assert aws.items("LEDGER_TABLE") == before


def test_an_invoice_grants_an_allowance_for_its_period() -> None:
    assert results(invoice(), invoice()) == ["applied", "known"]
    [lot] = account().lots
    ends = datetime.fromtimestamp(4_000_000_000, UTC)
    assert (lot.kind, lot.credits, lot.expires_at) == ("allowance", 300, ends)
    renewal = {"id": "in_2", "payment_intent": "pi_in_2"}
    assert results(invoice("subscription_cycle", **renewal)) == ["applied"]
    assert account().available == 600


SEATS, SETUP = wire.period("price_seats"), wire.period("price_pro", type="invoiceitem")
PRORATION = wire.period("price_pro", 3_900_000_000, proration=True)


@pytest.mark.parametrize(
    "lines",
    [
        [wire.period(), SEATS],
        [SEATS, wire.period()],
        [wire.period(), PRORATION],
        [PRORATION, wire.period()],
        [wire.period(), SETUP],
        [SETUP, SEATS, None, wire.period()],
    ],
)
def test_the_line_of_an_invoice_that_has_a_pack_is_credited(lines: list[Any]) -> None:
    assert results(invoice(lines={"data": lines})) == ["applied"]
    [lot] = account().lots
    assert (lot.credits, lot.expires_at) == (300, datetime.fromtimestamp(4_000_000_000, UTC))


@pytest.mark.parametrize(
    ("lines", "product"),
    [
        ([SEATS], "price_seats"),
        ([SEATS, wire.period("price_other")], None),
        ([wire.period(), wire.period()], None),
        ([SETUP, PRORATION], None),
        ([], None),
        (None, None),
    ],
)
def test_an_invoice_without_exactly_one_pack_waits(
    owner: Caller, lines: list[Any] | None, product: str | None
) -> None:
    assert results(invoice(lines={"data": lines})) == ["waiting"]
    [found] = waiting(owner)
    assert (found["reason"], found["product_id"]) == ("UNKNOWN_PRODUCT", product)


def test_an_invoice_whose_refund_could_not_be_found_is_not_credited() -> None:
    answer = deliver(invoice(payment_intent=None))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "2025-02-24.acacia" in answer.body["details"]
    assert kinds() == []


def test_revenuecat_reports_purchases_renewals_and_refunds() -> None:
    ends = {"expiration_at_ms": 4_000_000_000_500, "product_id": "pro"}
    assert results(wire.revenuecat(), wire.revenuecat()) == ["applied", "known"]
    assert results(wire.revenuecat("RENEWAL", transaction_id="2", **ends)) == ["applied"]
    assert account().available == 800
    [lot] = account().lots
    assert lot.expires_at == datetime.fromtimestamp(4_000_000_000.5, UTC)
    refund = wire.revenuecat("CANCELLATION", cancel_reason="CUSTOMER_SUPPORT")
    assert results(refund, refund) == ["applied", "known"]
    assert (account().available, account().purchased) == (300, 0)
    assert results(wire.revenuecat("REFUND_REVERSED"), refund) == ["applied", "known"]
    assert account().purchased == 500


def test_sandbox_purchases_count_for_testers() -> None:
    tester = {"environment": "SANDBOX", "app_user_id": "tester"}
    assert results(wire.revenuecat(**tester)) == ["applied"]
    assert account("tester").available == 500


def test_payments_in_the_test_mode_of_stripe_count_for_testers() -> None:
    assert results(checkout(livemode=False, client_reference_id="tester")) == ["applied"]
    assert account("tester").available == 500
    assert results(wire.stripe("charge.refunded", CHARGE, livemode=False)) == ["applied"]
    assert account("tester").available == 0


CHARGE = {"id": "ch_1", "payment_intent": "pi_1", "amount": 10, "amount_refunded": 10}


# ── Refunds and disputes ─────────────────────────────────────────────────────────────────────────


def test_refunds_are_cumulative_and_take_their_part() -> None:
    assert results(checkout(), charge(333), charge(333), charge(999), charge(333)) == [
        *("applied", "applied", "known", "applied", "known")
    ]
    assert account().available == 500 - 499  # rounded down
    assert results(charge(1_000)) == ["applied"]
    assert [entry.credits for entry in journal("ada")] == [500, 166, 333, 1]


def test_a_dispute_and_a_refund_of_one_charge_count_once() -> None:
    opened = dispute("created", "needs_response")
    assert results(checkout(), charge(400), opened) == ["applied"] * 3
    assert account().available == 0
    assert results(charge(1_000)) == ["applied"]
    assert (account().available, account().debt) == (0, 0)
    assert kinds() == ["grant", "clawback", "clawback"]


def test_a_won_dispute_gives_back_what_was_not_refunded_in_any_order() -> None:
    opened, won = dispute("created", "needs_response"), dispute("closed", "won")
    assert results(checkout(), charge(200), opened, won, opened) == [
        *("applied", "applied", "applied", "applied", "known")
    ]
    assert account().available == 400
    assert kinds() == ["grant", "clawback", "clawback", "grant"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_dispute_that_is_won_does_not_return_what_another_one_takes(
    order: tuple[int, ...],
) -> None:
    events = [
        dispute("created", "needs_response", "dp_1"),
        dispute("closed", "won", "dp_1"),
        dispute("created", "needs_response", "dp_2"),
        dispute("closed", "lost", "dp_2"),
    ]
    results(checkout(), *(events[number] for number in order))
    assert account().available == 0


def test_a_refund_after_a_reversed_one_takes_the_credits_back_again() -> None:
    refund = {"cancel_reason": "CUSTOMER_SUPPORT"}
    later = {"event_timestamp_ms": 1_658_726_379_000}
    latest = {"event_timestamp_ms": 1_658_726_379_500}
    results(wire.revenuecat(), wire.revenuecat("CANCELLATION", **refund))
    assert results(wire.revenuecat("REFUND_REVERSED", **later)) == ["applied"]
    assert results(wire.revenuecat("CANCELLATION", **refund)) == ["known"]
    assert account().available == 500
    assert results(wire.revenuecat("CANCELLATION", **refund, **latest)) == ["applied"]
    assert results(wire.revenuecat("REFUND_REVERSED", **later)) == ["known"]
    assert account().available == 0


def test_a_payment_that_cannot_be_read_is_to_be_repeated(aws: Aws) -> None:
    results(checkout())
    item = PaymentItem.get("PAYMENT#stripe#pi_1", "REFERENCE")
    item.cases = "not JSON"
    item.save()
    assert deliver(charge(1_000)).code == "TEMPORARILY_UNAVAILABLE"
    assert account().available == 500


def test_a_won_dispute_repays_the_debt_although_the_period_has_ended(hands: Clock) -> None:
    results(month(), checkout(payment_intent="pi_2"))
    open_job("ada", credits_=740)
    results(dispute("created", "needs_response"))
    assert (account().available, account().debt) == (0, 240)
    hands.forward(seconds=MONTH)
    assert results(dispute("closed", "won")) == ["applied"]
    assert (account().available, account().purchased, account().debt) == (60, 60, 0)


@pytest.mark.parametrize("ended", [False, True])
def test_a_won_dispute_returns_what_it_took_from_other_credits_as_purchased_ones(
    ended: bool, hands: Clock
) -> None:
    results(month(), checkout(payment_intent="pi_2"))
    open_job("ada", credits_=100)
    results(dispute("created", "needs_response"))
    assert (account().available, account().debt) == (400, 0)
    hands.forward(seconds=MONTH if ended else 1)
    results(dispute("closed", "won"))
    assert account().purchased == 500
    assert account().available == (500 if ended else 700)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("parts", [[1_000], [500, 1_000], [200, 500, 1_000]])
def test_a_refund_after_the_period_takes_only_what_was_spent(
    recorded: bool, parts: list[int], hands: Clock
) -> None:
    results(month(), checkout(payment_intent="pi_2"))
    open_job("ada", credits_=100)
    hands.forward(seconds=MONTH)
    if recorded:
        grants.expire("ada")
    assert results(*map(charge, parts)) == ["applied"] * len(parts)
    assert (account().available, account().purchased, account().debt) == (400, 400, 0)
    assert results(dispute("created", "needs_response")) == ["applied"]
    assert account().available == 400
    assert kinds() == ["grant", "grant", "hold", "expire", "clawback"]


@pytest.mark.parametrize("order", [("pi_1", "pi_2"), ("pi_2", "pi_1")])
def test_what_expired_of_two_payments_with_one_end_counts_for_one_of_them(
    order: tuple[str, str], hands: Clock
) -> None:
    results(month(), month("pi_2"), checkout(payment_intent="pi_3"))
    assert [(lot.credits, lot.own) for lot in account().lots] == [(300, True)] * 2
    assert [lot.credits for lot in Credits.of(account()).lots] == [600, 500]
    open_job("ada", credits_=420)
    hands.forward(seconds=MONTH)
    assert grants.expire("ada") == 180
    taken = {}
    for payment in order:
        before = account().available
        assert results(charge(1_000, payment=payment)) == ["applied"]
        taken[payment] = before - account().available
    assert sum(taken.values()) == 420
    assert taken == {"pi_1": 300, "pi_2": 120}


def test_a_payment_whose_lot_an_older_version_forgot_leaves_no_debt(hands: Clock) -> None:
    results(month())
    [payment] = PaymentItem.scan(PaymentItem.payment_id == "pi_1")
    payment.update(actions=[PaymentItem.lot.remove()])
    hands.forward(seconds=MONTH)
    results(dispute("created", "needs_response"), dispute("closed", "won"), charge(1_000))
    assert (account().available, account().debt) == (0, 0)


def test_a_refund_takes_the_credits_of_its_own_payment_first() -> None:
    """So they return to it, with their end, and not to another payment."""
    results(month(), month("pi_2"), dispute("created", "needs_response", payment="pi_2"))
    [left] = account().lots
    results(dispute("closed", "won", payment="pi_2"))
    assert [lot.credits for lot in account().lots] == [300, 300]
    assert account().lots[0] == left
    assert account().purchased == 0


def test_a_grant_by_hand_is_not_in_the_lot_of_a_payment(hands: Clock) -> None:
    results(month())
    ends = account().lots[0].expires_at
    for number in range(2):
        grants.grant("ada", 50, f"gift-{number}", kind=CreditKind.ALLOWANCE, expires_at=ends)
    assert [(lot.credits, lot.own) for lot in account().lots] == [(300, True), (100, False)]
    open_job("ada", credits_=310)
    hands.forward(seconds=MONTH)
    assert results(charge(1_000)) == ["applied"]
    assert (account().available, account().debt) == (0, 300)


def test_a_dispute_after_the_period_takes_and_returns_only_what_was_spent(hands: Clock) -> None:
    results(month(), checkout(payment_intent="pi_2"))
    open_job("ada", credits_=100)
    hands.forward(seconds=MONTH)
    results(dispute("created", "needs_response"))
    assert account().available == 400
    results(dispute("closed", "won"))
    assert account().available == 500
    results(charge(1_000))
    assert (account().available, account().debt) == (400, 0)


def test_an_allowance_that_is_reported_and_refunded_after_its_period_leaves_no_debt(
    hands: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    late = month()
    results(charge(1_000))
    hands.forward(seconds=MONTH)
    again = Delivery("stripe", late.body, {"Stripe-Signature": wire.signature(late.body)})
    assert results(again) == ["applied"]
    assert (account().available, account().debt) == (0, 0)
    assert kinds() == ["grant", "expire"]
    assert '"CreditsExpired":[300.0]' in capsys.readouterr().out.replace(" ", "")


MONTH = 30 * 86_400


def month(payment: str = "pi_1") -> Delivery:
    """The invoice of a period that begins now."""
    ends = int(clock.seconds()) + MONTH
    return invoice(lines={"data": [wire.period(end=ends)]}, payment_intent=payment)


def test_a_lost_dispute_stays_taken_back() -> None:
    results(checkout(), dispute("created", "needs_response"), dispute("closed", "lost"))
    assert account().available == 0


@pytest.mark.parametrize("refunds", list(itertools.permutations([250, 500, 1_000])))
def test_a_refund_before_its_purchase_is_taken_back_with_it(refunds: tuple[int, ...]) -> None:
    assert results(*map(charge, refunds[:2])) in (["applied"] * 2, ["applied", "known"])
    assert kinds() == []
    results(checkout(), charge(refunds[2]))
    assert account().available == 0
    assert account().debt == 0


def test_a_refund_of_spent_credits_is_a_debt_and_touches_no_hold() -> None:
    results(checkout())
    open_job("ada", credits_=120)
    results(charge(1_000))
    assert (account().available, account().held, account().debt) == (0, 120, 120)
    results(checkout(payment_intent="pi_2"))
    assert (account().available, account().debt) == (380, 0)


# ── Purchases that wait ──────────────────────────────────────────────────────────────────────────


def waiting(owner: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = owner("GET", "/v1/admin/purchases").body["purchases"]
    return found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metadata": {"clipmint_product": "credits-900"}}, "UNKNOWN_PRODUCT"),
        ({"metadata": {}}, "UNKNOWN_PRODUCT"),
        ({"client_reference_id": None}, "UNKNOWN_USER"),
        ({"payment_link": "plink_1"}, "UNKNOWN_USER"),
    ],
)
def test_a_purchase_of_an_unknown_product_or_user_waits_and_raises_the_alarm(
    owner: Caller, change: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results(checkout(**change), checkout(**change)) == ["waiting"] * 2
    assert '"PurchaseWaiting":[1.0]' in capsys.readouterr().out.replace(" ", "")
    [found] = waiting(owner)
    assert (found["reason"], found["event_id"]) == (reason, "evt_checkout.session.completed")
    path = f"/v1/admin/purchases/{found['purchase_id']}"
    assert owner("GET", path).body == found
    body = {"user_id": "ada", "product_id": "credits-500"}
    for _ in range(2):
        applied = owner("POST", f"{path}/apply", body=body)
        assert (applied.status, applied.body["status"]) == (200, "applied")
    assert account().available == 500
    assert waiting(owner) == []
    assert owner("POST", f"{path}/dismiss").code == "PURCHASE_NOT_WAITING"
    # Its refund finds it.
    results(charge(1_000))
    assert account().available == 0


def test_a_purchase_cannot_be_applied_before_its_pack_exists(owner: Caller) -> None:
    results(wire.revenuecat(product_id="com.app.new"))
    [found] = waiting(owner)
    path = f"/v1/admin/purchases/{found['purchase_id']}/apply"
    refused = owner("POST", path)
    assert (refused.status, refused.body["details"]) == (400, "UNKNOWN_PRODUCT")
    pack = {"credits": 7, "store_ids": {"revenuecat": ["com.app.new"]}}
    assert owner("PUT", "/v1/admin/packs/new", body=pack).status == 200
    assert owner("POST", path).body["status"] == "applied"
    assert account().available == 7


def test_a_purchase_that_was_credited_to_another_user_is_not_reported_as_applied(
    owner: Caller,
) -> None:
    results(checkout(client_reference_id=None))
    [found] = waiting(owner)
    assert results(checkout("async_payment_succeeded", client_reference_id="bob")) == ["applied"]
    path = f"/v1/admin/purchases/{found['purchase_id']}"
    refused = owner("POST", f"{path}/apply", body={"user_id": "ada"})
    assert (refused.status, refused.code) == (409, "PURCHASE_NOT_WAITING")
    assert (account("bob").available, account("ada").available) == (500, 0)
    assert owner("POST", f"{path}/apply", body={"user_id": "bob"}).body["status"] == "applied"
    assert account("bob").available == 500


def test_a_dismissed_purchase_is_not_credited(owner: Caller) -> None:
    results(checkout(client_reference_id=None))
    [found] = waiting(owner)
    path = f"/v1/admin/purchases/{found['purchase_id']}"
    for _ in range(2):
        assert owner("POST", f"{path}/dismiss").body["status"] == "dismissed"
    refused = owner("POST", f"{path}/apply", body={"user_id": "ada"})
    assert (refused.status, refused.code) == (409, "PURCHASE_NOT_WAITING")
    assert (kinds(), waiting(owner)) == ([], [])


def test_an_anonymous_user_of_revenuecat_is_unknown(owner: Caller) -> None:
    assert results(wire.revenuecat(app_user_id="$RCAnonymousID:1")) == ["waiting"]
    assert [each["reason"] for each in waiting(owner)] == ["UNKNOWN_USER"]


@pytest.mark.parametrize("path", ["not-an-id", "5f2c7c8e-93a4-5b8e-8f0d-2a1f0c6d9e11"])
def test_an_unknown_purchase_is_not_found(owner: Caller, path: str) -> None:
    for method, rest in (("GET", ""), ("POST", "/apply"), ("POST", "/dismiss")):
        answer = owner(method, f"/v1/admin/purchases/{path}{rest}")
        assert (answer.status, answer.code) == (404, "PURCHASE_NOT_FOUND")


# ── Packs ────────────────────────────────────────────────────────────────────────────────────────


def test_packs_are_added_shown_replaced_and_removed(owner: Caller) -> None:
    path = "/v1/admin/packs/credits-500"
    replaced = wire.PACK | {"credits": 550}
    assert owner("PUT", path, body=replaced).status == 200
    assert owner("GET", path).body["credits"] == 550
    shown = Caller(status)("GET", "/v1/packs").body["packs"]
    assert [(pack["product_id"], pack["credits"]) for pack in shown] == [
        ("credits-500", 550),
        ("pro", 300),
    ]
    assert owner("DELETE", path).status == 204
    assert owner("DELETE", path).code == "PACK_NOT_FOUND"
    assert owner("GET", path).code == "PACK_NOT_FOUND"
    assert results(checkout()) == ["waiting"]


@pytest.mark.parametrize(
    "pack",
    [
        {},
        {"credits": 0},
        {"credits": -5},
        {"credits": 1.5},
        {"credits": "5"},
        {"credits": 10**9},
        {"credits": 5, "kind": "gift"},
        {"credits": 5, "expires_after_days": 30},
        {"credits": 5, "kind": "promo", "expires_after_days": 0},
        {"credits": 5, "kind": "promo", "expires_after_days": 10**6},
        {"credits": 5, "store_ids": {"other": ["x"]}},
        {"credits": 5, "store_ids": {"stripe": ["two words"]}},
        {"credits": 5, "store_ids": {"stripe": ["price_pro"]}},
        {"credits": 5, "price": 1},
    ],
)
def test_a_pack_that_is_not_valid_is_refused(owner: Caller, pack: dict[str, Any]) -> None:
    answer = owner("PUT", "/v1/admin/packs/new", body=pack)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "new" not in pack_store.all_packs()


def test_a_product_id_is_not_just_any_text(owner: Caller) -> None:
    assert owner("PUT", f"/v1/admin/packs/{'x' * 129}", body={"credits": 5}).status == 400


def test_a_promotional_pack_ends_after_its_days(owner: Caller) -> None:
    pack = {"credits": 5, "kind": "promo", "expires_after_days": 30}
    owner("PUT", "/v1/admin/packs/welcome", body=pack)
    results(checkout(metadata={"clipmint_product": "welcome"}))
    [lot] = account().lots
    assert lot.expires_at is not None
    assert 29 < (lot.expires_at - datetime.now(UTC)).total_seconds() / 86_400 <= 30


def test_two_changes_of_packs_at_once_are_both_made(aws: Aws) -> None:
    def another() -> None:
        pack_store.put("one", PRO.model_copy(update={"store_ids": {}}))

    aws.before_each_transaction(another)
    pack_store.put("two", PRO.model_copy(update={"store_ids": {}}))
    assert {"one", "two"} <= pack_store.all_packs().keys()


@pytest.mark.parametrize("scope", ["", "openid"])
def test_only_the_owner_changes_packs_and_purchases(owner: Caller, scope: str) -> None:
    some = "5f2c7c8e-93a4-5b8e-8f0d-2a1f0c6d9e11"
    for method, path, body in (
        ("PUT", "/v1/admin/packs/credits-500", {"credits": 5}),
        ("GET", "/v1/admin/packs/credits-500", None),
        ("DELETE", "/v1/admin/packs/credits-500", None),
        ("GET", "/v1/admin/purchases", None),
        ("GET", f"/v1/admin/purchases/{some}", None),
        ("POST", f"/v1/admin/purchases/{some}/apply", {}),
        ("POST", f"/v1/admin/purchases/{some}/dismiss", None),
    ):
        answer = owner(method, path, body=body, scope=scope)
        assert (answer.status, answer.code) == (403, "SCOPE_REQUIRED"), path
    assert pack_store.all_packs()["credits-500"].credits == 500


# ── What is not from a store ─────────────────────────────────────────────────────────────────────


def changed(delivery: Delivery, **headers: str) -> Delivery:
    return Delivery(delivery.store, delivery.body, delivery.headers | headers)


@pytest.mark.parametrize(
    "delivery",
    [
        lambda: wire.stripe("charge.refunded", {}, secret="whsec_other"),
        lambda: wire.stripe("charge.refunded", {}, seconds_ago=301),
        lambda: wire.stripe("charge.refunded", {}, seconds_ago=-360),
        lambda: Delivery("stripe", checkout().body),
        lambda: changed(checkout(), **{"Stripe-Signature": ""}),
        lambda: changed(checkout(), **{"Stripe-Signature": "t=1"}),
        lambda: changed(checkout(), **{"Stripe-Signature": "v1=00"}),
        lambda: changed(checkout(), **{"Stripe-Signature": "t=²,v1=é"}),
        lambda: Delivery("stripe", checkout().body + " ", checkout().headers),
        lambda: Delivery("stripe", "not even json", checkout().headers),
        lambda: changed(wire.revenuecat(), Authorization="Bearer guess"),
        lambda: changed(wire.revenuecat(), Authorization=""),
        lambda: changed(wire.revenuecat(), Authorization="é"),
    ],
)
def test_a_forged_or_stale_report_is_refused_before_it_is_read(
    aws: Aws, delivery: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = aws.items("LEDGER_TABLE")
    made = delivery()
    for reader in (stripe, revenuecat):
        monkeypatch.setattr(reader, "json_object", lambda _: pytest.fail("it was parsed"))
    answer = deliver(made)
    assert (answer.status, answer.code) == (401, "WEBHOOK_NOT_PROVEN")
    assert '"PurchaseRejected":[1.0]' in capsys.readouterr().out.replace(" ", "")
    assert aws.items("LEDGER_TABLE") == before


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "[" * 100_000])
def test_a_proven_body_that_is_no_event_is_refused(body: str) -> None:
    signed = Delivery("stripe", body, {"Stripe-Signature": wire.signature(body)})
    assert deliver(signed).code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"id": 5, "type": ["x"], "data": 7},
        {"type": "checkout.session.completed", "data": {"object": None}},
        {"type": "charge.refunded", "data": {"object": {"payment_intent": {}, "amount": "x"}}},
        {"type": "charge.dispute.created", "data": []},
    ],
)
def test_a_proven_event_with_other_types_moves_nothing(members: dict[str, Any]) -> None:
    body = json.dumps(members)
    signed = Delivery("stripe", body, {"Stripe-Signature": wire.signature(body)})
    assert results(signed) == ["nothing"]


def test_a_period_that_ends_at_an_impossible_time_is_refused() -> None:
    assert deliver(wire.revenuecat(expiration_at_ms=10**30)).code == "INVALID_REQUEST"


def test_a_body_that_is_too_large_is_refused() -> None:
    body = "x" * (MOST_BYTES + 1)
    large = Delivery("stripe", body, {"Stripe-Signature": wire.signature(body)})
    assert deliver(large).code == "INVALID_REQUEST"


def test_an_unknown_store_and_one_that_is_not_connected_are_refused() -> None:
    assert deliver(Delivery("paypal", "{}")).code == "NOT_FOUND"
    connect_stores({"REVENUECAT_AUTHORIZATIONS": wire.REVENUECAT_SECRET})
    assert deliver(checkout()).code == "WEBHOOK_NOT_PROVEN"
    connect_stores({"STRIPE_WEBHOOK_SECRETS": "  "})
    assert deliver(checkout()).code == "WEBHOOK_NOT_PROVEN"


def test_without_its_secret_a_report_is_to_be_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clients.secrets().put_secret_value(
        SecretId=StoreSettings.read().store_secrets_arn, SecretString="not JSON"
    )
    stores.forget()
    answer = deliver(checkout())
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert '"StoreSecretsUnreadable":[1.0]' in capsys.readouterr().out.replace(" ", "")


@pytest.mark.parametrize("name", ["REVENUECAT_AUTHORIZATIONS", "STRIPE_WEBHOOK_SECRETS"])
@pytest.mark.parametrize("value", ["Bearer {}", "Basic {}", "{} short"])
def test_a_secret_that_is_easy_to_guess_is_not_in_use(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    connect_stores(wire.SECRETS | {name: value.format("a-text-that-is-long-enough")})
    guess = changed(wire.revenuecat(), Authorization=value.split(maxsplit=1)[0])
    assert deliver(guess).code == "TEMPORARILY_UNAVAILABLE"
    assert '"StoreSecretsUnreadable":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_conflicts_are_repeated_and_then_left_to_the_store(aws: Aws) -> None:
    aws.before_each_transaction(*[lambda: "TransactionConflict"] * 3)
    assert results(checkout()) == ["applied"]
    aws.before_each_transaction(*[lambda: "TransactionConflict"] * ledger.MAX_ATTEMPTS)
    assert deliver(charge(1_000)).status == 503
    assert account().available == 500
    assert results(charge(1_000)) == ["applied"]


def test_a_concurrent_delivery_is_found(aws: Aws) -> None:
    def the_other() -> None:
        results(intent())

    aws.before_each_transaction(the_other)
    assert results(checkout()) == ["known"]
    assert account().available == 500


@pytest.mark.parametrize("refunded_before", [0, 250])
def test_a_refund_that_is_recorded_meanwhile_is_not_overwritten(
    aws: Aws, refunded_before: int
) -> None:
    if refunded_before:
        assert results(charge(refunded_before)) == ["applied"]

    def the_refund() -> None:
        assert results(charge(500)) == ["applied"]

    aws.before_each_transaction(the_refund)
    assert results(checkout()) == ["applied"]
    assert account().available == 250


def test_too_many_different_ends_make_a_purchase_wait(owner: Caller) -> None:
    for number in range(32):
        assert results(allowance(number)) == ["applied"]
    assert results(allowance(32)) == ["waiting"]
    assert [each["reason"] for each in waiting(owner)] == ["TOO_MANY_LOTS"]


def test_any_number_of_payments_without_an_end_is_credited() -> None:
    pack_store.put("credits-500", Pack.model_validate(wire.PACK | {"kind": "promo"}))
    for number in range(33):
        assert results(checkout(payment_intent=f"pi_{number}")) == ["applied"]
    assert [(lot.credits, lot.own) for lot in account().lots] == [(33 * 500, False)]


def test_a_won_dispute_returns_credits_to_a_user_with_as_many_ends_as_there_may_be() -> None:
    results(allowance(1), dispute("created", "needs_response"))
    for number in range(2, 34):
        assert results(allowance(number)) == ["applied"]
    assert results(dispute("closed", "won")) == ["applied"]
    assert account().available == 33 * 300
    assert len(account().lots) == 33
    assert results(allowance(34)) == ["waiting"]


def allowance(number: int) -> Delivery:
    """The invoice of a period with an end of its own."""
    line = wire.period(end=4_000_000_000 + number)
    return invoice(lines={"data": [line]}, id=f"in_{number}", payment_intent=f"pi_{number}")


def test_the_alarms_and_audit_skip_what_is_no_account(aws: Aws, owner: Caller) -> None:
    from clipmint.credits import audit

    results(checkout(), charge(100), checkout(payment_intent="pi_2", client_reference_id=None))
    assert audit.audit(0, 1, lambda: True) == audit.Audit(accounts=1, drift=0)
