"""What stores may report about a user's payments: the rows of the table of payments.

Each case states the account in which all of its orders must end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from clipmint import clock
from clipmint.credits import holds
from clipmint.jobs.job import JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.lots import CreditKind
from clipmint.purchases import pack_store, waiting_purchases
from clipmint.purchases.pack import Pack
from tests.support.appstore_wire import USER
from tests.support.clock import Clock
from tests.support.jobs import open_job
from tests.support.store_wire import (
    Delivery,
    appstore,
    charge,
    checkout,
    dispute,
    intent,
    invoice,
    period,
    revenuecat,
)

STRIPE, REVENUECAT, APPSTORE = "Stripe", "RevenueCat", "App Store"
JOB_ID, JOB_CREDITS = "5f2c7c8e-93a4-4b8e-8f0d-2a1f0c6d9e11", 120
MONTH = 30 * 86_400
BOUGHT_AT = 1_795_168_800_000
"""When something was refunded for the first time, in epoch milliseconds."""


@dataclass(frozen=True)
class Step:
    """One step of a case: a webhook to deliver, or something that happens beside it.

    ``make`` is called at its time, because stores sign a webhook when they send it.
    """

    name: str
    make: Callable[[Clock], Delivery | None]


@dataclass(frozen=True)
class Case:
    """``ends``: available, held and debt at the end. The first ``in_order`` steps are played in the
    order given, the others in any order."""

    store: str
    name: str
    steps: tuple[Step, ...]
    ends: tuple[int, int, int]
    in_order: int = 0

    @property
    def user(self) -> str:
        return USER if self.store == APPSTORE else "ada"


PRO = Pack(
    credits=300,
    kind=CreditKind.ALLOWANCE,
    store_ids={"stripe": ["price_pro"], "revenuecat": ["pro"], "appstore": ["com.example.pro"]},
)
"""The second of the two packs that are on sale."""


# ── Steps ────────────────────────────────────────────────────────────────────────────────────────


def reported(name: str, make: Callable[..., Delivery], *parts: Any, **named: Any) -> Step:
    """A store's webhook."""
    made = partial(make, *parts, **named)
    return Step(name, lambda _: made())


def happens(name: str, act: Callable[[], Any]) -> Step:
    """Something that no store reports."""

    def make(_: Clock) -> None:
        act()

    return Step(name, make)


def _time_passes(clock_: Clock) -> None:
    clock_.forward(seconds=MONTH)


def _job_fails() -> None:
    failed = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)
    holds.settle(JOB_ID, lambda _: failed)


def _apply(user: str) -> None:
    [waits] = waiting_purchases.list_page(status="waiting", limit=2, cursor=None).purchases
    waiting_purchases.apply(waits.purchase_id, user_id=user, product_id=None)


def _add_pack() -> None:
    pack_store.put("new", Pack(credits=500, kind=CreditKind.PURCHASED))


def _month(payment: str) -> Delivery:
    """The invoice of a period that begins when it is sent."""
    ends = int(clock.seconds()) + MONTH
    return invoice(payment_intent=payment, lines={"data": [period(end=ends)]})


def job(user: str = "ada") -> Step:
    return happens("a job", lambda: open_job(user, job_id=JOB_ID, credits_=JOB_CREDITS))


JOB_FAILS = happens("it fails", _job_fails)
PERIOD_ENDS = Step("the period ends", _time_passes)

SESSION = reported("checkout", checkout)
SESSION_LATER = reported("async payment", checkout, "async_payment_succeeded")
INTENT = reported("PaymentIntent", intent)
OPENED = reported("dispute", dispute, "created", "needs_response")
WON = reported("won", dispute, "closed", "won")
LOST = reported("lost", dispute, "closed", "lost")
INVOICE = reported("invoice", _month, "pi_1")
ANOTHER_INVOICE = reported("invoice 2", _month, "pi_2")


def refunded(part: int, payment: str = "pi_1") -> Step:
    """Stripe reports how much is refunded, all in all, in thousandths."""
    return reported(f"refund of {part / 10:g} %", charge, part, payment=payment)


BOUGHT = reported("purchase", revenuecat)


def rc_refund(number: int = 1, **changes: Any) -> Step:
    at = {"cancel_reason": "CUSTOMER_SUPPORT", "event_timestamp_ms": BOUGHT_AT + 2_000 * number}
    return reported(f"refund {number}", revenuecat, "CANCELLATION", **at, **changes)


RC_REVERSED = reported(
    "reversal", revenuecat, "REFUND_REVERSED", event_timestamp_ms=BOUGHT_AT + 3_000
)


def rc_period(kind: str, transaction: str) -> Step:
    ends = {"expiration_at_ms": 4_000_000_000_000 + int(transaction), "product_id": "pro"}
    return reported(kind.lower(), revenuecat, kind, transaction_id=transaction, **ends)


CHARGED = reported("one-time charge", appstore)


def apple_refund(number: int = 1, **changes: Any) -> Step:
    at = BOUGHT_AT + 2_000 * number
    return reported(f"refund {number}", appstore, "REFUND", revocationDate=at, **changes)


APPLE_REVERSED = reported("reversal", appstore, "REFUND_REVERSED", signedDate=BOUGHT_AT + 3_000)


def apple_period(kind: str, transaction: str, subtype: str | None = None) -> Step:
    parts = {
        "productId": "com.example.pro",
        "transactionId": transaction,
        "expiresDate": 4_000_000_000_000 + int(transaction),
    }
    return reported(kind.lower(), appstore, kind, subtype, **parts)


# ── Cases ────────────────────────────────────────────────────────────────────────────────────────

CASES: tuple[Case, ...] = (
    Case(
        STRIPE, "one payment, three kinds of events", (SESSION, SESSION_LATER, INTENT), (500, 0, 0)
    ),
    Case(
        STRIPE,
        "payment, refunds of 25 % and 50 %",
        (SESSION, refunded(250), refunded(500)),
        (250, 0, 0),
    ),
    Case(
        STRIPE,
        "payment, refunds in part and in full",
        (SESSION, refunded(400), refunded(1_000)),
        (0, 0, 0),
    ),
    Case(STRIPE, "payment, dispute, full refund", (SESSION, OPENED, refunded(1_000)), (0, 0, 0)),
    Case(STRIPE, "payment, lost dispute", (SESSION, OPENED, LOST), (0, 0, 0)),
    Case(STRIPE, "payment, won dispute", (SESSION, OPENED, WON), (500, 0, 0)),
    Case(
        STRIPE,
        "payment, refund of 20 %, won dispute",
        (SESSION, refunded(200), OPENED, WON),
        (400, 0, 0),
    ),
    Case(
        STRIPE,
        "payment, dispute that is won, another dispute",
        (SESSION, OPENED, WON, reported("dispute 2", dispute, "created", "lost", "dp_2")),
        (0, 0, 0),
    ),
    Case(
        STRIPE,
        "payment, inquiry that becomes a dispute",
        (
            SESSION,
            reported("inquiry", dispute, "created", "warning_needs_response"),
            reported("funds withdrawn", dispute, "funds_withdrawn", "needs_response"),
        ),
        (0, 0, 0),
    ),
    Case(
        STRIPE,
        "payment, first without its user, and a refund of 50 %",
        (reported("without user", checkout, client_reference_id=None), INTENT, refunded(500)),
        (250, 0, 0),
    ),
    Case(
        STRIPE,
        "two periods of a subscription, the first refunded",
        (
            INVOICE,
            reported("renewal", invoice, "subscription_cycle"),
            refunded(1_000),
        ),
        (300, 0, 0),
    ),
    Case(
        STRIPE,
        "payment; a job holds 120; full refund; another payment",
        (SESSION, job(), refunded(1_000), reported("payment 2", checkout, payment_intent="pi_2")),
        (380, 120, 0),
        in_order=4,
    ),
    Case(
        STRIPE,
        "payment; a job holds 120; full refund, the job fails",
        (SESSION, job(), refunded(1_000), JOB_FAILS),
        (0, 0, 0),
        in_order=2,
    ),
    Case(
        STRIPE,
        "payment; a job holds 120; won dispute",
        (SESSION, job(), OPENED, WON),
        (380, 120, 0),
        in_order=2,
    ),
    Case(
        STRIPE,
        "period; a job holds 120; the period ends; full refund, won dispute",
        (INVOICE, job(), PERIOD_ENDS, refunded(1_000), OPENED, WON),
        (0, 120, 120),
        in_order=3,
    ),
    Case(
        STRIPE,
        "period that ends unspent; full refund",
        (INVOICE, PERIOD_ENDS, refunded(1_000)),
        (0, 0, 0),
        in_order=2,
    ),
    Case(
        STRIPE,
        "two periods with one end; a job holds 120; the periods end; full refund of both",
        (INVOICE, ANOTHER_INVOICE, job(), PERIOD_ENDS, refunded(1_000), refunded(1_000, "pi_2")),
        (0, 120, 120),
        in_order=4,
    ),
    Case(
        REVENUECAT,
        "purchase, plain cancellation, transfer",
        (
            BOUGHT,
            reported("cancellation", revenuecat, "CANCELLATION", cancel_reason="UNSUBSCRIBE"),
            reported("transfer", revenuecat, "TRANSFER", transferred_to=["eve"]),
        ),
        (500, 0, 0),
    ),
    Case(REVENUECAT, "purchase, refund", (BOUGHT, rc_refund()), (0, 0, 0)),
    Case(REVENUECAT, "purchase, refund, reversal", (BOUGHT, rc_refund(), RC_REVERSED), (500, 0, 0)),
    Case(
        REVENUECAT,
        "purchase, refund, reversal, second refund",
        (BOUGHT, rc_refund(), RC_REVERSED, rc_refund(2)),
        (0, 0, 0),
    ),
    Case(
        REVENUECAT,
        "two periods of a subscription, the second refunded",
        (
            rc_period("INITIAL_PURCHASE", "1"),
            rc_period("RENEWAL", "2"),
            rc_refund(transaction_id="2"),
        ),
        (300, 0, 0),
    ),
    Case(
        REVENUECAT,
        "purchase of an anonymous user; refund, the owner applies the purchase",
        (
            reported("anonymous", revenuecat, app_user_id="$RCAnonymousID:1"),
            rc_refund(),
            happens("the owner applies it", partial(_apply, "ada")),
        ),
        (0, 0, 0),
        in_order=1,
    ),
    Case(
        REVENUECAT,
        "purchase of an unknown product; the owner adds the pack; applies it",
        (
            reported("unknown product", revenuecat, product_id="new"),
            happens("the owner adds the pack", _add_pack),
            happens("the owner applies it", partial(_apply, "ada")),
        ),
        (500, 0, 0),
        in_order=3,
    ),
    Case(
        REVENUECAT,
        "purchase; a job holds 120; refund, reversal",
        (BOUGHT, job(), rc_refund(), RC_REVERSED),
        (380, 120, 0),
        in_order=2,
    ),
    Case(APPSTORE, "purchase, full refund", (CHARGED, apple_refund()), (0, 0, 0)),
    Case(
        APPSTORE,
        "purchase, refund in part",
        (CHARGED, apple_refund(revocationType="REFUND_PRORATED", revocationPercentage=25_500)),
        (373, 0, 0),
    ),
    Case(
        APPSTORE,
        "purchase, refund, reversal",
        (CHARGED, apple_refund(), APPLE_REVERSED),
        (500, 0, 0),
    ),
    Case(
        APPSTORE,
        "purchase, refund, reversal, second refund",
        (CHARGED, apple_refund(), APPLE_REVERSED, apple_refund(2)),
        (0, 0, 0),
    ),
    Case(
        APPSTORE,
        "two periods of a subscription, the first revoked",
        (
            apple_period("SUBSCRIBED", "1"),
            apple_period("DID_RENEW", "2"),
            reported("revoke", appstore, "REVOKE", transactionId="1"),
        ),
        (300, 0, 0),
    ),
    Case(
        APPSTORE,
        "subscription, upgrade, question about the use",
        (
            apple_period("SUBSCRIBED", "1"),
            apple_period("DID_CHANGE_RENEWAL_PREF", "2", "UPGRADE"),
            reported("question", appstore, "CONSUMPTION_REQUEST", transactionId="1"),
        ),
        (600, 0, 0),
    ),
    Case(
        APPSTORE,
        "purchase; a job holds 120; refund, reversal, the job fails",
        (CHARGED, job(USER), apple_refund(), APPLE_REVERSED, JOB_FAILS),
        (500, 0, 0),
        in_order=2,
    ),
)
