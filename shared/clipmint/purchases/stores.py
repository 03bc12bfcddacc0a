"""The stores that report purchases, and the secrets by which they prove themselves.

The secret is a JSON object that only the owner writes. Each value is a text with one or several
values, separated by spaces, so that a secret can be rotated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clipmint.errors import WebhookNotProven, try_again
from clipmint.providers.keys import KeysUnreadable, OwnerKeys, read_secret
from clipmint.purchases import appstore, revenuecat, stripe
from clipmint.purchases.payment import Report
from clipmint.settings import StoreSettings
from clipmint.telemetry import STORE_SECRETS_UNREADABLE, count, logger

Read = Callable[[Mapping[str, str], bytes, Mapping[str, Sequence[str]]], list[Report]]

STORES: Mapping[str, tuple[str, Read]] = {
    "stripe": (stripe.SECRETS, stripe.read),
    "revenuecat": (revenuecat.SECRETS, revenuecat.read),
    "appstore": (appstore.SECRETS, appstore.read),
}
"""By the name in the path: the member of the secret, and the reader of the store's webhooks."""

_NAMES = (
    stripe.SECRETS,
    stripe.TESTERS,
    revenuecat.SECRETS,
    revenuecat.TESTERS,
    appstore.SECRETS,
    appstore.TESTERS,
    appstore.ROOTS,
)
_PROOFS = (stripe.SECRETS, revenuecat.SECRETS)
"""Members by whose values a store proves itself. The App Store does by certificates."""

SHORTEST_SECRET = 16
"""Of a value that proves a store, in characters."""


def _read_secrets() -> Mapping[str, str]:
    found = read_secret(_NAMES, StoreSettings.read().store_secrets_arn)
    for name in _PROOFS:
        # "Bearer some-text" is two values, and the first is easy to guess.
        if any(len(value) < SHORTEST_SECRET for value in found[name].split()):
            raise KeysUnreadable(f"{name}: a value has less than {SHORTEST_SECRET} characters")
    return found


def _new_keys() -> OwnerKeys:
    return OwnerKeys(_read_secrets, _report)


def _report(error: KeysUnreadable) -> None:
    count(STORE_SECRETS_UNREADABLE)  # raises the owner's alarm
    logger.exception("store secrets could not be read", extra={"detail": str(error)})


class _InUse:
    """The secrets that this process has read."""

    def __init__(self) -> None:
        self.keys = _new_keys()


_in_use = _InUse()


def forget() -> None:
    """Forget the secrets, as a new process has none."""
    _in_use.keys = _new_keys()


def read(store: str, headers: Mapping[str, str], raw: bytes) -> list[Report]:
    """What a store's webhook reports.

    Raises
    ------
    WebhookNotProven
        It is not from that store, or the owner has not connected it.
    InvalidRequest
        It is proven, and not an event of the store.
    TemporarilyUnavailable
        The secrets cannot be read.
    """
    member, read_webhook = STORES[store]
    try:
        found = _in_use.keys.current()
    except KeysUnreadable:
        raise try_again("The secrets of the stores cannot be read") from None
    secrets = {name: tuple(value.split()) for name, value in found.items()}
    if not secrets.get(member):
        raise WebhookNotProven("This store is not connected")
    return read_webhook(headers, raw, secrets)
