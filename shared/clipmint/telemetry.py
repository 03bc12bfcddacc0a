"""Logs and metrics: structured, and free of secrets.

Nothing that could spend money or open a door is ever logged: no tokens, no provider keys, no
webhook URLs, no prompts. A job is named by its id.
"""

from __future__ import annotations

import logging

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

logger = Logger()

# At DEBUG these log whole requests and answers, the owner's keys and task tokens among them, and
# Lambda's own log level would set them to it.
for _library in ("boto3", "botocore", "httpcore", "httpx", "pynamodb", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)


def count(name: str, **dimensions: str) -> None:
    """Add one to a CloudWatch metric, by an embedded-metric line in the log."""
    with single_metric(name=name, unit=MetricUnit.Count, value=1) as metric:
        for key, value in dimensions.items():
            metric.add_dimension(name=key, value=value)
