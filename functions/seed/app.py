"""CloudFormation's custom resource that ends a deployment.

It checks the parameter ``ProviderOverrides``, so that a malformed value fails the deployment and is
rolled back, and adds the default models that this installation has never had: as they are in the
first deployment, switched off in an update. It returns ``Release``, a digest of its properties: the
functions publish a version whenever it changes.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.catalog import seeding
from clipmint.providers import registry
from clipmint.telemetry import logger

PHYSICAL_ID = "clipmint-default-catalog"
# Ours alone; CloudFormation adds these, and they do not change what a function does.
OF_CLOUDFORMATION = ("ServiceToken", "ServiceTimeout")
MAX_REASON = 1000
"""Characters; CloudFormation accepts responses of at most 4,096 bytes."""


def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001
    status, reason, added = "SUCCESS", "", []
    try:
        if event["RequestType"] != "Delete":
            # Absent when CloudFormation rolls back to a template that did not pass it.
            overrides = event["ResourceProperties"].get("ProviderOverrides", "{}")
            registry.check_overrides(overrides)
            # CloudFormation repeats an event with the same type until it has an answer.
            added = seeding.seed(first_deployment=event["RequestType"] == "Create")
            logger.info("catalog seeded", extra={"added": added})
    except registry.InvalidOverrides as error:
        logger.exception("provider overrides are invalid")
        status, reason = "FAILED", f"ProviderOverrides: {error}"[:MAX_REASON]
    except Exception as error:  # noqa: BLE001  (reported to CloudFormation, and logged)
        # Without a response CloudFormation waits for an hour, so report every error.
        logger.exception("seeding failed")
        status, reason = "FAILED", type(error).__name__
    _respond(event, status, reason, added)


def release(properties: dict[str, Any]) -> str:
    """The digest of the properties of the custom resource, in 12 hexadecimal digits."""
    own = {name: value for name, value in properties.items() if name not in OF_CLOUDFORMATION}
    text = json.dumps(own, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _respond(event: dict[str, Any], status: str, reason: str, added: list[str]) -> None:
    body = json.dumps(
        {
            "Status": status,
            "Reason": reason or "See the function's log",
            "PhysicalResourceId": event.get("PhysicalResourceId", PHYSICAL_ID),
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
            "Data": {"Added": ",".join(added), "Release": release(event["ResourceProperties"])},
        }
    ).encode()
    # CloudFormation has presigned the URL without a content type, so send none.
    request = urllib.request.Request(  # noqa: S310
        event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass
