"""Events: emit what was committed, from the streams of the Jobs and the Ledger table."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.events import stream


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    failed = stream.emit_all(event["Records"])
    # Lambda reads again from this record on.
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}
