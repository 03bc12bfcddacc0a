"""Test stores for the local stack: the secrets by which Clipmint verifies them, and signatures.

The values are public, so they are of use on this computer only.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from local import app_store
from local.running import RunningStack

STRIPE_SECRET = "whsec_of_the_local_stack"  # noqa: S105  (see above)
REVENUECAT_AUTHORIZATION = "the-text-of-the-local-stack"
SECRETS: Mapping[str, str] = {
    "STRIPE_WEBHOOK_SECRETS": STRIPE_SECRET,
    "REVENUECAT_AUTHORIZATIONS": REVENUECAT_AUTHORIZATION,
    "APPSTORE_APPS": f"{app_store.BUNDLE_ID}/{app_store.APPLE_ID}",
    "APPSTORE_ROOTS": app_store.APPLE.root,
}
"""The owner's secret of the stores, as docs/purchases.md describes it."""


def connect(stack: RunningStack) -> None:
    """Write the secret of the stores of a stack. Its functions read it within five minutes."""
    [found] = stack.boto3("cloudformation").describe_stacks()["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
    stack.boto3("secretsmanager").put_secret_value(
        SecretId=outputs["StoreSecretsArn"], SecretString=json.dumps(SECRETS)
    )


def _stripe(event: str) -> str:
    """The header of an event, which the official package computes."""
    import stripe  # noqa: PLC0415  (takes a second; no other command needs it)

    made = stripe.WebhookSignature.generate_signature_header(event, STRIPE_SECRET, int(time.time()))
    return f"Stripe-Signature: {made}"


def _revenuecat(event: str) -> str:
    """The header of an event, which is the same for all of them."""
    del event
    return f"Authorization: {REVENUECAT_AUTHORIZATION}"


def _appstore(event: str) -> str:
    """The body of a notification."""
    found: dict[str, Any] = json.loads(event)
    return json.dumps({"signedPayload": app_store.notification(found, time.time())})


SIGN: Mapping[str, Callable[[str], str]] = {
    "stripe": _stripe,
    "revenuecat": _revenuecat,
    "appstore": _appstore,
}
"""By store: from an event, the header that proves it, or for the App Store the signed body."""
