"""Snapshots of an account in process: the content of its tables and buckets, read without our
code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends

from tests.support import streams
from tests.support.invariants import Snapshot
from tests.support.moto_aws import Aws

_reader = TypeDeserializer()


def items(aws: Aws, table: str) -> list[dict[str, Any]]:
    """A table's items without their type marks; ``table`` is the variable that names it.

    Read from moto's memory: reading by its API this often takes longer than the code under test.
    """
    backend = dynamodb_backends[DEFAULT_ACCOUNT_ID][aws.dynamodb.meta.region_name]
    return [
        {name: _reader.deserialize(value) for name, value in found.to_json()["Attributes"].items()}
        for found in backend.get_table(os.environ[table]).all_items()
    ]


def versions(table: str, region: str, sk: str) -> list[dict[str, Any]]:
    """Every version of the items of a table with this sort key, by the table's stream."""
    return [
        {name: _reader.deserialize(value) for name, value in new.items()}
        for record in streams.records(table, region)
        if (new := record["dynamodb"].get("NewImage")) and new["sk"] == {"S": sk}
    ]


def files() -> dict[tuple[str, str], str]:
    """SHA-256 in hex of every object, by bucket and key; read from moto's memory as `items` are."""
    return {
        (bucket.name, key): hashlib.sha256(stored.value).hexdigest()
        for bucket in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.values()
        for key, stored in bucket.keys.items()
    }


def snapshots(
    aws: Aws, users: Iterable[str], paid: Mapping[tuple[str, str], int]
) -> list[Snapshot]:
    """Every one of these users, now."""
    ledger, jobs, objects = items(aws, "LEDGER_TABLE"), items(aws, "JOBS_TABLE"), files()
    projects = items(aws, "PROJECTS_TABLE")
    made = []
    for user in users:
        lines = [item for item in ledger if item["user_id"] == user]
        own = [job for job in jobs if job["user_id"] == user]
        ids = {job["job_id"] for job in own}
        made.append(
            Snapshot(
                user_id=user,
                account=next((item for item in lines if item["sk"] == "ACCOUNT"), None),
                entries=[item for item in lines if item["sk"].startswith("ENTRY#")],
                jobs=own,
                objects={key: sha for key, sha in objects.items() if ids & set(key[1].split("/"))},
                paid={key: times for key, times in paid.items() if key[0] in ids},
                projects=[item for item in projects if item["user_id"] == user],
            )
        )
    return made
