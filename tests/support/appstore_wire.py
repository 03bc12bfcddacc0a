"""Notifications of the App Store, signed by an authority of this repository (`local.app_store`)."""

from __future__ import annotations

import json
import uuid
from typing import Any

from clipmint import clock
from local.app_store import APPLE, APPLE_ID, BUNDLE_ID, Signer

__all__ = ["APPLE", "APPLE_ID", "BUNDLE_ID", "Signer"]

USER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
TESTER = "0a7c1f0e-52d4-4a53-9f0a-6f2f6f3a1b11"
SECRETS = {
    "APPSTORE_APPS": f"com.example.other/987654321 {BUNDLE_ID}/{APPLE_ID}",
    "APPSTORE_TESTERS": TESTER,
    "APPSTORE_ROOTS": APPLE.root,
}


def transaction(**changes: Any) -> dict[str, Any]:
    """A transaction with the members of Apple's documentation that we read, and some more."""
    made: dict[str, Any] = {
        "transactionId": "2000000123456789",
        "originalTransactionId": "2000000123456789",
        "bundleId": BUNDLE_ID,
        "productId": "credits-500",
        "purchaseDate": 1_795_168_790_000,
        "quantity": 1,
        "type": "Consumable",
        "appAccountToken": USER,
        "inAppOwnershipType": "PURCHASED",
        "signedDate": int(clock.seconds() * 1_000),
        "environment": "Production",
        "price": 4_990,
        "currency": "USD",
    }
    return made | changes


def signed(
    kind: str,
    subtype: str | None = None,
    *,
    signer: Signer = APPLE,
    inner_signer: Signer | None = None,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A notification of a kind: ``changes`` are of its transaction, ``data`` of what is beside."""
    environment = changes.get("environment", "Production")
    inner = (inner_signer or signer).sign(transaction(**changes))
    beside: dict[str, Any] = {
        "bundleId": changes.get("bundleId", BUNDLE_ID),
        "bundleVersion": "1",
        "environment": environment,
        "signedTransactionInfo": inner,
    }
    if environment == "Production":
        beside["appAppleId"] = APPLE_ID  # the sandbox has none
    name = f"{kind} {subtype} {sorted(changes.items())}"
    payload = {
        "notificationType": kind,
        "notificationUUID": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "version": "2.0",
        "signedDate": changes.get("signedDate", int(clock.seconds() * 1_000)),
        "data": beside | (data or {}),
    }
    return signer.sign(payload | ({"subtype": subtype} if subtype else {}))


def body(payload: str) -> str:
    """The body in which Apple sends it."""
    return json.dumps({"signedPayload": payload})
