"""App Store Server Notifications V2:
https://developer.apple.com/documentation/appstoreservernotifications.

Apple signs a notification, and also the transaction inside it. Apple's library verifies both: the
chain of certificates up to Apple's root, their purpose, the signature, the app and the environment.
A chain must be valid at the time of signing, because Apple repeats a notification for days. The
library's online checks stay off: they ask Apple about revoked certificates while Apple waits, so
an outage there would stop all purchases. An old notification that is sent again moves no credits
twice.

A payment is a transaction: its id identifies it. The user is ``appAccountToken``, which the app
sets when it buys.

Assumptions, which Apple's documentation does not settle for credits:

- An upgrade that takes effect immediately is a new, paid transaction, so it is credited; a
  downgrade takes effect with the next renewal.
- A trial and a free offer are not paid. What a family member shares changes nothing for the others,
  neither when it begins nor when it is revoked.
- ``revocationPercentage`` counts thousandths of a percent. The reversal of a refund in part returns
  nothing by itself.
- Of a refund and a reversal the later one counts: the time of a refund is ``revocationDate``, that
  of a reversal is when its notification was signed.
"""

from __future__ import annotations

import ssl
import uuid
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clipmint.errors import InvalidRequest, WebhookNotProven
from clipmint.purchases.payment import Paid, Refunded, Report, Withdrawn
from clipmint.purchases.reading import fits, json_object, moment

if TYPE_CHECKING:
    from appstoreserverlibrary.models.JWSTransactionDecodedPayload import (
        JWSTransactionDecodedPayload as Transaction,
    )
    from appstoreserverlibrary.models.ResponseBodyV2DecodedPayload import (
        ResponseBodyV2DecodedPayload as Notification,
    )
    from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier

SECRETS = "APPSTORE_APPS"
"""Each value is ``{bundle id}/{Apple id of the app}``, such as ``com.example.app/1234567890``."""

TESTERS = "APPSTORE_TESTERS"
ROOTS = "APPSTORE_ROOTS"
"""Root certificates instead of Apple's, each as base64 of its DER form."""

PURCHASES = frozenset({"ONE_TIME_CHARGE", "SUBSCRIBED", "DID_RENEW"})
UPGRADES = frozenset({"DID_CHANGE_RENEWAL_PREF", "OFFER_REDEEMED"})
"""They report a purchase if their subtype is ``UPGRADE``."""

WHOLE = 100_000
"""``revocationPercentage`` of a whole refund."""

_ROOT = Path(__file__).with_name("apple_root_ca_g3.pem")


class _Verified(NamedTuple):
    """A notification, its transaction if it has one, and whether both are of the sandbox."""

    notification: Notification
    transaction: Transaction | None
    in_sandbox: bool


def read(
    headers: Mapping[str, str],  # noqa: ARG001  (as for the other stores)
    raw: bytes,
    secrets: Mapping[str, Sequence[str]],
) -> list[Report]:
    """What a notification reports; nothing for one that moves no credits.

    Notifications of the sandbox count only for users who are testers.

    Raises
    ------
    WebhookNotProven
        Apple has not signed it, or not for one of the owner's apps.
    InvalidRequest
        The body is not ``{"signedPayload": "…"}``, or what Apple has signed is no notification.
    """
    signed = json_object(raw).get("signedPayload")
    if not isinstance(signed, str):
        raise InvalidRequest("The body has no signedPayload")
    notification, transaction, in_sandbox = _verify(signed, secrets)
    if transaction is None or not transaction.transactionId:
        return []
    if not fits(f"{transaction.transactionId}{transaction.productId}"):
        raise InvalidRequest("What Apple has signed has an impossible id")
    user = _user(transaction.appAccountToken)
    if in_sandbox and user not in secrets[TESTERS]:
        return []
    fact = _fact(notification, transaction, user)
    if fact is None:
        return []
    event_id = notification.notificationUUID or ""
    return [Report("appstore", event_id, transaction.transactionId, fact)]


def _verify(signed: str, secrets: Mapping[str, Sequence[str]]) -> _Verified:
    # Only this request needs the library: importing it takes longer than all of a Stripe request.
    from appstoreserverlibrary.signed_data_verifier import (  # noqa: PLC0415
        VerificationException,
        VerificationStatus,
    )
    from cattrs.errors import BaseValidationError  # noqa: PLC0415

    of_another = {VerificationStatus.INVALID_APP_IDENTIFIER, VerificationStatus.INVALID_ENVIRONMENT}
    try:
        for verifier, in_sandbox in _verifiers(secrets):
            try:
                notification = verifier.verify_and_decode_notification(signed)
            except VerificationException as error:
                if error.status in of_another:
                    continue  # signed by Apple: perhaps for the next app or environment
                raise
            data = notification.data
            inner = data.signedTransactionInfo if data else None
            transaction = verifier.verify_and_decode_signed_transaction(inner) if inner else None
            return _Verified(notification, transaction, in_sandbox)
    except VerificationException as error:
        raise WebhookNotProven("Apple has not signed this", details=error.status.name) from None
    except BaseValidationError:
        raise InvalidRequest("What Apple has signed is not a notification") from None
    raise WebhookNotProven("The notification is of another app or environment")


def _verifiers(secrets: Mapping[str, Sequence[str]]) -> Iterator[tuple[SignedDataVerifier, bool]]:
    """A verifier of each app and environment, and whether it is that of the sandbox."""
    from appstoreserverlibrary.models.Environment import Environment  # noqa: PLC0415
    from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier  # noqa: PLC0415

    trusted = roots(secrets[ROOTS])
    for app in secrets[SECRETS]:
        bundle_id, _, apple_id = app.partition("/")
        if not (apple_id.isascii() and apple_id.isdigit()):
            raise WebhookNotProven("This store is not connected", details=f"See {SECRETS}")
        for environment in (Environment.PRODUCTION, Environment.SANDBOX):
            verifier = SignedDataVerifier(trusted, False, environment, bundle_id, int(apple_id))
            yield verifier, environment is Environment.SANDBOX


def roots(configured: Sequence[str]) -> list[bytes]:
    """The root certificates to trust, in DER: those of the owner's secret, or else Apple's.

    Raises `WebhookNotProven` if the secret contains something else.
    """
    try:
        found = [b64decode(root, validate=True) for root in configured]
    except ValueError:
        raise WebhookNotProven("This store is not connected", details=f"See {ROOTS}") from None
    return found or [ssl.PEM_cert_to_DER_cert(_ROOT.read_text())]


def _user(token: str | None) -> str | None:
    """The user in an ``appAccountToken``, which is a UUID. Apps may write it in upper case, and
    Cognito's ids are in lower case."""
    try:
        return str(uuid.UUID(token)) if token else None
    except ValueError:
        return None


def _fact(
    notification: Notification, transaction: Transaction, user: str | None
) -> Paid | Refunded | Withdrawn | None:
    kind = notification.rawNotificationType or ""
    if transaction.rawInAppOwnershipType == "FAMILY_SHARED":
        return None  # one member of the family has paid, and each has notifications
    if kind == "REFUND":
        part = transaction.revocationPercentage or WHOLE
        is_part = transaction.rawRevocationType == "REFUND_PRORATED" and 0 < part < WHOLE
        if is_part:
            return Refunded(part, WHOLE)
    if kind in {"REFUND", "REVOKE"}:
        return Withdrawn(at=transaction.revocationDate or 0)
    if kind == "REFUND_REVERSED":
        return Withdrawn(returned=True, at=notification.signedDate or 0)
    upgrade = kind in UPGRADES and notification.rawSubtype == "UPGRADE"
    if not (kind in PURCHASES or upgrade) or not _is_paid(transaction):
        return None
    return Paid(transaction.productId, user, moment((transaction.expiresDate or 0) / 1_000))


def _is_paid(transaction: Transaction) -> bool:
    return transaction.rawOfferDiscountType != "FREE_TRIAL" and transaction.price != 0
