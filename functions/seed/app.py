"""CloudFormation's custom resource that puts the default catalog into a new Models table."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.catalog import model_store
from clipmint.telemetry import logger

PHYSICAL_ID = "clipmint-default-catalog"


def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001
    status, reason, added = "SUCCESS", "", []
    try:
        if event["RequestType"] != "Delete":
            added = model_store.seed()
            logger.info("catalog seeded", extra={"added": added})
    except Exception as error:  # noqa: BLE001  (reported, with its trace in the log)
        # CloudFormation waits an hour for an answer that never comes: it always gets one.
        logger.exception("seeding failed")
        status, reason = "FAILED", type(error).__name__
    _respond(event, status, reason, added)


def _respond(event: dict[str, Any], status: str, reason: str, added: list[str]) -> None:
    body = json.dumps(
        {
            "Status": status,
            "Reason": reason or "See the function's log",
            "PhysicalResourceId": event.get("PhysicalResourceId", PHYSICAL_ID),
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
            "Data": {"Added": ",".join(added)},
        }
    ).encode()
    # The URL is CloudFormation's own presigned one; it must be sent without a content type.
    request = urllib.request.Request(  # noqa: S310
        event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass
