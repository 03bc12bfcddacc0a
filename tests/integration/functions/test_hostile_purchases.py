"""What a store, a forger or an owner may send that is wrong, for each store: no credits move, it is
counted, and the function does not fail."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clipmint import clock
from clipmint.credits.account import Account
from clipmint.lots import CreditKind
from clipmint.purchases import pack_store, stores, waiting_purchases
from clipmint.purchases.pack import Pack
from clipmint.purchases.payment_items import WAITING, WaitingItem
from functions.admin.app import handler as admin
from functions.purchases.app import MOST_BYTES
from tests.support import appstore_wire as apple
from tests.support import store_wire as wire
from tests.support.appstore_wire import USER, Signer
from tests.support.clock import Clock
from tests.support.gateway import Caller
from tests.support.jobs import assert_adds_up, journal
from tests.support.moto_aws import Aws, client_of, connect_stores, hooked
from tests.support.shop import deliver, results
from tests.support.store_wire import Delivery, appstore, charge, checkout, dispute, revenuecat

DEEP = "[" * 100_000
LARGE = "x" * (MOST_BYTES + 1)
HALF = "\ud800"
"""Half of a surrogate pair: JSON can contain it, UTF-8 cannot."""


@pytest.fixture(autouse=True)
def shop(aws: Aws) -> None:
    """The owner has connected all stores and offers one pack."""
    connect_stores(wire.SECRETS)
    pack_store.put("credits-500", Pack.model_validate(wire.PACK))


@pytest.fixture
def owner(aws: Aws) -> Caller:
    return Caller(admin, user="back-office", scope="openid clipmint/admin")


def account(user_id: str = "ada") -> Account:
    return assert_adds_up(user_id)


def proven(store: str, body: str) -> Delivery:
    """A delivery of any body with the store's valid signature or secret. The App Store signs the
    content of the body itself."""
    headers = {
        "stripe": {"Stripe-Signature": wire.signature(body)},
        "revenuecat": {"Authorization": wire.REVENUECAT_SECRET},
        "appstore": {},
    }
    return Delivery(store, body, headers[store])


PURCHASES: dict[str, tuple[Callable[..., Delivery], str]] = {
    "stripe": (checkout, "ada"),
    "revenuecat": (revenuecat, "ada"),
    "appstore": (appstore, USER),
}
each_store = pytest.mark.parametrize("store", PURCHASES)


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────


@each_store
@pytest.mark.parametrize("body", ["", "[]", "null", "{", "\x00", DEEP, f'{{"a": {DEEP}', LARGE])
def test_a_body_that_is_no_event_is_refused_and_counted(
    aws: Aws, store: str, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = aws.items("LEDGER_TABLE")
    answer = deliver(proven(store, body))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert '"PurchaseRejected":[1.0]' in capsys.readouterr().out.replace(" ", "")
    assert aws.items("LEDGER_TABLE") == before


@each_store
def test_a_large_body_is_refused_before_it_is_verified(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "read", lambda *_: pytest.fail("it was read"))
    assert deliver(Delivery(store, LARGE)).code == "INVALID_REQUEST"


def test_a_forged_payload_of_the_app_store_may_be_nested_deeply() -> None:
    header, _, signature = apple.signed("ONE_TIME_CHARGE", signer=Signer(authority=2)).split(".")
    deep = base64.urlsafe_b64encode(DEEP.encode()).decode().rstrip("=")
    answer = deliver(Delivery("appstore", apple.body(f"{header}.{deep}.{signature}")))
    assert (answer.status, answer.code) == (401, "WEBHOOK_NOT_PROVEN")


@each_store
def test_of_a_key_that_occurs_twice_the_verified_one_counts(store: str) -> None:
    """The last one, as Python's parser has it; there is no second parser that could differ."""
    make, user = PURCHASES[store]
    body = make().body
    twice = {
        "stripe": body.replace('"type"', '"type": "charge.refunded", "type"', 1),
        "revenuecat": body.replace('"type"', '"type": "TEST", "type"', 1),
        "appstore": body.replace('"signedPayload"', '"signedPayload": "a.b.c", "signedPayload"', 1),
    }
    assert twice[store] != body
    assert results(proven(store, twice[store])) == ["applied"]
    assert account(user).available == 500


@each_store
def test_a_report_that_is_sent_again_moves_no_credits(store: str) -> None:
    make, user = PURCHASES[store]
    same = make()
    assert results(same, same, make()) == ["applied", "known", "known"]
    assert (account(user).available, len(journal(user))) == (500, 1)


@pytest.mark.parametrize("long", ["é" * 500, HALF, "x" * 501])
@pytest.mark.parametrize(
    "delivery",
    [
        lambda text: checkout(payment_intent=text),
        lambda text: checkout(payment_intent="pi_1", client_reference_id=text, metadata={}),
        lambda text: revenuecat(transaction_id=text),
        lambda text: revenuecat(app_user_id=text),
        lambda text: revenuecat(product_id=text),
        lambda text: appstore(transactionId=text),
        lambda text: appstore(productId=text),
        lambda text: appstore(appAccountToken=text),
    ],
)
def test_a_text_that_cannot_be_part_of_a_key_credits_no_user(
    delivery: Callable[[str], Delivery], long: str, aws: Aws
) -> None:
    assert deliver(delivery(long)).status in {200, 400}
    assert not [item for item in aws.items("LEDGER_TABLE") if item["sk"]["S"] == "ACCOUNT"]


@pytest.mark.parametrize("number", [10**40, -(10**40)])
def test_a_number_that_cannot_be_stored_is_refused(number: int) -> None:
    results(checkout())
    assert deliver(charge(number)).code == "INVALID_REQUEST"
    assert deliver(charge(1, of=number)).code == "INVALID_REQUEST"
    impossible = revenuecat("REFUND_REVERSED", event_timestamp_ms=number)
    assert deliver(impossible).code == "INVALID_REQUEST"
    assert account().available == 500


# ── Amounts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("refunded", "of", "left"),
    [
        (0, 1_000, 500),
        (-5, 1_000, 500),
        (5, 0, 500),
        (1, 10**12, 500),  # rounded down
        (10**12 - 1, 10**12, 1),
        (10**12, 10**12, 0),
        (2_000, 1_000, 0),  # more than was paid
    ],
)
def test_the_amount_of_a_refund_may_be_extreme(refunded: int, of: int, left: int) -> None:
    results(checkout(), charge(refunded, of=of))
    assert (account().available, account().debt) == (left, 0)


def test_the_largest_packs_add_up_exactly() -> None:
    pack_store.put("largest", Pack(credits=100_000_000))
    metadata = {"clipmint_product": "largest"}
    paid = [checkout(payment_intent=f"pi_{n}", metadata=metadata) for n in range(5)]
    assert results(*paid, charge(999_999_999, of=10**9, payment="pi_0")) == ["applied"] * 6
    assert account().available == 5 * 100_000_000 - 99_999_999


def test_a_pack_that_is_changed_or_removed_does_not_change_a_refund() -> None:
    results(checkout())
    pack_store.put("credits-500", Pack(credits=9, kind=CreditKind.PROMO))
    assert results(charge(500)) == ["applied"]
    assert account().available == 250
    pack_store.delete("credits-500")
    assert results(charge(1_000), dispute("created", "lost")) == ["applied"] * 2
    assert (account().available, account().debt) == (0, 0)


@pytest.mark.parametrize("price", [0, 0.0])
def test_what_is_free_at_revenuecat_is_not_credited(price: float) -> None:
    assert results(revenuecat(price=price)) == ["nothing"]
    assert results(revenuecat(price=None)) == ["applied"]


def test_an_upgrade_with_proration_grants_nothing_and_the_next_period_does() -> None:
    pack_store.put("pro", Pack(credits=300, kind=CreditKind.ALLOWANCE))
    pack_store.put("basic", Pack(credits=100, kind=CreditKind.ALLOWANCE))
    back = wire.period("basic", proration=True, amount=-400)
    more = wire.period("pro", proration=True, amount=900)
    results(wire.invoice(lines={"data": [wire.period("basic")]}))
    upgraded = wire.invoice(
        "subscription_update", payment_intent="pi_2", lines={"data": [back, more]}
    )
    assert results(upgraded) == ["nothing"]
    period = wire.period("pro", 4_000_000_500)
    following = wire.invoice(
        "subscription_cycle", payment_intent="pi_3", lines={"data": [back, more, period]}
    )
    assert results(following) == ["applied"]
    assert sorted(lot.credits for lot in account().lots) == [100, 300]


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────


def test_one_period_ends_in_the_second_in_which_the_next_one_begins(hands: Clock) -> None:
    pack_store.put("pro", Pack(credits=300, kind=CreditKind.ALLOWANCE))
    now = int(clock.seconds())

    def renewal(number: int) -> Delivery:
        ends = {"expiration_at_ms": 1_000 * (now + 60 * number), "product_id": "pro"}
        return revenuecat("RENEWAL", transaction_id=str(number), **ends)

    assert results(renewal(1)) == ["applied"]
    hands.forward(seconds=60 - (clock.seconds() - now))  # to the instant of the end
    assert results(renewal(2)) == ["applied"]
    assert [entry.kind for entry in journal("ada")] == ["grant", "expire", "grant"]
    assert account().available == 300


@pytest.mark.parametrize("seconds_ago", [-290, 290])
def test_a_clock_of_stripe_may_differ_by_almost_five_minutes(seconds_ago: int) -> None:
    body = checkout().body
    signed = wire.signature(body, seconds_ago=seconds_ago)
    assert results(Delivery("stripe", body, {"Stripe-Signature": signed})) == ["applied"]


@pytest.mark.parametrize("seconds", [-86_400, 86_400])
def test_a_clock_of_apple_may_differ_by_a_day(seconds: int) -> None:
    signed_at = int((clock.seconds() + seconds) * 1_000)
    assert results(appstore(signedDate=signed_at)) == ["applied"]
    later = datetime.now(UTC) + timedelta(seconds=seconds)
    refund = appstore("REFUND", revocationDate=int(later.timestamp() * 1_000))
    assert results(refund, refund) == ["applied", "known"]
    assert account(USER).available == 0


# ── Packs and stores ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("product", "pack"),
    [
        ("cheap", {"credits": 1, "store_ids": {"stripe": ["credits-500"]}}),
        ("com.app.credits_500", {"credits": 9}),
        ("cheap", {"credits": 1, "store_ids": {"revenuecat": ["com.app.credits_500"]}}),
    ],
)
def test_a_product_of_a_store_belongs_to_one_pack(
    owner: Caller, product: str, pack: dict[str, Any]
) -> None:
    answer = owner("PUT", f"/v1/admin/packs/{product}", body=pack)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    results(checkout(), revenuecat())
    assert account().available == 1_000


def test_two_stores_may_name_different_products_alike(owner: Caller) -> None:
    for store, credits_ in (("stripe", 70), ("appstore", 90)):
        pack = {"credits": credits_, "store_ids": {store: ["the-same-name"]}}
        assert owner("PUT", f"/v1/admin/packs/{store}-pack", body=pack).status == 200
    results(checkout(metadata={"clipmint_product": "the-same-name"}))
    results(appstore(productId="the-same-name"))
    assert (account().available, account(USER).available) == (70, 90)


def test_packs_that_do_not_fit_into_their_item_are_refused(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pack_store.MAX_BYTES < 400_000
    monkeypatch.setattr(pack_store, "MAX_BYTES", 2_000)
    pack = {"credits": 1, "store_ids": {store: [f"{store:x<120}"] for store in PURCHASES}}
    answers = [owner("PUT", f"/v1/admin/packs/pack-{n}", body=_numbered(pack, n)) for n in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 400]
    assert answers[-1].code == "INVALID_REQUEST"
    assert owner("PUT", "/v1/admin/packs/credits-500", body={"credits": 9}).status == 200
    assert len(pack_store.all_packs()) == 4


def _numbered(pack: dict[str, Any], number: int) -> dict[str, Any]:
    ids = {store: [f"{number}{each}" for each in own] for store, own in pack["store_ids"].items()}
    return pack | {"store_ids": ids}


@pytest.mark.parametrize(
    ("store", "connected"),
    [("APP_STORE", "APPSTORE_APPS"), ("STRIPE", "STRIPE_WEBHOOK_SECRETS")],
)
def test_a_purchase_that_a_store_reports_itself_is_not_credited_by_revenuecat_too(
    store: str, connected: str, owner: Caller
) -> None:
    """Otherwise each payment would be credited twice."""
    assert results(revenuecat(store=store), revenuecat(store=store)) == ["waiting"] * 2
    [found] = owner("GET", "/v1/admin/purchases").body["purchases"]
    assert (found["reason"], found["user_id"]) == ("CONNECTED_TWICE", "ada")
    assert results(revenuecat("CANCELLATION", cancel_reason="CUSTOMER_SUPPORT", store=store))
    assert account().debt == 0
    connect_stores({name: value for name, value in wire.SECRETS.items() if name != connected})
    assert results(revenuecat(store=store, transaction_id="2")) == ["applied"]
    assert account().available == 500


def test_the_owner_applies_a_purchase_of_a_store_that_is_connected_twice(owner: Caller) -> None:
    results(revenuecat(store="STRIPE"))
    [found] = owner("GET", "/v1/admin/purchases").body["purchases"]
    path = f"/v1/admin/purchases/{found['purchase_id']}/apply"
    for _ in range(2):
        assert owner("POST", path, body={}).body["status"] == "applied"
    assert account().available == 500


# ── Disputes and invoices ────────────────────────────────────────────────────────────────────────


def test_an_inquiry_that_becomes_a_dispute_takes_the_credits_when_the_money_is_gone() -> None:
    inquiry = dispute("created", "warning_needs_response")
    assert results(checkout(), inquiry) == ["applied", "nothing"]
    gone = dispute("funds_withdrawn", "needs_response")
    assert results(gone, gone) == ["applied", "known"]
    assert account().available == 0
    assert results(dispute("closed", "won"), gone) == ["applied", "known"]
    assert account().available == 500


def test_an_invoice_that_was_paid_outside_stripe_is_credited() -> None:
    outside: dict[str, Any] = {
        "paid_out_of_band": True,
        "payment_intent": None,
        "amount_paid": 0,
        "total": 900,
    }
    pack_store.put("pro", Pack(credits=300, store_ids={"stripe": ["price_pro"]}))
    assert results(wire.invoice(**outside), wire.invoice(**outside)) == ["applied", "known"]
    assert [entry.reference for entry in journal("ada")] == ["payment:stripe:in_1"]
    assert results(wire.invoice(**outside | {"id": "in_2", "total": 0})) == ["nothing"]


def test_an_invoice_that_the_balance_of_the_customer_has_paid_grants_nothing() -> None:
    by_balance: dict[str, Any] = {"amount_paid": 0, "total": 900, "starting_balance": -900}
    assert results(wire.invoice(payment_intent=None, **by_balance)) == ["nothing"]


# ── The list of purchases that wait ──────────────────────────────────────────────────────────────


def test_purchases_that_wait_are_listed_newest_first_in_pages(owner: Caller, hands: Clock) -> None:
    hands.forward(seconds=0.0006)  # a cursor has milliseconds, and a clock more
    for number in range(7):
        results(revenuecat(transaction_id=str(number), product_id="unknown"))
        if number % 3:  # some arrive in the same millisecond
            hands.forward(seconds=1)
    expected = owner("GET", "/v1/admin/purchases").body
    assert expected["cursor"] is None
    times = [each["received_at"] for each in expected["purchases"]]
    assert times == sorted(times, reverse=True)
    assert {each["payment_id"] for each in expected["purchases"]} == set("0123456")
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = owner("GET", "/v1/admin/purchases", query=query).body
        found += page["purchases"]
        cursor = page["cursor"]
    assert found == expected["purchases"]


def test_the_list_can_be_that_of_another_status(owner: Caller) -> None:
    for number in range(3):
        results(revenuecat(transaction_id=str(number), product_id="unknown"))
    [first, second, _] = owner("GET", "/v1/admin/purchases").body["purchases"]
    body = {"product_id": "credits-500"}
    owner("POST", f"/v1/admin/purchases/{first['purchase_id']}/apply", body=body)
    owner("POST", f"/v1/admin/purchases/{second['purchase_id']}/dismiss")
    for status, expected in (("applied", first), ("dismissed", second)):
        page = owner("GET", "/v1/admin/purchases", query={"status": status}).body
        assert page["purchases"] == [expected | {"status": status}]
    waits = owner("GET", "/v1/admin/purchases", query={"status": "waiting"}).body["purchases"]
    assert len(waits) == 1


@pytest.mark.parametrize("query", ["status=gone", "limit=0", "limit=101", "cursor=abc", "page=2"])
def test_a_list_that_cannot_be_made_is_refused(owner: Caller, query: str) -> None:
    answer = owner("GET", "/v1/admin/purchases", query=dict([query.split("=")]))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("dismissed", [False, True])
def test_a_purchase_that_another_event_completes_waits_no_more(
    owner: Caller, dismissed: bool
) -> None:
    results(wire.intent(metadata={"clipmint_product": "credits-500"}))
    [found] = owner("GET", "/v1/admin/purchases").body["purchases"]
    path = f"/v1/admin/purchases/{found['purchase_id']}"
    if dismissed:
        owner("POST", f"{path}/dismiss")
    assert results(checkout()) == ["applied"]
    assert owner("GET", path).body["status"] == "applied"
    assert owner("GET", "/v1/admin/purchases").body["purchases"] == []
    assert owner("POST", f"{path}/dismiss").code == "PURCHASE_NOT_WAITING"


def test_a_purchase_that_was_kept_without_a_place_in_the_list_can_be_applied(owner: Caller) -> None:
    results(revenuecat(product_id="unknown"))
    [found] = owner("GET", "/v1/admin/purchases").body["purchases"]
    [item] = WaitingItem.query(WAITING)
    item.update([WaitingItem.sequence.remove()])
    path = f"/v1/admin/purchases/{found['purchase_id']}"
    applied = owner("POST", f"{path}/apply", body={"user_id": "ada", "product_id": "credits-500"})
    assert (applied.status, owner("GET", path).body["status"]) == (200, "applied")


def test_a_purchase_that_is_credited_while_it_is_kept_waits_no_more(owner: Caller) -> None:
    others = [checkout()]

    def meanwhile(**_: Any) -> None:
        if others:
            assert results(others.pop()) == ["applied"]

    with hooked(client_of(WaitingItem), {"before-call.dynamodb.PutItem": meanwhile}):
        results(wire.intent(metadata={"clipmint_product": "credits-500"}))
    assert others == []
    assert account().available == 500
    assert owner("GET", "/v1/admin/purchases").body["purchases"] == []


def test_a_purchase_that_is_credited_cannot_be_dismissed_after_a_crash(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function crashed after the credits had moved, and the store has not repeated its call."""
    results(wire.intent(metadata={"clipmint_product": "credits-500"}))
    with monkeypatch.context() as patch:
        patch.setattr(waiting_purchases, "no_longer", lambda _: None)
        results(checkout())
    [found] = owner("GET", "/v1/admin/purchases").body["purchases"]
    path = f"/v1/admin/purchases/{found['purchase_id']}"
    assert owner("POST", f"{path}/dismiss").code == "PURCHASE_NOT_WAITING"
    assert owner("POST", f"{path}/apply", body={"user_id": "ada"}).body["status"] == "applied"
    assert account().available == 500
