"""Everything a user reads, as the gateway requests it."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from clipmint import clock
from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model
from clipmint.catalog.model_store import CatalogItem
from clipmint.credits import grants, holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.outcomes import USER_MESSAGES, Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.lots import CreditKind
from functions.status.app import handler
from tests.support.clock import Clock
from tests.support.gateway import Caller
from tests.support.jobs import TASK_ID, begin_sending, open_job
from tests.support.moto_aws import BUCKET, KEYS, Aws, client_of, hooked, publish_keys
from tests.support.scripted_provider import HANDLE

OTHER_USER = "user-2"


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler)


def completed(user_id: str = "user-1") -> Job:
    job = open_job(user_id)
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    job_store.record_outcome(
        job.job_id, "video", Succeeded("https://v3.fal.media/files/b/video.mp4")
    )
    asset = Asset(BUCKET, "videos/v.mp4", "video/mp4", 9, "0" * 64, 1_280, 720, 8.0, "videos/t.jpg")
    job_store.record_asset(job.job_id, "video", asset)
    return holds.settle(job.job_id, lambda found: verdict(found, None))


def failed(user_id: str = "user-1") -> Job:
    job = open_job(user_id)
    begin_sending(job)
    detail = "User is locked. Reason: Exhausted balance. Top up at fal.ai/dashboard"
    job_store.record_outcome(job.job_id, "video", Failed(FailureCode.OWNER_ACCOUNT, detail))
    return holds.settle(job.job_id, lambda found: verdict(found, "SubmissionRejected"))


def test_a_running_job_shows_its_progress_and_when_to_poll_again(call: Caller) -> None:
    job = open_job()
    answer = call("GET", f"/v1/videos/{job.job_id}")
    assert answer.status == 200
    assert answer.headers["retry-after"] == "2"
    assert answer.body == {
        "job_id": job.job_id,
        "status": "pending",
        "progress": 5,
        "current_step": "Initializing",
        "model_id": "veo-3.1",
        "model_name": "Veo 3.1",
        "prompt": "a fox in the snow",
        "settings": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 8},
        "project_id": None,
        "scene_id": None,
        "stages": [{"name": "video", "credits": 32, "charged": False}],
        "credits_used": 32,
        "cached": False,
        "expected_seconds": None,
        "video_url": None,
        "thumbnail_url": None,
        "video_expires_at": None,
        "image_url": None,
        "error_message": None,
        "error_code": None,
        "created_at": clock.iso(job.created_at),
        "updated_at": clock.iso(job.updated_at),
        "completed_at": None,
    }


def test_a_completed_job_comes_with_urls_that_work_for_an_hour(aws: Aws, call: Caller) -> None:
    job = completed()
    aws.s3.put_object(Bucket=BUCKET, Key="videos/v.mp4", Body=b"the video")
    answer = call("GET", f"/v1/videos/{job.job_id}")
    assert (answer.body["status"], answer.body["progress"]) == ("completed", 100)
    assert "retry-after" not in answer.headers
    assert answer.body["completed_at"]
    for name, key in (("video_url", "/videos/v.mp4"), ("thumbnail_url", "/videos/t.jpg")):
        url = urlsplit(answer.body[name])
        assert url.path.endswith(key)
        query = parse_qs(url.query)
        assert query["X-Amz-Expires"] == ["3600"]
        assert query["X-Amz-SignedHeaders"] == ["host"]


def test_a_failed_job_gives_the_reason_in_our_words_and_costs_nothing(call: Caller) -> None:
    answer = call("GET", f"/v1/videos/{failed().job_id}")
    assert (answer.body["status"], answer.body["credits_used"]) == ("failed", 0)
    assert answer.body["error_code"] == "OWNER_ACCOUNT"
    assert answer.body["error_message"] == USER_MESSAGES[FailureCode.OWNER_ACCOUNT]
    assert not re.search(r"\bfal\b", json.dumps(answer.body))
    assert answer.body["video_url"] is None


def test_a_file_that_is_stored_is_not_handed_out_before_it_is_paid(call: Caller) -> None:
    job = open_job()
    begin_sending(job)
    asset = Asset(BUCKET, "videos/v.mp4", "video/mp4", 9, "0" * 64, 1_280, 720, 8.0)
    job_store.record_asset(job.job_id, "video", asset)
    answer = call("GET", f"/v1/videos/{job.job_id}")
    assert (answer.body["progress"], answer.body["video_url"]) == (95, None)


def test_another_users_job_and_an_unknown_job_get_the_same_response(call: Caller) -> None:
    theirs, gone = open_job(OTHER_USER), failed()
    job_store.hide(gone.job_id)
    answers = [
        call("GET", f"/v1/videos/{job_id}")
        for job_id in (
            theirs.job_id,
            gone.job_id,
            "5a9c1a4e-0f0f-5f60-9b8f-3a3f6d5a2b10",
            "not-a-uuid",
            "%2e%2e",
        )
    ]
    assert {(answer.status, answer.code) for answer in answers} == {(404, "JOB_NOT_FOUND")}
    assert len({answer.body["error"] for answer in answers}) == 1


def test_a_poll_is_one_read_and_talks_to_no_provider(aws: Aws, call: Caller) -> None:
    job = open_job()
    reads: list[str] = []

    def note(model: object, **_: object) -> None:
        reads.append(str(model))

    with hooked(client_of(JobItem), {"before-call.dynamodb": note}):
        call("GET", f"/v1/videos/{job.job_id}")
    assert reads == ["OperationModel(name=GetItem)"]


def test_the_list_shows_ones_own_jobs_newest_first_in_pages(call: Caller, hands: Clock) -> None:
    made = []
    for _ in range(5):
        hands.forward(minutes=1)
        made.append(open_job().job_id)
    open_job(OTHER_USER)
    first = call("GET", "/v1/videos", query={"limit": "2"}).body
    second = call("GET", "/v1/videos", query={"limit": "2", "cursor": first["cursor"]}).body
    third = call("GET", "/v1/videos", query={"limit": "2", "cursor": second["cursor"]}).body
    shown = [video["job_id"] for page in (first, second, third) for video in page["videos"]]
    assert shown == made[::-1]
    assert third["cursor"] is None


def test_the_list_can_be_filtered_by_status(call: Caller) -> None:
    waiting, done, broken = open_job(), completed(), failed()
    running = begin_sending(open_job())
    for status, job in (
        ("pending", waiting),
        ("processing", running),
        ("completed", done),
        ("failed", broken),
    ):
        page = call("GET", "/v1/videos", query={"status": status}).body
        assert [(video["job_id"], video["status"]) for video in page["videos"]] == [
            (job.job_id, status)
        ]
    assert len(call("GET", "/v1/videos").body["videos"]) == 4


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("/v1/videos", {"limit": "0"}, "limit"),
        ("/v1/videos", {"limit": "101"}, "limit"),
        ("/v1/videos", {"limit": "many"}, "limit"),
        ("/v1/videos", {"status": "lost"}, "status"),
        ("/v1/videos", {"cursor": "forged"}, "cursor"),
        ("/v1/videos", {"cursor": "x" * 513}, "cursor"),
        ("/v1/credits/entries", {"limit": "101"}, "limit"),
        ("/v1/credits/entries", {"cursor": "forged"}, "cursor"),
        ("/v1/credits/entries", {"cursor": "LTE"}, "cursor"),
    ],
)
def test_a_bad_parameter_is_named(
    call: Caller, path: str, query: dict[str, str], named: str
) -> None:
    answer = call("GET", path, query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert named in answer.body["details"]


NEW = ["kling-3.0-pro", "kling-3.0-standard", "seedance-2.0-mini"]
"""Models of all three providers."""
VEO = [
    "veo-3.1",
    "veo-3.1-fast",
    "veo-3.1-full",
    "veo-3.1-i2v",
    "veo-3.1-lite",
    "veo-3.1-transition",
]
"""Models of fal, most of them of another provider, too."""
"""Models of fal and Runway."""


def test_models_are_shown_with_settings_and_prices_but_not_how_they_are_made(
    call: Caller,
) -> None:
    answer = call("GET", "/v1/models")
    models = {model["model_id"]: model for model in answer.body["models"]}
    assert list(models) == ["h3-max", *NEW, *VEO]
    veo = models["veo-3.1"]
    assert veo["price"] == {
        "kind": "per_second",
        "credits_per_second": 4,
        "resolution_percent": {},
    }
    assert veo["allowed"]["duration"] == [4, 6, 8]
    assert not {"routes", "available", "poll_seconds", "deadline_seconds"} & set(veo)
    assert call("GET", "/v1/models/veo-3.1").body == veo


def shown(call: Caller) -> list[str]:
    return [model["model_id"] for model in call("GET", "/v1/models").body["models"]]


def test_only_models_of_providers_with_a_key_are_shown(call: Caller) -> None:
    by_provider = {
        "FAL_KEY": ["h3-max", *NEW, *VEO],
        "RUNWAYML_API_SECRET": [
            "gen4-image",
            "gen4-turbo",
            "gen4.5",
            "gen4.5-720p",
            "h3-max",
            *NEW,
            "runway-veo-3.1",
            "runway-veo-3.1-fast",
            "veo-3.1-fast",
            "veo-3.1-full",
        ],
        # Runware makes fal's text to video too.
        "RUNWARE_API_KEY": [
            "gen4.5-720p",
            *NEW,
            "runware-image",
            "runware-veo-3.1",
            "runware-veo-3.1-fast",
            "runware-veo-3.1-lite",
            "veo-3.1",
            "veo-3.1-fast",
            "veo-3.1-full",
            "veo-3.1-lite",
        ],
    }
    for name, models in by_provider.items():
        publish_keys({name: KEYS[name]})
        assert shown(call) == sorted(models)
        hidden = {model.model_id for model in DEFAULT_CATALOG} - set(models)
        answers = [call("GET", f"/v1/models/{model_id}") for model_id in sorted(hidden)]
        assert {(answer.status, answer.code) for answer in answers} == {(404, "MODEL_NOT_FOUND")}
    publish_keys({})
    assert shown(call) == []


def test_with_every_key_every_available_model_is_shown_with_what_it_produces(
    call: Caller,
) -> None:
    publish_keys(KEYS)
    assert shown(call) == sorted(model.model_id for model in DEFAULT_CATALOG if model.available)
    for model in DEFAULT_CATALOG:
        if model.available:
            answer = call("GET", f"/v1/models/{model.model_id}")
            assert (answer.status, answer.body["produces"]) == (200, model.produces)


def test_the_default_models_of_scenes_and_clips_are_shown(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP_MODEL", "my-clips")
    assert call("GET", "/v1/models").body["defaults"] == {
        "scene_image_model": "gen4-image",
        "scene_video_model": "gen4-turbo",
        "clip_model": "my-clips",
    }


def test_an_estimate_is_no_job_and_names_its_method(call: Caller) -> None:
    answer = call("GET", "/v1/videos/estimate")
    assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"


def test_the_models_shown_reveal_neither_provider_nor_routes(call: Caller) -> None:
    publish_keys(KEYS)
    text = json.dumps(call("GET", "/v1/models").body)
    for model in DEFAULT_CATALOG:
        for route in model.routes:
            if route.endpoint != model.model_id:  # Gen-4.5 is called the same by us
                assert f'"{route.endpoint}"' not in text
    assert '"routes"' not in text
    assert '"provider"' not in text


def test_a_model_that_is_off_or_unknown_is_not_shown(call: Caller) -> None:
    for model_id in ("sora-2-i2v", "veo-9"):
        answer = call("GET", f"/v1/models/{model_id}")
        assert (answer.status, answer.code) == (404, "MODEL_NOT_FOUND")


@pytest.mark.parametrize("characters", [65, 2_049])
def test_a_model_id_longer_than_any_key_is_no_model_and_not_asked_for(
    call: Caller, characters: int
) -> None:
    asked: list[str] = []

    def note(**_: Any) -> None:
        asked.append("GetItem")

    with hooked(client_of(CatalogItem), {"before-call.dynamodb.GetItem": note}):
        answers = [call("GET", "/v1/models/" + "a" * length) for length in (characters, 64)]
    assert [(answer.status, answer.code) for answer in answers] == [(404, "MODEL_NOT_FOUND")] * 2
    # DynamoDB would refuse the longer key, which would be an error of ours.
    assert asked == ["GetItem"]


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/credits", "/v1/credits/entries"])
@pytest.mark.parametrize("user", ["", "x" * 1_025, "ü" * 513])
def test_a_subject_that_could_be_no_key_is_refused(call: Caller, path: str, user: str) -> None:
    answer = call("GET", path, user=user)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "sub" in answer.body["details"]


def test_an_unchanged_catalog_is_not_sent_again(call: Caller) -> None:
    first = call("GET", "/v1/models")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = call("GET", "/v1/models", headers={"If-None-Match": known})
        assert (again.status, again.body, again.headers["etag"]) == (304, None, etag)
    assert call("GET", "/v1/models", headers={"If-None-Match": '"other"'}).status == 200
    veo = model_store.find("veo-3.1")
    model_store.put(Model.model_validate(veo.model_dump() | {"name": "Veo"}))
    changed = call("GET", "/v1/models", headers={"If-None-Match": etag})
    assert changed.status == 200
    assert changed.headers["etag"] != etag


def test_credits_are_what_is_available_and_what_is_held(call: Caller) -> None:
    nothing = {"available": 0, "held": 0, "debt": 0, "lots": []}
    assert call("GET", "/v1/credits").body == nothing
    grants.grant("user-1", 100, "purchase-1")
    open_job()
    assert call("GET", "/v1/credits").body == {
        "available": 68,
        "held": 32,
        "debt": 0,
        "lots": [{"kind": "purchased", "credits": 68, "expires_at": None}],
    }
    assert call("GET", "/v1/credits", user=OTHER_USER).body == nothing


def test_credits_are_shown_in_the_order_in_which_they_are_spent_until_they_end(
    aws: Aws, call: Caller, hands: Clock
) -> None:
    hands.to_next_hour()
    ends = clock.now() + timedelta(hours=2)
    grants.grant("user-1", 100, "purchase-1")
    grants.grant("user-1", 30, "period-1", kind=CreditKind.ALLOWANCE, expires_at=ends)
    grants.grant("user-1", 5, "welcome", kind=CreditKind.PROMO)
    lots = [
        {"kind": "allowance", "credits": 30, "expires_at": clock.iso(ends)},
        {"kind": "promo", "credits": 5, "expires_at": None},
        {"kind": "purchased", "credits": 100, "expires_at": None},
    ]
    assert call("GET", "/v1/credits").body["lots"] == lots
    hands.forward(hours=2)
    before = aws.items("LEDGER_TABLE")
    found = call("GET", "/v1/credits").body
    assert (found["available"], found["lots"]) == (105, lots[1:])
    assert aws.items("LEDGER_TABLE") == before, "this function writes nothing"


def test_a_debt_is_shown_and_its_entries_explain_it(call: Caller) -> None:
    grants.grant("user-1", 10, "purchase-1")
    grants.claw_back("user-1", 15, "refund-1")
    grants.adjust("user-1", 2, "ticket-1", "Sorry for the delay")
    found = call("GET", "/v1/credits").body
    assert found == {"available": 0, "held": 0, "debt": 3, "lots": []}
    shown = [
        (entry["kind"], entry["credits"], entry["debt_after"], entry["credit_kind"])
        for entry in call("GET", "/v1/credits/entries").body["entries"]
    ]
    assert shown == [
        ("adjust", 2, 3, None),
        ("clawback", 15, 5, "purchased"),
        ("grant", 10, 0, "purchased"),
    ]
    newest = call("GET", "/v1/credits/entries").body["entries"][0]
    assert newest["reason"] == "Sorry for the delay"


def test_the_journal_is_paged_and_ones_own(call: Caller) -> None:
    grants.grant("user-1", 100, "purchase-1")
    job = open_job()
    holds.settle(job.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.NO_OUTPUT))
    first = call("GET", "/v1/credits/entries", query={"limit": "2"}).body
    rest = call("GET", "/v1/credits/entries", query={"cursor": first["cursor"]}).body
    kinds = [entry["kind"] for entry in first["entries"] + rest["entries"]]
    assert (kinds, rest["cursor"]) == (["release", "hold", "grant"], None)
    assert first["entries"][0]["job_id"] == job.job_id
    assert first["entries"][0]["balance_after"] == 100
    assert rest["entries"][0]["reference"] == "purchase-1"
    theirs = call("GET", "/v1/credits/entries", user=OTHER_USER, query={"cursor": first["cursor"]})
    assert theirs.body == {"entries": [], "cursor": None}


def test_an_unknown_path_and_an_accident_have_the_same_shape(aws: Aws, call: Caller) -> None:
    assert call("GET", "/v1/nothing").code == "NOT_FOUND"
    aws.dynamodb.delete_table(TableName=os.environ["JOBS_TABLE"])
    answer = call("GET", "/v1/videos")
    assert (answer.status, answer.code) == (500, "INTERNAL")


def test_a_route_that_lost_its_authorizer_gives_nothing_away(call: Caller) -> None:
    answer = call("GET", "/v1/credits", user=None)
    assert (answer.status, answer.code) == (500, "INTERNAL")
