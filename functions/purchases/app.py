"""What stores call when something was paid or refunded.

Nothing is parsed before it is verified. The answer is 200 once the credits have moved, or once a
purchase waits for the owner; a store repeats every other answer.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import gateway
from clipmint.errors import ClipmintError, InvalidRequest, NotFound
from clipmint.purchases import payments, stores, waiting_purchases
from clipmint.purchases.payment import Paid, Report
from clipmint.telemetry import PURCHASE_REJECTED, PURCHASE_REPORTED, count, logger

MOST_BYTES = 256_000
"""Of a body. The largest events of these stores have a few dozen kilobytes."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    store = (event.get("pathParameters") or {}).get("store", "")
    known = store if store in stores.STORES else "unknown"
    try:
        if known == "unknown":
            raise NotFound("There is no such store")
        reports = stores.read(store, gateway.headers_of(event), _raw(event))
        results = [_apply(report) for report in reports]
    except ClipmintError as error:
        count(PURCHASE_REJECTED, store=known)
        logger.warning("purchase rejected", extra={"code": error.code, "details": error.details})
        return gateway.response(gateway.status_of(error), error.body(), error.headers)
    if results:
        count(PURCHASE_REPORTED, store=store)
    return gateway.response(HTTPStatus.OK, {"results": results})


def _apply(report: Report) -> str:
    try:
        changed = payments.apply(report)
    except payments.NotApplied as refused:
        waiting_purchases.keep(report, refused.reason)
        return "waiting"
    if isinstance(report.fact, Paid):
        # After a crash before this, the store reports the payment again.
        waiting_purchases.no_longer(report)
    extra = {"store": report.store, "event_id": report.event_id, "payment_id": report.payment_id}
    logger.info("purchase reported", extra=extra | {"changed": changed})
    return "applied" if changed else "known"


def _raw(event: dict[str, Any]) -> bytes:
    raw = gateway.raw_body(event, InvalidRequest("The body is unreadable"))
    if len(raw) > MOST_BYTES:
        raise InvalidRequest("The body is too large", details=f"At most {MOST_BYTES} bytes")
    return raw
