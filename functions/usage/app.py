"""Usage: count ended jobs and orphans, from the stream of the Jobs table."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.usage import counting


def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001
    # After an error Lambda passes the records again. Those that were counted are not counted again.
    counting.count_all(event["Records"])
