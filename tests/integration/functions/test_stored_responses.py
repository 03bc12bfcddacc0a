"""Responses that an earlier version of generate has stored are repeated by this one.

An update of a stack must not turn a client's retry into a new call: the record's id, the hash of
the request and the stored JSON are a format that two versions share.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from clipmint.credits import grants
from functions.generate.app import handler
from tests.support.gateway import Caller
from tests.support.moto_aws import Aws

PROJECT = "0b54ad9c-6f2b-4f31-9d5e-0d6f1a7c2b11"
SCENE = "5c1f7a52-8f0e-4c57-b8f3-2a9d4e6b7c22"
OTHER_SCENE = "9e2d3c41-7a6b-4d58-a1c2-3b4d5e6f7a33"


@dataclass(frozen=True)
class Stored:
    """A call of ``user-1``, and the record that the first version of generate stored for it."""

    key: str
    path: str
    body: dict[str, Any]
    location: str
    record_id: str
    validation: str
    data: dict[str, Any]


STORED = (
    Stored(
        key="key-1",
        path="/v1/videos",
        body={"model_id": "veo-3.1", "prompt": "a fox in the snow"},
        location="/v1/videos/e26d1b1f-be04-5deb-967e-0193ee8a4cd3",
        record_id="bdee140c7cd7b02c356aa99eb1df8d05cd0f1ce71f0a8547a4f7b83d55c2adf2",
        validation="03d835d55523beccf13bd017a0a4230e0199592628d74d36a31f0af1a831d976",
        data={
            "job_id": "e26d1b1f-be04-5deb-967e-0193ee8a4cd3",
            "status": "pending",
            "credits_used": 32,
            "credits_remaining": 968,
            "replayed": False,
        },
    ),
    Stored(
        key="key-2",
        path=f"/v1/scenes/{SCENE}/video",
        body={},
        location="/v1/videos/2dee3c6b-c511-5067-b64e-fe416090296d",
        record_id="90115b603fdaddde8d3018cbb29327b8808525f1ee6a5f93897fe56b55864f24",
        validation="4ab5af095cafd7024e99aecba262149be4d75f77f930d36639b542f1a60878a0",
        data={
            "job_id": "2dee3c6b-c511-5067-b64e-fe416090296d",
            "status": "pending",
            "credits_used": 5,
            "credits_remaining": 963,
            "project_id": PROJECT,
            "scene_id": SCENE,
            "prices": {"generate_image": 1, "generate_scene": 4},
            "replayed": False,
        },
    ),
    Stored(
        key="key-3",
        path=f"/v1/projects/{PROJECT}/clips",
        body={"scene_ids": [OTHER_SCENE]},
        location=f"/v1/projects/{PROJECT}/clips",
        record_id="9def02d38b8ff04aa360bd4d106cf2afac335ecc24b476ebf46fb81bd8d14960",
        validation="f2256dd9679ee4330cd175fda7732556ea639c6e960b4e53f3a225a59430886b",
        data={
            "project_id": PROJECT,
            "clips": [
                {
                    "scene_id": OTHER_SCENE,
                    "job_id": "82050b34-289a-5951-8266-df95772bd288",
                    "status": "pending",
                    "credits_used": 16,
                }
            ],
            "credits_used": 16,
            "credits_remaining": 947,
            "remaining": 0,
            "replayed": False,
        },
    ),
)


def put(aws: Aws, stored: Stored) -> None:
    aws.dynamodb.put_item(
        TableName="IdempotencyTable",
        Item={
            "id": {"S": f"generate#{stored.record_id}"},
            "status": {"S": "COMPLETED"},
            "expiration": {"N": str(int(time.time()) + 3_600)},
            "in_progress_expiration": {"N": str(int(time.time() * 1_000))},
            "validation": {"S": stored.validation},
            "data": {"S": json.dumps(stored.data, sort_keys=True)},
        },
    )


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.key)
def test_a_response_that_an_earlier_version_stored_is_repeated(aws: Aws, stored: Stored) -> None:
    put(aws, stored)
    headers = {"Idempotency-Key": stored.key}
    response = Caller(handler)("POST", stored.path, body=stored.body, headers=headers)
    assert response.status == 202
    assert response.body == {k: v for k, v in stored.data.items() if k != "replayed"}
    assert response.headers["x-idempotent-replay"] == "true"
    assert response.headers["location"] == stored.location
    assert aws.items("JOBS_TABLE") == []


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.key)
def test_a_key_with_a_stored_response_is_refused_for_another_request(
    aws: Aws, stored: Stored
) -> None:
    put(aws, stored)
    other = {**stored.body, "model_id": "gen4-turbo"}
    headers = {"Idempotency-Key": stored.key}
    response = Caller(handler)("POST", stored.path, body=other, headers=headers)
    assert (response.status, response.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert aws.items("JOBS_TABLE") == []


def test_a_new_record_has_the_format_of_the_earlier_version(aws: Aws) -> None:
    grants.grant("user-1", 1_000, "purchase-1")
    stored = STORED[0]
    headers = {"Idempotency-Key": stored.key}
    assert Caller(handler)("POST", stored.path, body=stored.body, headers=headers).status == 202
    [record] = aws.items("IDEMPOTENCY_TABLE")
    assert record["id"] == {"S": f"generate#{stored.record_id}"}
    assert record["validation"] == {"S": stored.validation}
    assert json.loads(record["data"]["S"]) == stored.data
