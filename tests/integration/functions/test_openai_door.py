"""The videos API that OpenAI introduced: shapes, sizes, statuses, pages, errors.

`tests/e2e/test_openai_sdk.py` calls it with the official packages.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Settings
from clipmint.credits import grants
from clipmint.doors import sizes
from clipmint.errors import SettingNotAllowed
from clipmint.orders import keyless
from functions.doors import app
from tests.support.clock import Clock
from tests.support.doors import cancel, complete, fail, form, job_of, png
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import assert_adds_up, begin_sending
from tests.support.moto_aws import IMAGES_BUCKET, IMAGES_URL, Aws
from tests.support.scripted_provider import ScriptedProvider

USER, OTHER_USER = "user-1", "user-2"
FOX = {"model": "veo-3.1", "prompt": "a fox in the snow", "seconds": "4", "size": "1280x720"}
VIDEOS = "/openai/v1/videos"


@pytest.fixture(autouse=True)
def _everything_on_offer(providers: dict[str, ScriptedProvider]) -> None:
    """The owner has a key of every provider."""


@pytest.fixture
def call(aws: Aws) -> Caller:
    grants.grant(USER, 1_000, "purchase-1")
    return Caller(app.handler, context=Context(remaining_ms=20_000))


def create(call: Caller, **members: Any) -> Answer:
    body = {name: value for name, value in (FOX | members).items() if value is not None}
    return call("POST", VIDEOS, body=body)


def error_of(answer: Answer) -> tuple[int, str, str | None]:
    """Status, code and parameter of an error, after a check of its shape."""
    [(name, error)] = answer.body.items()
    assert name == "error"
    assert {"message", "type", "param", "code"} <= error.keys()
    return answer.status, error["code"], error["param"]


def test_a_video_is_created_and_completed(call: Caller) -> None:
    created = create(call)
    assert created.status == 200
    video_id = created.body["id"]
    assert created.body == {
        "id": video_id,
        "object": "video",
        "model": "veo-3.1",
        "status": "queued",
        "progress": 0,
        "prompt": "a fox in the snow",
        "seconds": "4",
        "size": "1280x720",
        "created_at": int(job_of(video_id).created_at.timestamp()),
        "completed_at": None,
        "expires_at": None,
        "error": None,
        "remixed_from_video_id": None,
    }
    begin_sending(job_of(video_id))
    running = call("GET", f"{VIDEOS}/{video_id}").body
    assert (running["status"], running["progress"]) == ("in_progress", 15)
    assert error_of(call("GET", f"{VIDEOS}/{video_id}/content"))[:2] == (404, "video_not_ready")
    complete(video_id)
    done = call("GET", f"{VIDEOS}/{video_id}").body
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert done["completed_at"] >= done["created_at"]
    for query, name in (
        ({"variant": "video"}, "video.bin"),
        ({"variant": "thumbnail"}, "thumb.jpg"),
    ):
        content = call("GET", f"{VIDEOS}/{video_id}/content", query=query)
        assert content.status == 302
        assert f"/{name}?" in content.headers["location"]
    sheet = call("GET", f"{VIDEOS}/{video_id}/content", query={"variant": "spritesheet"})
    assert error_of(sheet) == (400, "invalid_request", "variant")


def test_the_redirect_leads_to_the_file_also_below_a_path_of_the_owners_domain(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = create(call).body["id"]
    complete(video_id)
    monkeypatch.setenv("API_BASE_PATH", "clips")
    location = call("GET", f"{VIDEOS}/{video_id}/content").headers["location"]
    assert location.startswith("https://")


@pytest.mark.parametrize("end", [fail, cancel])
def test_a_video_without_a_file_has_failed(call: Caller, end: Any) -> None:
    video_id = create(call).body["id"]
    end(video_id)
    failed = call("GET", f"{VIDEOS}/{video_id}").body
    assert failed["status"] == "failed"
    assert failed["error"]["message"]
    assert failed["error"]["code"] == ("no_output" if end is fail else "cancelled")


def test_a_lost_request_that_is_repeated_is_one_video(call: Caller, hands: Clock) -> None:
    first = create(call)
    again = create(call)
    assert again.body == first.body
    assert again.headers["x-idempotent-replay"] == "true"
    assert create(call, seconds="6").body["id"] != first.body["id"]
    hands.forward(seconds=31)
    assert create(call).body["id"] != first.body["id"]


def test_what_is_left_out_is_the_models_default(call: Caller) -> None:
    created = create(call, seconds=None, size=None).body
    assert (created["seconds"], created["size"]) == ("8", "1280x720")


def test_the_protocols_default_model_is_one_that_the_owner_names(call: Caller) -> None:
    assert error_of(create(call, model=None)) == (404, "model_not_found", "model")
    model = model_store.find("veo-3.1")
    model_store.put(model.model_copy(update={"aliases": ["sora-2"]}))
    assert create(call, model=None).body["model"] == "veo-3.1"


# ── input_reference ──────────────────────────────────────────────────────────────────────────────


def fields(**members: str) -> list[tuple[str, str | None, bytes]]:
    return [(name, None, value.encode()) for name, value in members.items()]


def test_a_form_without_a_file_is_like_json(call: Caller) -> None:
    created = call("POST", VIDEOS, **form(*fields(**FOX)))
    assert created.status == 200
    assert create(call).body == created.body


def test_an_image_in_a_form_is_the_first_frame(aws: Aws, call: Caller) -> None:
    texts = fields(model="veo-3.1-i2v", prompt="it boils", seconds="4")
    parts = form(*texts, ("input_reference", "image/png", png()))
    first, again = call("POST", VIDEOS, **parts), call("POST", VIDEOS, **parts)
    assert first.status == 200
    assert again.body == first.body
    url = job_of(first.body["id"]).image_url
    assert url is not None
    [stored] = aws.s3.list_objects_v2(Bucket=IMAGES_BUCKET)["Contents"]
    assert url == f"{IMAGES_URL}/{stored['Key']}"
    other = form(*texts, ("input_reference", "image/png", png(80)))
    assert call("POST", VIDEOS, **other).body["id"] != first.body["id"]


def test_a_retry_of_the_last_upload_that_is_allowed_finds_its_job(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_UPLOADS_PER_HOUR", "1")
    texts = fields(model="veo-3.1-i2v", prompt="it boils", seconds="4")
    parts = form(*texts, ("input_reference", "image/png", png()))
    first, again = call("POST", VIDEOS, **parts), call("POST", VIDEOS, **parts)
    assert (first.status, again.status) == (200, 200)
    assert again.body["id"] == first.body["id"]
    other = form(*texts, ("input_reference", "image/png", png(80)))
    assert call("POST", VIDEOS, **other).status == 429


def test_an_image_may_be_a_url_or_a_data_url(call: Caller) -> None:
    data = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    for url in ("https://example.com/a.png", data):
        reference = {"image_url": url}
        created = create(call, model="veo-3.1-i2v", size=None, input_reference=reference)
        assert created.status == 200, created.body
    nested = fields(
        model="veo-3.1-i2v",
        prompt="x",
        **{"input_reference[image_url]": "https://example.com/b.png"},
    )
    assert call("POST", VIDEOS, **form(*nested)).status == 200


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"prompt": None}, (400, "invalid_request", "prompt")),
        ({"prompt": "x" * 5_001}, (400, "invalid_request", "prompt")),
        ({"model": "no-such"}, (404, "model_not_found", "model")),
        ({"model": "runware-image"}, (400, "model_unavailable", "model")),
        ({"seconds": "5"}, (400, "setting_not_allowed", "seconds")),
        ({"seconds": 4}, (400, "invalid_request", "seconds")),
        ({"seconds": "four"}, (400, "invalid_request", "seconds")),
        ({"size": "1024x1792"}, (400, "setting_not_allowed", "size")),
        ({"size": "large"}, (400, "invalid_request", "size")),
        ({"model": "veo-3.1-i2v", "size": None}, (400, "image_required", "input_reference")),
        ({"colour": "red"}, (400, "invalid_request", "colour")),
    ],
)
def test_what_is_not_supported_is_refused_and_named(
    aws: Aws, call: Caller, members: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    answer = create(call, **members)
    assert error_of(answer) == expected
    assert answer.body["error"]["type"] == "invalid_request_error"
    assert assert_adds_up(USER).held == 0
    assert aws.items("JOBS_TABLE") == []


def test_an_invalid_image_is_refused(call: Caller) -> None:
    texts = fields(model="veo-3.1-i2v", prompt="it boils")
    answer = call("POST", VIDEOS, **form(*texts, ("input_reference", "image/png", b"GIF89a")))
    assert error_of(answer)[:2] == (400, "image_invalid")
    file_id = create(call, input_reference={"file_id": "file-1"})
    assert error_of(file_id)[:2] == (400, "invalid_request")


def test_errors_have_this_protocols_types(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(answer: Answer) -> tuple[int, str]:
        return answer.status, answer.body["error"]["type"]

    call.user = OTHER_USER
    assert kind(create(call)) == (402, "insufficient_quota")
    assert kind(call("GET", f"{VIDEOS}/no-such")) == (404, "invalid_request_error")
    assert kind(call("POST", VIDEOS, body="{")) == (400, "invalid_request_error")
    monkeypatch.setenv("MAX_OPEN_JOBS", "1")
    call.user = USER
    assert create(call).status == 200
    limited = create(call, prompt="another")
    assert kind(limited) == (429, "rate_limit_error")
    assert limited.headers["retry-after"]
    monkeypatch.setattr(keyless, "order", None)
    assert kind(create(call)) == (500, "server_error")


@pytest.mark.parametrize("path", ["{id}/remix", "edits", "extensions"])
def test_what_no_model_supports_is_a_clear_error(call: Caller, path: str) -> None:
    video_id = create(call).body["id"]
    answer = call("POST", f"{VIDEOS}/{path.format(id=video_id)}", body={"prompt": "again"})
    assert error_of(answer)[:2] == (404, "not_found")
    assert "a video is not possible here" in answer.body["error"]["message"]


# ── Lists and deletion ───────────────────────────────────────────────────────────────────────────


def test_videos_are_listed_page_by_page_and_deleted(call: Caller, hands: Clock) -> None:
    ids = []
    for number in range(5):
        ids.append(create(call, prompt=f"fox {number}").body["id"])
        hands.forward(seconds=1)

    def listed(**query: str) -> tuple[list[str], bool]:
        body = call("GET", VIDEOS, query=query).body
        found = [video["id"] for video in body["data"]]
        assert body["object"] == "list"
        assert [body["first_id"], body["last_id"]] == (
            [found[0], found[-1]] if found else [None] * 2
        )
        return found, body["has_more"]

    assert listed() == (ids[::-1], False)
    assert listed(limit="2") == ([ids[4], ids[3]], True)
    assert listed(limit="3", after=ids[3]) == ([ids[2], ids[1], ids[0]], False)
    assert listed(limit="2", order="asc") == ([ids[0], ids[1]], True)
    assert listed(limit="9", order="asc", after=ids[1]) == (ids[2:], False)
    fail(ids[3])
    assert call("DELETE", f"{VIDEOS}/{ids[3]}").body == {
        "id": ids[3],
        "object": "video.deleted",
        "deleted": True,
    }
    # A client that deletes what it lists continues behind a deleted video.
    assert listed(after=ids[3]) == ([ids[2], ids[1], ids[0]], False)
    assert error_of(call("DELETE", f"{VIDEOS}/{ids[0]}"))[:2] == (409, "job_running")
    assert error_of(call("GET", VIDEOS, query={"limit": "0"})) == (400, "invalid_request", "limit")


def test_foreign_videos_are_unknown(call: Caller) -> None:
    video_id = create(call).body["id"]
    other_user = Caller(app.handler, user=OTHER_USER)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
        answer = other_user(method, f"{VIDEOS}/{video_id}{path}")
        assert error_of(answer)[:2] == (404, "job_not_found")
    answer = other_user("GET", VIDEOS, query={"after": video_id})
    assert error_of(answer)[:2] == (404, "job_not_found")


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model_id", "size", "resolution", "ratio"),
    [
        ("veo-3.1", "1280x720", "720p", "16:9"),
        ("veo-3.1", "1080x1920", "1080p", "9:16"),
        ("runware-veo-3.1", "3840x2160", "4k", "16:9"),
        ("gen4-turbo", "720x1280", None, "720:1280"),
        ("gen4-turbo", "1104x832", None, "1104:832"),
    ],
)
def test_a_size_is_the_models_settings(
    model_id: str, size: str, resolution: str | None, ratio: str
) -> None:
    model = next(model for model in DEFAULT_CATALOG if model.model_id == model_id)
    settings = sizes.settings_for(model, size)
    assert (settings.resolution, settings.aspect_ratio) == (resolution, ratio)
    assert sizes.size_of(settings) == size


def test_a_size_that_a_model_does_not_make_is_refused_with_those_that_it_makes() -> None:
    with pytest.raises(SettingNotAllowed) as refused:
        sizes.settings_for(DEFAULT_CATALOG[0], "1024x1792")
    assert refused.value.details == ("size: allowed: 1280x720, 720x1280, 1920x1080, 1080x1920")


@pytest.mark.parametrize("ratio", [None, "auto", "0:0", "16:9"])
def test_settings_that_name_no_size_have_none(ratio: str | None) -> None:
    assert sizes.size_of(Settings(aspect_ratio=ratio)) is None
