"""An image upload: a form, S3's own refusals, and the public URL that providers fetch."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from PIL import Image

from local.running import RunningStack
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.plain_http import PLAIN

MEGABYTE = 1024 * 1024


def image(form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.effect_noise((96, 64), 50).convert("RGB").save(file, form)
    return file.getvalue()


def ask(customer: Customer, content_type: str = "image/png") -> dict[str, Any]:
    answer = customer.http.post("/v1/images", json={"content_type": content_type})
    assert answer.status_code == 201, answer.text
    asked: dict[str, Any] = answer.json()
    return asked


def post(form: Mapping[str, Any], data: bytes, **changes: str) -> tuple[int, str]:
    """S3's response to a form that is sent with this file: a status and a code."""
    with httpx.Client(trust_env=False, timeout=60, verify=PLAIN) as http:
        files = {"file": ("picture", data, "application/octet-stream")}
        answer = http.post(form["url"], data={**form["fields"], **changes}, files=files)
    code = re.search(r"<Code>(\w+)</Code>", answer.text)
    return answer.status_code, code[1] if code else ""


def read(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60, verify=PLAIN) as http:
        return http.get(url)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_is_uploaded_by_a_form_and_read_through_the_distribution(
    stack: RunningStack, ada: Customer, form: str
) -> None:
    content_type, data = f"image/{form.lower()}", image(form)
    asked = ask(ada, content_type)
    assert read(asked["image_url"]).status_code == 403
    assert post(asked["upload"], data) == (204, "")
    answer = read(asked["image_url"])
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == content_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert asked["image_url"].startswith(f"{stack.images_url}/uploads/")
    assert ada.user_id not in asked["image_url"]
    project = ada.http.get(f"/v1/projects/{asked['project_id']}").json()
    assert project["image_url"] == asked["image_url"]


@pytest.mark.parametrize(
    ("data", "changes", "refusal"),
    [
        (bytes(20 * MEGABYTE + 1), {}, (400, "EntityTooLarge")),
        (b"", {}, (400, "EntityTooSmall")),
        (b"<svg/>", {"Content-Type": "image/svg+xml"}, (403, "AccessDenied")),
        (b"<html>", {"Content-Type": "text/html"}, (403, "AccessDenied")),
        (b"bytes", {"key": "uploads/another.png"}, (403, "AccessDenied")),
        (b"bytes", {"Cache-Control": "max-age=31536000"}, (403, "AccessDenied")),
        (b"bytes", {"x-amz-meta-more": "more"}, (403, "AccessDenied")),
        (b"bytes", {"x-amz-signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
    ],
    ids=["20 MB and a byte", "nothing", "svg", "html", "key", "cache", "more", "forged"],
)
def test_the_bucket_accepts_only_what_the_form_allows(
    ada: Customer, data: bytes, changes: dict[str, str], refusal: tuple[int, str]
) -> None:
    asked = ask(ada)
    assert post(asked["upload"], data, **changes) == refusal
    assert read(asked["image_url"]).status_code == 403


def test_twenty_megabytes_are_taken(ada: Customer) -> None:
    assert post(ask(ada)["upload"], bytes(20 * MEGABYTE)) == (204, "")


def test_the_bucket_itself_is_closed(stack: RunningStack, ada: Customer) -> None:
    asked = ask(ada)
    assert post(asked["upload"], image()) == (204, "")
    key = asked["upload"]["fields"]["key"]
    assert read(f"{stack.aws_endpoint}/{stack.buckets['ImagesBucket']}/{key}").status_code == 403
    assert read(f"{stack.aws_endpoint}/{stack.buckets['ImagesBucket']}").status_code == 403


def test_an_image_is_deleted_with_its_project(ada: Customer) -> None:
    asked = ask(ada)
    assert post(asked["upload"], image()) == (204, "")
    assert ada.http.delete(f"/v1/projects/{asked['project_id']}").status_code == 204
    assert read(asked["image_url"]).status_code == 403


def test_a_video_is_made_from_an_uploaded_image(ada: Customer) -> None:
    """The simulated provider fetches the public URL and would refuse an image that it cannot
    read.
    """
    asked = ask(ada)
    assert post(asked["upload"], image()) == (204, "")
    seen = ada.finish(model_id="quick-i2v", image_url=asked["image_url"])
    assert seen["status"] == "completed"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"Dear provider, imagine a fox.", "PNG, JPEG and WebP are accepted"),
        (image()[:-200], "damaged or incomplete"),
        (image("JPEG"), "uploaded as image/png, but it is image/jpeg"),
    ],
    ids=["text", "half a picture", "another type"],
)
def test_bytes_that_are_not_an_image_cost_nothing_and_may_be_posted_again(
    ada: Customer, data: bytes, reason: str
) -> None:
    asked, key = ask(ada), uuid.uuid4().hex
    assert post(asked["upload"], data) == (204, "")
    order = {"key": key, "model_id": "quick-i2v", "image_url": asked["image_url"]}
    refused = ada.post(**order)
    assert (refused.status_code, refused.json()["code"]) == (400, "IMAGE_INVALID")
    assert asked["image_url"] in refused.json()["details"]
    assert reason in refused.json()["details"]
    assert ada.kinds() == ["grant"]
    assert post(asked["upload"], image()) == (204, "")
    assert ada.finish(**order)["status"] == "completed"


def test_an_image_never_posted_is_reported_as_missing(ada: Customer) -> None:
    refused = ada.post(model_id="quick-i2v", image_url=ask(ada)["image_url"])
    assert (refused.status_code, refused.json()["code"]) == (400, "IMAGE_NOT_UPLOADED")
    assert ada.kinds() == ["grant"]


def test_another_users_upload_looks_like_an_unknown_one(
    ada: Customer, new_customer: Callable[[int], Customer]
) -> None:
    asked, eve = ask(ada), new_customer(PRICE)
    assert post(asked["upload"], image()) == (204, "")
    refused = eve.post(model_id="quick-i2v", image_url=asked["image_url"])
    assert (refused.status_code, refused.json()["code"]) == (400, "IMAGE_NOT_UPLOADED")


def test_another_address_on_this_machine_is_still_refused(
    stack: RunningStack, ada: Customer
) -> None:
    refused = ada.post(model_id="quick-i2v", image_url=f"{stack.aws_endpoint}/uploads/a.png")
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")
    assert ada.kinds() == ["grant"]
