"""DynamoDB: the size of a transaction is the size of its items.

Upstream measures the request's JSON with every character outside ASCII escaped, so it rejects a
transaction in another alphabet at a third of the size that AWS accepts. AWS adds the sizes of the
items: the UTF-8 bytes of names and strings, and the sizes of the other types.
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
# The parts of an item in an action of a transaction: the whole item, its key, or its new values.
PARTS = ("Item", "Key", "ExpressionAttributeValues")


def transaction_bytes(request: dict[str, Any]) -> int:
    """The size in bytes of the items, keys and values in a TransactWriteItems request."""
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

    # Disable upstream's own check, which is part of the digest.
    dynamodb._DDB_TXN_MAX_BYTES = sys.maxsize
