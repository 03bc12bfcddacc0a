"""The owner's calls about models: check, put, read, delete, and the versions they leave."""

from __future__ import annotations

from typing import Any

import pytest

from clipmint.catalog import model_changes, model_store, seeding
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model_store import CatalogItem
from clipmint.errors import TemporarilyUnavailable
from clipmint.orders import model_check
from functions.admin.app import handler
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller
from tests.support.kling import KLING, kling
from tests.support.moto_aws import Aws, client_of, hooked

PATH = "/v1/admin/models/my-kling"
FAL, RUNWARE = KLING["routes"]


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler, user="ada", scope="clipmint/admin")


def check(call: Caller, **changes: Any) -> Answer:
    return call("POST", f"{PATH}/check", body=KLING | changes)


# ── Check ────────────────────────────────────────────────────────────────────────────────────────


def test_a_check_shows_the_price_and_the_body_of_each_preset_and_extreme_and_changes_nothing(
    aws: Aws, call: Caller
) -> None:
    answer = check(call)
    assert (answer.status, answer.body["problems"]) == (200, [])
    orders = {(one["kind"], one["name"]): one for one in answer.body["orders"]}
    names = [
        *("defaults", "preset draft", "preset high", "resolution: 1080p"),
        *("aspect_ratio: 16:9", "aspect_ratio: 9:16", "aspect_ratio: 1:1"),
        *("duration: 3", "duration: 15", "audio: False", "audio: True"),
        "negative_prompt: 500 characters",
    ]
    assert list(orders) == [(kind, name) for kind in ("text", "image") for name in names]
    assert orders["text", "preset draft"]["credits"] == 4  # 3 s at 1.12, rounded up
    assert orders["text", "duration: 15"]["credits"] == 26  # 15 s at 1.68
    fal, runware = orders["image", "defaults"]["requests"]
    assert (fal["endpoint"], fal["problem"]) == ("fal-ai/kling-video/v3/pro/image-to-video", None)
    assert fal["body"] == {
        "prompt": "A fox in the snow",
        "duration": "5",
        "generate_audio": True,
        "start_image_url": "https://example.com/first.png",
    }
    assert runware["body"]["taskType"] == "videoInference"
    assert runware["body"]["model"] == "klingai:kling-video@3-pro"
    assert runware["body"]["includeCost"] is True
    with pytest.raises(Exception, match="no model"):
        model_store.find("my-kling")


def test_a_check_reports_a_provider_that_does_not_exist(aws: Aws, call: Caller) -> None:
    answer = check(call, routes=[{"provider": "acme", "endpoint": "x", "body": {}}])
    assert answer.status == 200
    assert answer.body["problems"] == ["routes: provider: acme: there are fal, runware, runway"]
    requests = [sent for order in answer.body["orders"] for sent in order["requests"]]
    assert {sent["problem"] for sent in requests} == {"There is no such provider"}


@pytest.mark.parametrize("model", DEFAULT_CATALOG, ids=lambda model: model.model_id)
def test_nothing_is_wrong_with_a_default_model(model: Any) -> None:
    assert model_check.check(model).problems == ()


VEO: dict[str, Any] = {
    "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9"], "duration": [8]},
    "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 8},
    "parameters": {},
    "presets": {},
    "image": "none",
    "price": {"kind": "fixed", "credits": 5},
    "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1"}],
}


def without(entry: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != member}


def fal_with(**members: Any) -> dict[str, Any]:
    return {"routes": [FAL | {"body": FAL["body"] | members}]}


def fal_without(*members: str, **changes: Any) -> dict[str, Any]:
    body = {name: value for name, value in FAL["body"].items() if name not in members}
    return {"routes": [FAL | {"body": body} | changes]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        # An endpoint that nothing knows, a resolution without a size, a missing duration, an image
        # endpoint without an image: every order of such an entry failed.
        (
            VEO | {"routes": [{"provider": "fal", "endpoint": "fal-ai/veo9"}]},
            "routes: fal: text: fal-ai/veo9: fal has no known endpoint 'fal-ai/veo9'",
        ),
        (
            VEO
            | {
                "routes": [{"provider": "runware", "endpoint": "google:3@2"}],
                "allowed": VEO["allowed"] | {"resolution": ["720p", "480p"]},
            },
            "routes: runware: text: google:3@2: has no value for resolution aspect_ratio '480p",
        ),
        (
            VEO
            | {
                "allowed": without(VEO["allowed"], "duration"),
                "defaults": without(VEO["defaults"], "duration"),
            },
            "routes: fal: text: fal-ai/veo3.1: needs duration",
        ),
        (
            VEO | {"routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1/image-to-video"}]},
            "routes: fal: text: fal-ai/veo3.1/image-to-video: needs image_url",
        ),
        (VEO | {"image": "required"}, "cannot pass on: image_url"),
        (
            VEO | {"routes": [{"provider": "runway", "endpoint": "text_to_video/veo3.1"}]},
            "cannot pass on: resolution",
        ),
        (
            {"routes": [RUNWARE | {"endpoint": "../v1"}]},
            "routes: runware: text: ../v1: not an endpoint",
        ),
        (
            {"routes": [FAL | {"provider": "runway", "endpoint": "gen4.5", "cases": {}}]},
            "cannot pass on: aspect_ratio",
        ),
        (fal_without("duration"), "cannot pass on: duration"),
        (fal_without("duration", ignores=["resolution", "duration"]), "the price depends on it"),
        (fal_without("generate_audio"), "cannot pass on: audio"),
        (
            fal_without(
                "generate_audio",
                body=FAL["body"] | {"generate_audio": {"$": "audio", "map": {"true": True}}},
            ),
            "has no value for audio 'false'",
        ),
        (
            {
                "routes": [
                    FAL
                    | {
                        "body": FAL["body"]
                        | {
                            "generate_audio": {
                                "$": "audio",
                                "map": {"true": True, "false": True},
                            }
                        }
                    }
                ]
            },
            "routes: fal: text: body: audio changes the price, but not the request",
        ),
        (
            {"routes": [FAL | {"body": FAL["body"] | {"seed": {"$": "seed", "optional": True}}}]},
            "routes: fal: body: uses seed, which this model does not have",
        ),
        ({"image": "none"}, "routes: fal: cases: image: this model starts from text"),
        ({"last_image": "optional"}, "takes text, image, not frames"),
        ({"description": "é" * 500, "parameters": {**KLING["parameters"], "style": {
            "type": "choice", "choices": ["é" * 60 + str(n) for n in range(64)],
            "default": "é" * 60 + "0"}, "look": {
            "type": "choice", "choices": ["é" * 60 + str(n) for n in range(64)],
            "default": "é" * 60 + "0"}, "mood": {
            "type": "choice", "choices": ["é" * 60 + str(n) for n in range(64)],
            "default": "é" * 60 + "0"}, "tone": {
            "type": "choice", "choices": ["é" * 60 + str(n) for n in range(64)],
            "default": "é" * 60 + "0"}}}, "at most 30000"),
    ],
)  # fmt: skip
def test_what_the_check_finds_wrong_a_put_rejects(
    call: Caller, changes: dict[str, Any], problem: str
) -> None:
    found = check(call, **changes)
    assert found.status == 200, found.body
    assert any(problem in one for one in found.body["problems"]), found.body["problems"]
    refused = call("PUT", PATH, body=KLING | changes)
    assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
    assert problem in refused.body["details"]
    assert call("GET", PATH).status == 404


def priced_by_size(
    choices: list[str], template: Any, rates: list[Any], ignores: list[str]
) -> dict[str, Any]:
    """Members of an entry with these resolutions, whose request states them by ``template``."""
    size = {"type": "choice", "choices": choices, "default": choices[0]}
    parameters = {"resolution": size, "audio": {"type": "boolean", "default": True}}
    price = {
        "kind": "rates",
        "per": "generation",
        "rates": [{"when": when, "millicredits": millicredits} for when, millicredits in rates],
    }
    route = {
        "provider": "fal",
        "endpoint": "fal-ai/acme",
        "ignores": ignores,
        "body": {"prompt": {"$": "prompt"}, "size": template},
    }
    simple = {"image": "none", "presets": {}}
    return simple | {"parameters": parameters, "price": price, "routes": [route]}


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        # The first and the last of three have one request; each differs from its neighbours.
        (
            priced_by_size(
                ["720p", "1080p", "4k"],
                {"$": "resolution", "map": {"720p": "x", "1080p": "y", "4k": "x"}},
                [
                    ({"resolution": "720p"}, 1_000),
                    ({"resolution": "1080p"}, 2_000),
                    ({"resolution": "4k"}, 3_000),
                ],
                ["audio"],
            ),
            "resolution",
        ),
        # The sound has a price only beside a resolution that is not the default.
        (
            priced_by_size(
                ["720p", "1080p"],
                {
                    "$": ["resolution", "audio"],
                    "map": {
                        "720p false": "x",
                        "720p true": "x",
                        "1080p false": "y",
                        "1080p true": "y",
                    },
                },
                [
                    ({"resolution": "720p"}, 1_000),
                    ({"resolution": "1080p", "audio": False}, 2_000),
                    ({"resolution": "1080p", "audio": True}, 3_000),
                ],
                [],
            ),
            "audio",
        ),
    ],
)
def test_two_prices_for_one_request_are_a_problem(
    call: Caller, entry: dict[str, Any], name: str
) -> None:
    problem = f"routes: fal: text: body: {name} changes the price, but not the request"
    assert check(call, **entry).body["problems"] == [problem]
    refused = call("PUT", PATH, body=KLING | entry)
    assert (refused.status, refused.body["details"]) == (400, problem)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (fal_with(size={"$": []}), "body.size: $ must be a name"),
        (fal_with(size={"$": [], "map": {"a": 1}}), "body.size: $ must be a name"),
        (
            fal_with(size={"$": "aspect_ratio", "side": "width", "multiple_of": 10**400}),
            "body.size: multiple_of must be at most 2048",
        ),
        (
            {"routes": [FAL | {
                "ignores": [f"a{number}" for number in range(32)],
                "cases": FAL["cases"] | {"image": FAL["cases"]["image"] | {"ignores": ["b"]}},
            }]},
            "cases.image.ignores: more than 32 with those of the route",
        ),
    ],
)  # fmt: skip
def test_a_template_that_no_order_can_use_is_refused_with_its_place(
    call: Caller, changes: dict[str, Any], problem: str
) -> None:
    for answer in (check(call, **changes), call("PUT", PATH, body=KLING | changes)):
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
        assert problem in answer.body["details"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"presets": {"draft": {"duration": 16}}}, "draft: duration 16 is not among [3 to 15]"),
        (
            {
                "parameters": KLING["parameters"]
                | {"duration": {"type": "integer", "minimum": 3, "maximum": 15, "default": 2}}
            },
            "parameters.duration.integer: Value error, default: 2 is not allowed",
        ),
        (fal_with(seed={"$": "seed"}), "routes: fal: body: uses seed, which this model does not"),
        (
            {"price": KLING["price"] | {"rates": [{"when": {"fps": 24}, "millicredits": 1}]}},
            "price: rates.0: fps: no such choice: 24",
        ),
        (
            {"price": KLING["price"] | {"rates": [*KLING["price"]["rates"]] * 2}},
            "price: 2 prices for audio False",
        ),
    ],
    ids=["range", "default", "template", "price", "two prices"],
)
def test_an_entry_is_refused_with_the_place_of_its_fault(
    call: Caller, changes: dict[str, Any], place: str
) -> None:
    refused = call("PUT", PATH, body=KLING | changes)
    assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
    assert place in refused.body["details"]


LONG_AGO = "2020-01-01"


@pytest.mark.parametrize(
    ("routes", "problem"),
    [
        (
            [FAL | {"provider": "runway", "endpoint": "text_to_video/veo3"}],
            "runway: text_to_video/veo3 has ended: runwayml 5.24.0 has no call that creates it",
        ),
        (
            [FAL | {"retires_on": LONG_AGO}, RUNWARE | {"retires_on": LONG_AGO}],
            "routes: each has been retired: set available to false, or change retires_on",
        ),
    ],
    ids=["model", "routes"],
)
def test_a_model_whose_routes_have_ended_can_be_kept_but_not_offered(
    call: Caller, routes: list[Any], problem: str
) -> None:
    assert any(problem in one for one in check(call, routes=routes).body["problems"])
    refused = call("PUT", PATH, body=KLING | {"routes": routes})
    assert (refused.status, problem in refused.body["details"]) == (400, True)
    kept = check(call, routes=routes, available=False).body["problems"]
    assert not any(problem in one for one in kept)


@pytest.mark.parametrize("day", ["2026-02-30", "29.11.2026", "2026-11-29T00:00:00Z", ""])
def test_a_retirement_is_a_day(call: Caller, day: str) -> None:
    refused = call("PUT", PATH, body=KLING | {"routes": [FAL | {"retires_on": day}, RUNWARE]})
    assert (refused.status, "routes.0.retires_on" in refused.body["details"]) == (400, True)


def test_too_many_combinations_are_a_problem_and_not_a_time_out(call: Caller) -> None:
    flags = {f"flag{number}": {"type": "boolean", "default": True} for number in range(12)}
    answer = check(call, parameters=KLING["parameters"] | flags)
    assert any("more than 2000 combinations" in one for one in answer.body["problems"])


def test_a_check_of_another_model_than_in_the_path_is_refused(call: Caller) -> None:
    answer = call("POST", "/v1/admin/models/other/check", body=KLING)
    assert (answer.status, answer.body["details"]) == (400, "model_id: must be 'other'")


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────


def test_each_change_is_a_version_with_its_author(aws: Aws, call: Caller, hands: Clock) -> None:
    for number, author in enumerate(("ada", "bob", "eve"), start=1):
        hands.forward(minutes=1)
        answer = Caller(handler, user=author, scope="clipmint/admin")(
            "PUT", PATH, body=KLING | {"name": f"Kling {number}"}
        )
        assert answer.status == 200
    now = call("GET", PATH).body
    assert (now["version"], now["changed_by"], now["model"]["name"]) == (3, "eve", "Kling 3")
    before = [(one["version"], one["changed_by"], one["model"]["name"]) for one in now["history"]]
    assert before == [(2, "bob", "Kling 2"), (1, "ada", "Kling 1")]
    assert now["changed_at"] > now["history"][0]["changed_at"] > now["history"][1]["changed_at"]
    assert now["model"]["routes"] == KLING["routes"]


def test_a_default_model_is_version_one_without_an_author(call: Caller) -> None:
    seeded = call("GET", "/v1/admin/models/veo-3.1").body
    assert (seeded["version"], seeded["changed_by"], seeded["history"]) == (1, None, [])
    changed = seeded["model"] | {"available": False}
    assert call("PUT", "/v1/admin/models/veo-3.1", body=changed).status == 200
    now = call("GET", "/v1/admin/models/veo-3.1").body
    assert (now["version"], now["changed_by"]) == (2, "ada")
    assert [one["model"] for one in now["history"]] == [seeded["model"]]


def test_only_the_last_ten_versions_are_kept(aws: Aws, call: Caller) -> None:
    for number in range(1, 14):
        model_changes.change(kling(name=f"Kling {number}"), "ada")
    now = call("GET", PATH).body
    assert (now["version"], len(now["history"])) == (13, model_changes.HISTORY)
    assert now["history"][-1]["version"] == 3


@pytest.mark.parametrize(("character", "kept"), [('"', 5), ("é", 9)])
def test_of_large_models_as_many_versions_are_kept_as_an_item_holds(
    aws: Aws, call: Caller, character: str, kept: int
) -> None:
    choices = [f"{character * 60}{number}" for number in range(52)]
    style = {"type": "choice", "choices": choices, "default": choices[0]}
    styles = {f"style{number}": style for number in range(4)}
    large = kling(parameters=KLING["parameters"] | styles)
    assert 26_000 < len(large.model_dump_json().encode()) <= model_changes.MAX_ENTRY_BYTES
    for _ in range(10):
        model_changes.change(large, "ada")
    now = call("GET", PATH).body
    assert now["version"] == 10
    assert [one["version"] for one in now["history"]] == [*range(9, 9 - kept, -1)]


def test_two_changes_at_once_are_two_versions(aws: Aws, call: Caller) -> None:
    model_changes.change(kling(name="first"), "ada")
    met: list[str] = []

    def change_meanwhile(**_: object) -> None:
        if not met:
            met.append("bob")
            model_changes.change(kling(name="second"), "bob")

    with hooked(client_of(CatalogItem), {"before-call.dynamodb.PutItem": change_meanwhile}):
        model_changes.change(kling(name="third"), "eve")
    now = call("GET", PATH).body
    assert [now["changed_by"], *(one["changed_by"] for one in now["history"])] == [
        "eve",
        "bob",
        "ada",
    ]


def test_a_model_that_keeps_changing_is_not_changed(aws: Aws) -> None:
    model_changes.change(kling(name="first"), "ada")
    busy: list[int] = []

    def change_meanwhile(**_: object) -> None:
        if not busy or busy[-1] == 0:
            busy.append(1)
            model_store.put(kling(name=f"other {len(busy)}"))
            busy.append(0)

    with (
        hooked(client_of(CatalogItem), {"before-call.dynamodb.PutItem": change_meanwhile}),
        pytest.raises(TemporarilyUnavailable),
    ):
        model_changes.change(kling(name="mine"), "eve")


# ── Delete ───────────────────────────────────────────────────────────────────────────────────────


def test_a_deleted_model_is_gone_and_an_update_does_not_bring_it_back(
    aws: Aws, call: Caller
) -> None:
    assert call("DELETE", "/v1/admin/models/veo-3.1").status == 204
    for answer in (
        call("GET", "/v1/admin/models/veo-3.1"),
        call("DELETE", "/v1/admin/models/veo-3.1"),
    ):
        assert (answer.status, answer.code) == (404, "MODEL_NOT_FOUND")
    assert seeding.seed(first_deployment=False) == []
    assert "veo-3.1" not in {model.model_id for model in model_store.all_models()}


@pytest.mark.parametrize("model_id", ["%23state", "no-such", "x" * 100])
def test_what_is_no_model_can_be_neither_read_nor_deleted(
    aws: Aws, call: Caller, model_id: str
) -> None:
    for method in ("GET", "DELETE"):
        answer = call(method, f"/v1/admin/models/{model_id}")
        assert (answer.status, answer.code) == (404, "MODEL_NOT_FOUND")
    assert model_store.state_item()
