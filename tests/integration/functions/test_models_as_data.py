"""A model that no code knows: its parameters, price and bodies are an entry of the catalog."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.model import Settings
from clipmint.catalog.model_store import CatalogItem
from clipmint.catalog.route import Route
from clipmint.credits import grants
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job
from clipmint.orders import offers
from clipmint.providers.base import Accepted, Busy, Unanswered
from functions.admin.app import handler as admin
from functions.generate.app import handler as generate
from functions.projects.app import handler as projects
from functions.status.app import handler as status
from functions.submit.app import handler as submit
from tests.support import moto_aws
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import assert_adds_up
from tests.support.kling import KLING, kling
from tests.support.moto_aws import Aws
from tests.support.scripted_provider import ScriptedProvider

Providers = dict[str, ScriptedProvider]
FOX = {"model_id": "my-kling", "prompt": "a fox in the snow"}
IMAGE = "https://example.com/first.png"


@pytest.fixture
def owner(aws: Aws) -> Caller:
    return Caller(admin, user="back-office", scope="clipmint/admin")


@pytest.fixture
def call(aws: Aws) -> Caller:
    grants.grant("user-1", 1_000, "purchase-1")
    return Caller(generate, user="user-1")


def put(owner: Caller, entry: dict[str, Any] = KLING) -> Answer:
    return owner("PUT", f"/v1/admin/models/{entry['model_id']}", body=entry)


def order(call: Caller, key: str = "key-1", **changes: Any) -> Answer:
    return call("POST", "/v1/videos", body=FOX | changes, headers={"Idempotency-Key": key})


def job_of(answer: Answer) -> Job:
    found = job_store.get(answer.body["job_id"])
    assert found
    return found


def send(job: Job) -> None:
    submit({"job_id": job.job_id}, Context())


def body_sent(providers: Providers, name: str) -> tuple[str, dict[str, Any]]:
    [task] = providers[name].tasks
    return task.request()


def test_an_owner_adds_a_model_with_one_put_and_it_can_be_priced_ordered_and_fails_over(
    owner: Caller, call: Caller, providers: Providers
) -> None:
    assert put(owner).status == 200
    settings = {"duration": 5, "audio": True, "negative_prompt": "rain", "aspect_ratio": "9:16"}
    estimate = call("POST", "/v1/videos/estimate", body=FOX | {"settings": settings})
    assert (estimate.status, estimate.body["credits"]) == (200, 9)  # 5 s at 1.68, rounded up
    started = order(call, settings=settings, expected_credits=9)
    assert (started.status, started.body["credits_used"]) == (202, 9)
    job = job_of(started)
    assert assert_adds_up("user-1").held == 9

    providers["fal"].submissions = [Busy("503")]
    providers["runware"].submissions = [Accepted(Handle(job.job_id))]
    send(job)
    assert body_sent(providers, "fal") == (
        "fal-ai/kling-video/v3/pro/text-to-video",
        {
            "prompt": "a fox in the snow",
            "duration": "5",
            "generate_audio": True,
            "negative_prompt": "rain",
            "aspect_ratio": "9:16",
        },
    )
    assert body_sent(providers, "runware") == (
        "klingai:kling-video@3-pro",
        {
            "positivePrompt": "a fox in the snow",
            "negativePrompt": "rain",
            "outputFormat": "MP4",
            "duration": 5,
            "width": 1080,
            "height": 1920,
            "providerSettings": {"klingai": {"sound": True}},
        },
    )
    stage = job_of(started).stages[0]
    assert (stage.provider, stage.endpoint) == ("runware", "klingai:kling-video@3-pro")
    shown = Caller(status, user="user-1")("GET", f"/v1/videos/{job.job_id}").body["settings"]
    assert shown == {"resolution": "1080p", **settings}


def test_an_order_with_an_image_goes_to_the_endpoint_for_images(
    owner: Caller, call: Caller, providers: Providers
) -> None:
    put(owner)
    job = job_of(order(call, image_url=IMAGE))
    send(job)
    endpoint, body = body_sent(providers, "fal")
    assert endpoint == "fal-ai/kling-video/v3/pro/image-to-video"
    assert body["start_image_url"] == IMAGE
    assert "aspect_ratio" not in body
    # The stage keeps the two bodies of this kind of order, and not those of the other.
    assert [route.cases for route in job.stages[0].routes] == [{}, {}]


def test_a_job_keeps_the_price_and_the_body_that_it_was_ordered_with(
    owner: Caller, call: Caller, providers: Providers
) -> None:
    put(owner)
    job = job_of(order(call))
    [fal, runware] = KLING["routes"]
    other = fal | {"body": fal["body"] | {"cfg_scale": 1}}
    dearer = {"price": {"kind": "fixed", "credits": 99}, "routes": [other, runware]}
    assert put(owner, KLING | dearer).status == 200
    send(job)
    assert "cfg_scale" not in body_sent(providers, "fal")[1]
    assert job_of(order(call)).credits == job.credits == 9
    assert order(call, key="key-2").body["credits_used"] == 99


def retired(day: str, *providers: str) -> dict[str, Any]:
    """The entry, with routes to these providers that take no orders from this day."""
    routes = [
        route | ({"retires_on": day} if route["provider"] in providers else {})
        for route in KLING["routes"]
    ]
    return KLING | {"routes": routes}


def test_a_retired_route_takes_no_new_order_and_a_job_keeps_it(
    owner: Caller, call: Caller, providers: Providers
) -> None:
    put(owner, retired("2999-12-31", "fal"))
    before = job_of(order(call))
    assert [route.provider for route in before.stages[0].routes] == ["fal", "runware"]
    put(owner, retired("2020-01-01", "fal"))
    after = job_of(order(call, key="key-2"))
    assert [route.provider for route in after.stages[0].routes] == ["runware"]
    providers["fal"].submissions = [Accepted(Handle("request-1"))]
    send(before)
    assert body_sent(providers, "fal")[0] == "fal-ai/kling-video/v3/pro/text-to-video"


def test_a_model_of_retired_routes_is_not_offered(owner: Caller, call: Caller) -> None:
    put(owner, retired("2999-12-31", "fal", "runware"))
    models = Caller(status, user="user-1")
    assert models("GET", "/v1/models/my-kling").status == 200
    model_store.put(kling(**retired("2020-01-01", "fal", "runware")))  # as the day comes
    assert models("GET", "/v1/models/my-kling").code == "MODEL_NOT_FOUND"
    refused = order(call)
    assert (refused.status, refused.code) == (400, "MODEL_UNAVAILABLE")


def test_a_task_that_is_sent_again_has_the_same_body(
    owner: Caller, call: Caller, providers: Providers
) -> None:
    put(owner, KLING | {"routes": [KLING["routes"][1]]})
    job = job_of(order(call))
    providers["runware"].submissions = [Unanswered("lost"), Accepted(Handle(job.job_id))]
    with pytest.raises(Exception, match="runware"):
        send(job)
    put(owner, KLING | {"price": {"kind": "free"}, "routes": [KLING["routes"][0]]})
    send(job)
    first, second = providers["runware"].tasks
    assert first.request() == second.request()
    assert (first.resent, second.resent) == (False, True)


# ── Expected price ───────────────────────────────────────────────────────────────────────────────


def test_an_order_with_another_price_than_expected_holds_nothing(
    owner: Caller, call: Caller
) -> None:
    put(owner)
    refused = order(call, expected_credits=8)
    assert (refused.status, refused.code) == (409, "PRICE_CHANGED")
    assert (refused.body["credits"], refused.body["expected_credits"]) == (9, 8)
    account = assert_adds_up("user-1")
    assert (account.available, account.held, account.open_jobs) == (1_000, 0, 0)
    # The client asks the user again, and may use the same key.
    assert order(call, expected_credits=9).status == 202


def test_a_retry_of_an_accepted_order_is_answered_from_the_job_after_a_change_of_the_price(
    owner: Caller, call: Caller, aws: Aws
) -> None:
    put(owner)
    first = order(call, expected_credits=9)
    put(owner, KLING | {"price": {"kind": "fixed", "credits": 50}})
    for record in aws.items("IDEMPOTENCY_TABLE"):  # as after its 24 hours
        aws.dynamodb.delete_item(TableName="IdempotencyTable", Key={"id": record["id"]})
    moto_aws.forget_answers()
    again = order(call, expected_credits=9)
    assert (again.status, again.body) == (202, first.body)
    assert assert_adds_up("user-1").held == 9


def test_scenes_and_clips_have_an_expected_price_too(call: Caller, providers: Providers) -> None:
    studio = Caller(projects, user="user-1")
    project = studio("POST", "/v1/projects", body={"resolution": "1280:720"}).body["project_id"]
    scene = studio(
        "POST",
        f"/v1/projects/{project}/scenes",
        body={
            "image_prompt": "a lighthouse",
            "visual_prompt": "the light turns on",
            "first_frame": IMAGE,
            "last_frame": "https://example.com/last.png",
        },
    ).body["scene_id"]
    for path in (f"/v1/scenes/{scene}/video", f"/v1/projects/{project}/clips"):
        estimate = call("POST", f"{path}/estimate", body={})
        assert estimate.status == 200, estimate.body
        price = estimate.body["credits"]
        key = {"Idempotency-Key": f"key-of-{path[-5:]}"}
        wrong = call("POST", path, body={"expected_credits": price + 1}, headers=key)
        assert (wrong.status, wrong.code, wrong.body["credits"]) == (409, "PRICE_CHANGED", price)
        assert assert_adds_up("user-1").held == 0
    assert call("POST", path, body={"expected_credits": price}, headers=key).status == 202
    assert assert_adds_up("user-1").held == price


def test_a_free_model_moves_no_credits(owner: Caller, call: Caller) -> None:
    assert put(owner, KLING | {"price": {"kind": "free"}}).status == 200
    started = order(call, expected_credits=0)
    assert (started.status, started.body["credits_used"]) == (202, 0)
    account = assert_adds_up("user-1")
    assert (account.available, account.held, account.open_jobs) == (1_000, 0, 1)


def test_an_image_of_a_scene_is_sent_with_every_parameter_of_its_model(
    owner: Caller, call: Caller, providers: Providers
) -> None:
    still = {
        "model_id": "my-still",
        "name": "Still",
        "produces": "image",
        "parameters": {
            "aspect_ratio": {"type": "choice", "choices": ["16:9"], "default": "16:9"},
            "quality": {"type": "choice", "choices": ["low", "high"], "default": "high"},
        },
        "price": {
            "kind": "rates",
            "per": "generation",
            "rates": [
                {"when": {"quality": "low"}, "millicredits": 500},
                {"when": {"quality": "high"}, "millicredits": 1_500},
            ],
        },
        "routes": [
            {
                "provider": "fal",
                "endpoint": "acme/still",
                "body": {
                    "prompt": {"$": "prompt"},
                    "aspect_ratio": {"$": "aspect_ratio"},
                    "quality": {"$": "quality"},
                },
            }
        ],
    }
    assert put(owner, still).status == 200
    studio = Caller(projects, user="user-1")
    project = studio("POST", "/v1/projects", body={"resolution": "1280:720"}).body["project_id"]
    scene = {"image_prompt": "a lighthouse", "visual_prompt": "the light turns on"}
    made = studio("POST", f"/v1/projects/{project}/scenes", body=scene).body["scene_id"]
    started = call(
        "POST",
        f"/v1/scenes/{made}/video",
        body={"image_model_id": "my-still"},
        headers={"Idempotency-Key": "key-still"},
    )
    assert (started.status, started.body["prices"]["generate_image"]) == (202, 2)
    send(job_of(started))
    assert body_sent(providers, "fal") == (
        "acme/still",
        {"prompt": "a lighthouse", "aspect_ratio": "16:9", "quality": "high"},
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────


def stored(aws: Aws, model_id: str = "my-kling") -> dict[str, Any]:
    [item] = [one for one in aws.items("MODELS_TABLE") if one["model_id"]["S"] == model_id]
    return item


FIELDS_OF_EARLIER_VERSIONS = {
    *("model_id", "name", "description", "available", "produces", "max_prompt_units"),
    *("image", "last_image", "max_reference_images", "allowed", "defaults", "presets", "price"),
    *("routes", "deadline_seconds", "poll_seconds"),
}


def test_an_earlier_version_reads_a_new_kind_of_entry_as_a_model_that_is_not_offered(
    aws: Aws,
) -> None:
    model_store.put(kling())
    definition = json.loads(stored(aws)["definition"]["S"])
    assert definition.keys() == FIELDS_OF_EARLIER_VERSIONS
    assert (definition["model_id"], definition["available"]) == ("my-kling", False)
    assert definition["price"] == {"kind": "fixed", "credits": 1}
    assert definition["routes"] == [{"provider": "none", "endpoint": "none"}]
    model_store.forget()
    assert model_store.find("my-kling") == kling()
    assert kling() in offers.offered()


def test_what_an_earlier_version_writes_over_a_new_entry_counts(aws: Aws) -> None:
    model_store.put(kling())
    older = json.loads(stored(aws)["definition"]["S"]) | {"name": "After a roll-back"}
    # It writes the whole item, with the one attribute that it knows.
    CatalogItem("my-kling", definition=json.dumps(older)).save()
    model_store.forget()
    assert model_store.find("my-kling").name == "After a roll-back"


@pytest.mark.parametrize(
    "change",
    [
        {"presets": {"draft": Settings.model_validate({"audio": False})}},
        {"price": kling().price},
        {"routes": kling().routes},
        {"routes": [Route(provider="fal", endpoint="fal-ai/veo3.1", retires_on="2999-12-31")]},
        {"parameters": {"seed": kling().parameters["duration"]}},
    ],
    ids=["preset", "price", "routes", "retirement", "parameters"],
)
def test_each_new_part_of_an_entry_alone_makes_it_a_new_kind(
    aws: Aws, change: dict[str, Any]
) -> None:
    veo = model_store.find("veo-3.1").model_copy(update=change)
    model_store.put(veo)
    assert json.loads(stored(aws, "veo-3.1")["definition"]["S"])["available"] is False
