"""POST /v1/images: a form for one image, and the project that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from clipmint import clock
from clipmint.media import storage, uploads
from functions.projects.app import handler
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller
from tests.support.moto_aws import IMAGES_BUCKET, IMAGES_URL, Aws


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler)


@pytest.mark.parametrize("content_type", sorted(storage.IMAGE_EXTENSIONS))
def test_a_form_comes_with_a_project_that_shows_its_image(
    aws: Aws, call: Caller, content_type: str
) -> None:
    answer = call("POST", "/v1/images", body={"content_type": content_type})
    assert answer.status == 201
    upload = answer.body["upload"]
    assert upload["fields"]["Content-Type"] == content_type
    assert answer.body["image_url"] == f"{IMAGES_URL}/{upload['fields']['key']}"
    prefix = storage.upload_prefix("user-1", answer.body["project_id"])
    assert upload["fields"]["key"].startswith(prefix)
    left = clock.from_iso(upload["expires_at"]) - clock.now()
    assert 0 < left.total_seconds() <= uploads.FORM_SECONDS
    project = call("GET", answer.headers["location"]).body
    assert project["project_id"] == answer.body["project_id"]
    assert (project["image_url"], project["scenes"]) == (answer.body["image_url"], [])
    assert project["resolution"] == "720:1280"


def test_the_projects_resolution_may_be_chosen(aws: Aws, call: Caller) -> None:
    body = {"content_type": "image/png", "resolution": "1280:720"}
    answer = call("POST", "/v1/images", body=body)
    assert call("GET", answer.headers["location"]).body["resolution"] == "1280:720"


def test_two_forms_are_two_projects(aws: Aws, call: Caller) -> None:
    answers = [call("POST", "/v1/images", body={"content_type": "image/png"}) for _ in range(2)]
    assert len({answer.body["project_id"] for answer in answers}) == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_REQUEST"),
        ({"content_type": "image/gif"}, "INVALID_REQUEST"),
        ({"content_type": "image/svg+xml"}, "INVALID_REQUEST"),
        ({"content_type": "IMAGE/PNG"}, "INVALID_REQUEST"),
        ({"content_type": ["image/png"]}, "INVALID_REQUEST"),
        ({"content_type": "image/png", "key": "uploads/mine.png"}, "INVALID_REQUEST"),
        ({"content_type": "image/png", "resolution": "1:1"}, "RESOLUTION_NOT_ALLOWED"),
    ],
)
def test_a_request_for_another_kind_of_file_makes_nothing(
    aws: Aws, call: Caller, body: dict[str, Any], code: str
) -> None:
    answer = call("POST", "/v1/images", body=body)
    assert (answer.status, answer.code) == (400, code)
    assert aws.items("PROJECTS_TABLE") == []


def test_deleting_the_project_deletes_its_image(aws: Aws, call: Caller) -> None:
    made = call("POST", "/v1/images", body={"content_type": "image/png"})
    key = made.body["upload"]["fields"]["key"]
    aws.s3.put_object(Bucket=IMAGES_BUCKET, Key=key, Body=b"bytes")
    assert call("DELETE", made.headers["location"]).status == 204
    assert "Contents" not in aws.s3.list_objects_v2(Bucket=IMAGES_BUCKET)


def test_more_forms_than_the_owner_allows_in_an_hour_are_refused(
    aws: Aws, call: Caller, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_UPLOADS_PER_HOUR", "2")
    hands.to_next_hour()
    hands.forward(minutes=40)

    def ask(user: str = "user-1") -> Answer:
        return call("POST", "/v1/images", user=user, body={"content_type": "image/png"})

    assert [ask().status for _ in range(2)] == [201, 201]
    refused = ask()
    assert (refused.status, refused.code) == (429, "RATE_LIMITED")
    limits = {name: value for name, value in refused.headers.items() if "rate" in name}
    assert limits == {
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "1200",
    }
    assert refused.headers["retry-after"] == "1200"
    assert len(aws.items("PROJECTS_TABLE")) == 2
    # Another user, and the next hour.
    assert ask("user-2").status == 201
    hands.forward(minutes=20)
    assert ask().status == 201


def test_a_refused_form_is_not_counted_and_the_counts_expire(
    aws: Aws, call: Caller, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_UPLOADS_PER_HOUR", "1")
    body = {"content_type": "image/png", "resolution": "1:1"}
    assert call("POST", "/v1/images", body=body).status == 400
    assert call("POST", "/v1/images", body=body | {"resolution": "1280:720"}).status == 201
    [count] = aws.items("IDEMPOTENCY_TABLE")
    left = int(count["expiration"]["N"]) - clock.epoch(clock.now())
    assert 3_600 <= left <= 7_200
