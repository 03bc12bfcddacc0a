"""The Models table: seeded once, then the owner's."""

from __future__ import annotations

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model
from clipmint.catalog.pricing import FixedPrice
from clipmint.errors import ModelNotFound
from clipmint.orders import offers
from tests.support.clock import Clock
from tests.support.moto_aws import Aws


def test_a_new_table_gets_the_whole_default_catalog(aws: Aws) -> None:
    assert {item["model_id"]["S"] for item in aws.items("MODELS_TABLE")} == {
        model.model_id for model in DEFAULT_CATALOG
    }
    for model in DEFAULT_CATALOG:
        assert model_store.find(model.model_id) == model


def test_seeding_again_keeps_what_the_owner_changed_and_brings_back_what_is_gone(
    aws: Aws,
) -> None:
    dearer = DEFAULT_CATALOG[0].model_copy(update={"price": FixedPrice(credits=99)})
    model_store.put(dearer)
    aws.dynamodb.delete_item(
        TableName="ModelsTable", Key={"model_id": {"S": DEFAULT_CATALOG[1].model_id}}
    )
    assert model_store.seed() == [DEFAULT_CATALOG[1].model_id]
    assert model_store.seed() == []
    assert model_store.find(dearer.model_id) == dearer


def test_only_what_is_switched_on_is_offered_in_a_fixed_order(aws: Aws) -> None:
    assert [model.model_id for model in offers.offered()] == [
        "veo-3.1",
        "veo-3.1-i2v",
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
