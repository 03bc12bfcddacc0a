"""The Models table: seeded once, then the owner's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipmint.catalog import model_store, seeding
from clipmint.catalog.defaults import DEFAULT_CATALOG, DEFAULTS_BEFORE_RECORD
from clipmint.catalog.families import FAMILIES
from clipmint.catalog.model import Model
from clipmint.catalog.model_store import CatalogItem
from clipmint.catalog.pricing import FixedPrice
from clipmint.errors import ModelNotFound
from clipmint.orders import offers
from tests.support.clock import Clock
from tests.support.moto_aws import Aws, client_of, hooked

FIELDS_WITHOUT_ALIASES = {
    *("model_id", "name", "description", "available", "produces", "max_prompt_units"),
    *("image", "last_image", "max_reference_images", "allowed", "defaults", "presets", "price"),
    *("routes", "deadline_seconds", "poll_seconds"),
}
"""The fields that a model had before it could have aliases."""


def definition_of(item: dict[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(item["definition"]["S"])
    return definition


def by_id(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {item["model_id"]["S"]: dict(item) for item in items}
    for item in found.values():
        if "seeded" in item:
            item["seeded"] = sorted(item["seeded"]["SS"])
    return found


def models_in(aws: Aws) -> set[str]:
    return {item["model_id"]["S"] for item in aws.items("MODELS_TABLE")} - {model_store.STATE_ID}


def remove(aws: Aws, *keys: str) -> None:
    """Delete items of the Models table, as its owner may do."""
    for key in keys:
        aws.dynamodb.delete_item(TableName="ModelsTable", Key={"model_id": {"S": key}})
    model_store.forget()


def newer(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A version with one default model more."""
    model = DEFAULT_CATALOG[0].model_copy(update={"model_id": "veo-4"})
    monkeypatch.setattr(seeding, "DEFAULT_CATALOG", (*DEFAULT_CATALOG, model))
    return model


def test_a_new_table_gets_the_whole_default_catalog(aws: Aws) -> None:
    # The account of the tests has what seeding makes.
    before = aws.items("MODELS_TABLE")
    remove(aws, model_store.STATE_ID, *models_in(aws))
    assert seeding.seed(first_deployment=True) == [model.model_id for model in DEFAULT_CATALOG]
    model_store.record_providers(["fal"])
    assert by_id(aws.items("MODELS_TABLE")) == by_id(before)
    for model in DEFAULT_CATALOG:
        assert model_store.find(model.model_id) == model


@pytest.mark.parametrize("first_deployment", [True, False], ids=["adopted", "updated"])
def test_seeding_again_keeps_what_the_owner_changed_and_deleted(
    aws: Aws, first_deployment: bool
) -> None:
    dearer = DEFAULT_CATALOG[0].model_copy(update={"price": FixedPrice(credits=99)})
    model_store.put(dearer)
    remove(aws, DEFAULT_CATALOG[1].model_id)
    assert seeding.seed(first_deployment=first_deployment) == []
    assert model_store.find(dearer.model_id) == dearer
    assert DEFAULT_CATALOG[1].model_id not in models_in(aws)


@pytest.mark.parametrize("first_deployment", [True, False], ids=["adopted", "updated"])
def test_a_new_default_model_arrives_switched_off_once(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, first_deployment: bool
) -> None:
    new = newer(monkeypatch)
    assert seeding.seed(first_deployment=first_deployment) == ["veo-4"]
    assert model_store.find("veo-4") == new.model_copy(update={"available": False})
    remove(aws, "veo-4")
    assert seeding.seed(first_deployment=first_deployment) == []


def test_an_update_of_a_version_that_kept_no_record_brings_nothing_back(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {model.model_id for model in DEFAULT_CATALOG} >= DEFAULTS_BEFORE_RECORD
    remove(aws, model_store.STATE_ID, "veo-3.1-i2v")
    newer(monkeypatch)
    assert seeding.seed(first_deployment=False) == ["veo-4"]
    assert not model_store.find("veo-4").available
    assert seeding.seed(first_deployment=False) == []
    assert "veo-3.1-i2v" not in models_in(aws)


FEW = (*DEFAULT_CATALOG[:2], FAMILIES[0])
"""Each model is two writes like any other, and after them comes one more."""


@pytest.mark.parametrize("crash", range(1, 2 * len(FEW) + 2))
def test_a_first_deployment_that_crashed_ends_as_if_it_had_not(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    remove(aws, model_store.STATE_ID, *models_in(aws))
    monkeypatch.setattr(seeding, "DEFAULT_CATALOG", FEW)
    seed_and_crash(aws, crash, first_deployment=True)
    seeding.seed(first_deployment=True)
    for model in FEW:
        assert model_store.find(model.model_id) == model
    remove(aws, "veo-3.1")
    assert seeding.seed(first_deployment=False) == []


@pytest.mark.parametrize("crash", range(1, 5))
def test_an_update_that_crashed_brings_nothing_back(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    remove(aws, model_store.STATE_ID, "veo-3.1-i2v")
    newer(monkeypatch)
    seed_and_crash(aws, crash, first_deployment=False)
    seeding.seed(first_deployment=False)
    assert not model_store.find("veo-4").available
    assert "veo-3.1-i2v" not in models_in(aws)


class _Crash(BaseException):
    pass


def seed_and_crash(aws: Aws, writes: int, *, first_deployment: bool) -> None:
    """Seed in a process that is killed before a write; the writes are counted from 1."""
    left = writes

    def crash(**_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise _Crash

    writing = ("PutItem", "UpdateItem")
    events = {f"before-call.dynamodb.{operation}": crash for operation in writing}
    with hooked(client_of(CatalogItem), events), pytest.raises(_Crash):
        seeding.seed(first_deployment=first_deployment)


def test_an_older_version_reads_the_state_as_a_model_that_is_not_offered(aws: Aws) -> None:
    # After a roll-back. It scans the table, and reads every item strictly.
    read = [
        Model.model_validate_json(item["definition"]["S"]) for item in aws.items("MODELS_TABLE")
    ]
    unknown = {model.name: model.available for model in read if model not in DEFAULT_CATALOG}
    new = [*FAMILIES, model_store.find("sora-2-i2v")]
    assert unknown == {"State": False, **{model.name: False for model in new}}


def test_a_stored_model_has_only_fields_that_the_versions_before_this_field_accept(
    aws: Aws,
) -> None:
    # Such a version reads strictly: one more field, and it lists no model at all.
    model_store.put(DEFAULT_CATALOG[0].model_copy(update={"available": False}))
    stored = {field for item in aws.items("MODELS_TABLE") for field in definition_of(item)}
    assert stored == FIELDS_WITHOUT_ALIASES


def test_aliases_are_stored_with_their_model(aws: Aws) -> None:
    model = DEFAULT_CATALOG[0].model_copy(update={"aliases": ["a", "b"]})
    model_store.put(model)
    assert model_store.find(model.model_id) == model
    assert model_store.id_of("A") == model.model_id


def test_the_state_of_the_catalog_is_no_model(aws: Aws) -> None:
    assert model_store.STATE_ID not in {model.model_id for model in model_store.all_models()}
    with pytest.raises(ModelNotFound):
        model_store.find(model_store.STATE_ID)


def test_only_what_is_switched_on_is_offered_in_a_fixed_order(aws: Aws) -> None:
    assert [model.model_id for model in offers.offered()] == [
        "h3-max",
        "kling-3.0-pro",
        "kling-3.0-standard",
        "seedance-2.0-mini",
        "veo-3.1",
        "veo-3.1-fast",
        "veo-3.1-full",
        "veo-3.1-i2v",
        "veo-3.1-lite",
        "veo-3.1-transition",
    ]


def test_an_unknown_model_is_not_found(aws: Aws) -> None:
    with pytest.raises(ModelNotFound):
        model_store.find("veo-4")


def test_a_change_is_seen_by_others_within_a_minute(aws: Aws, hands: Clock) -> None:
    before = model_store.find("veo-3.1")
    offered = offers.offered()
    changed = before.model_copy(update={"available": False})
    # Written by another process: ours still has the old one in memory.
    aws.dynamodb.put_item(
        TableName="ModelsTable",
        Item={"model_id": {"S": "veo-3.1"}, "definition": {"S": changed.model_dump_json()}},
    )
    hands.forward(seconds=model_store.CACHE_SECONDS - 1)
    assert model_store.find("veo-3.1") == before
    assert offers.offered() == offered
    hands.forward(seconds=1)
    assert model_store.find("veo-3.1") == changed
    assert changed.model_id not in {model.model_id for model in offers.offered()}


def test_a_change_made_here_is_seen_here_at_once(aws: Aws) -> None:
    before = model_store.find("veo-3.1")
    offered = offers.offered()
    assert before in offered
    changed = Model.model_validate(before.model_dump() | {"available": False})
    model_store.put(changed)
    assert model_store.find("veo-3.1") == changed
    assert "veo-3.1" not in {model.model_id for model in offers.offered()}
