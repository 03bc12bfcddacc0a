"""What the PynamoDB models of all tables have in common.

The models are in the packages that own the items: `credits.ledger_items`, `jobs.job_items`,
`projects.project_items`, `catalog.model_store` and `media.uploads`. They have no
behaviour: the stores write them with conditions, and turn them into values.
"""

from __future__ import annotations

import os

from clipmint import aws


def name_in(variable: str) -> str:
    """The name of the table in an environment variable, which holds a name or an ARN.

    The template passes the ARN of a table that was restored, because policies need it, too.
    """
    return os.environ[variable].rpartition("/")[2]


class FromEnvironment:
    """A table name that is read when it is used, so that importing a model needs no environment."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def __get__(self, instance: object, owner: object) -> str:
        return name_in(self._variable)


class TableMeta:
    """The limits of a table's client. Base of the ``Meta`` of every model."""

    connect_timeout_seconds = aws.TABLES.connect_seconds
    read_timeout_seconds = aws.TABLES.read_seconds
    max_retry_attempts = aws.TABLES.attempts - 1
