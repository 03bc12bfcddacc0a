"""Upload and delivery of an image: a presigned form that S3 enforces, and the distribution.

ministack does both as AWS does. What is ours is the distribution's own port.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from local.stack import Stack

TYPE = "image/png"
FIXED = {"Content-Type": TYPE, "Cache-Control": "no-cache"}
LARGEST = 1_000
IMAGE = b"not really a picture"


def form(stack: Stack, *, seconds: int = 60) -> tuple[str, dict[str, str]]:
    """Where to post, and the fields of a form for one object of one type."""
    made: dict[str, Any] = stack.boto3("s3").generate_presigned_post(
        stack.buckets["Pictures"],
        f"uploads/{uuid.uuid4()}.png",
        Fields=dict(FIXED),
        Conditions=[
            *({name: value} for name, value in FIXED.items()),
            ["content-length-range", 1, LARGEST],
        ],
        ExpiresIn=seconds,
    )
    return made["url"], made["fields"]


def post(url: str, fields: Mapping[str, str], data: bytes = IMAGE) -> tuple[int, str]:
    """The status of a posted form, and the code and message of S3's refusal."""
    with httpx.Client(trust_env=False, timeout=60) as http:
        answer = http.post(url, data=fields, files={"file": ("a.png", data, TYPE)})
    found = re.findall(r"<(?:Code|Message)>(.*?)</", answer.text)
    return answer.status_code, " ".join(found)


def read(base: str, key: str, method: str = "GET", **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as http:
        return http.request(method, f"{base}/{key}", headers=headers)


def test_a_posted_image_is_read_where_iam_is_not_enforced(stack: Stack) -> None:
    url, fields = form(stack)
    assert post(url, fields) == (204, "")
    answer = read(stack.images_url, fields["key"])
    assert (answer.status_code, answer.content) == (200, IMAGE)


def test_a_posted_image_is_read_through_the_distribution(guarded: Stack) -> None:
    url, fields = form(guarded)
    assert post(url, fields) == (204, "")
    answer = read(guarded.images_url, fields["key"])
    assert (answer.status_code, answer.content) == (200, IMAGE)
    assert answer.headers["content-type"] == TYPE
    assert answer.headers["cache-control"] == "no-cache"
    # From the header policy that the template names.
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in answer.headers["strict-transport-security"]
    head = read(guarded.images_url, fields["key"], "HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(IMAGE)))
    unchanged = read(guarded.images_url, fields["key"], **{"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304


@pytest.mark.parametrize("length", [0, LARGEST + 1])
def test_a_file_of_a_wrong_size_is_refused(guarded: Stack, length: int) -> None:
    status, message = post(*form(guarded), bytes(length))
    code = "EntityTooLarge" if length else "EntityTooSmall"
    assert (status, message.split()[0]) == (400, code)


@pytest.mark.parametrize("length", [1, LARGEST])
def test_the_smallest_and_the_largest_file_are_taken(guarded: Stack, length: int) -> None:
    assert post(*form(guarded), bytes(length)) == (204, "")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Content-Type": "image/svg+xml"}, "Policy Condition failed"),
        ({"key": "uploads/another.png"}, "Policy Condition failed"),
        ({"acl": "public-read"}, "Extra input fields: acl"),
    ],
)
def test_a_changed_form_is_refused(guarded: Stack, changes: dict[str, str], problem: str) -> None:
    url, fields = form(guarded)
    status, message = post(url, fields | changes)
    assert status == 403
    assert message.startswith(f"AccessDenied Invalid according to Policy: {problem}")
    assert read(guarded.images_url, fields["key"]).status_code == 403


def test_a_form_that_leaves_its_type_out_is_refused(guarded: Stack) -> None:
    url, fields = form(guarded)
    del fields["Content-Type"]
    assert post(url, fields)[0] == 403


def test_a_form_expires(guarded: Stack) -> None:
    status, message = post(*form(guarded, seconds=-1))
    assert (status, message) == (403, "AccessDenied Invalid according to Policy: Policy expired.")


def test_a_forged_form_is_refused(guarded: Stack) -> None:
    url, fields = form(guarded)
    _, others = form(guarded)
    status, message = post(url, fields | {"policy": others["policy"], "key": others["key"]})
    assert (status, message.split()[0]) == (403, "SignatureDoesNotMatch")


def test_no_client_reads_or_writes_the_bucket_directly(guarded: Stack) -> None:
    url, fields = form(guarded)
    assert post(url, fields) == (204, "")
    bucket = f"{guarded.aws_endpoint}/{guarded.buckets['Pictures']}"
    assert read(bucket, fields["key"]).status_code == 403
    assert post(url, {"key": "uploads/anonymous.png", "Content-Type": TYPE})[0] == 403


def test_the_distribution_only_reads(guarded: Stack) -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert read(guarded.images_url, "uploads/a.png", method).status_code == 403
    assert read(guarded.images_url, "uploads/never-posted.png").status_code == 403


def test_the_distributions_port_serves_nothing_else(guarded: Stack) -> None:
    assert read(guarded.images_url, "things/7").status_code == 403
    assert read(guarded.images_url, "", Host="s3.us-east-1.amazonaws.com").status_code == 403
