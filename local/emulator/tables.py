"""DynamoDB: a transaction is as large as its items.

Upstream measures the request's JSON with every character outside ASCII escaped, so that a
transaction of another alphabet is refused at a third of what AWS takes. AWS adds up the items: the
UTF-8 bytes of names and strings, and the sizes of the other types.
"""

import sys
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import dynamodb

from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
TOO_LARGE = "Transaction request exceeds the 4MB transaction size limit"
# What an action of a transaction contains of an item: all of it, its key, or its new values.
PARTS = ("Item", "Key", "ExpressionAttributeValues")


def transaction_bytes(request: dict[str, Any]) -> int:
    """The size of what a TransactWriteItems request has of its items."""
    return sum(
        dynamodb._item_size_bytes(action[part])
        for member in request.get("TransactItems") or ()
        for action in member.values()
        for part in PARTS
        if part in action
    )


def apply(settings: Settings) -> None:
    """Put the correction in place."""
    del settings

    @corrects(dynamodb, "_transact_write_items", digest="d931eab08754")
    def transact_write_items(original: Any, request: dict[str, Any]) -> Any:
        if transaction_bytes(request) > MAX_TRANSACTION_BYTES:
            return error_response_json("ValidationException", TOO_LARGE, 400)
        return original(request)

    # Upstream's own check, which its digest covers, no longer decides.
    dynamodb._DDB_TXN_MAX_BYTES = sys.maxsize
