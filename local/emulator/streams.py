"""Streams of tables: a batch of which records failed is passed again.

Upstream takes each batch whose function returned for done. AWS reads again from the first record in
``batchItemFailures`` on. Here the whole batch is passed again, so records before it come twice, as
they may on AWS, too.
"""

from typing import Any

from ministack.services import lambda_svc

from local.emulator.settings import Settings
from local.emulator.upstream import corrects


def apply(settings: Settings) -> None:
    """Put the correction in place."""
    del settings

    @corrects(lambda_svc, "_execute_function", digest="3ceb16d6480a")
    def execute(original: Any, function: dict[str, Any], event: Any) -> dict[str, Any]:
        answer: dict[str, Any] = original(function, event)
        if not _of_stream(event) or answer.get("error"):
            return answer
        body = answer.get("body")
        failures = body.get("batchItemFailures") if isinstance(body, dict) else None
        if not failures:
            return answer
        error = {"errorType": "BatchItemFailures", "errorMessage": f"{len(failures)} records"}
        return {**answer, "error": True, "body": error}


def _of_stream(event: Any) -> bool:
    records = (event.get("Records") if isinstance(event, dict) else None) or [{}]
    return bool(records[0].get("eventSource") == "aws:dynamodb")
