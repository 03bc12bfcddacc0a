"""The digest that makes the functions publish a version."""

from __future__ import annotations

from functions.seed import app

BEFORE = {
    "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:seed",
    "ServiceTimeout": "120",
    "CatalogVersion": "arn:aws:lambda:us-east-1:123456789012:layer:clipmint:1",
    "ProviderOverrides": "{}",
    "Settings": ["INFO", "table-1"],
}


def test_the_release_changes_with_the_layer_and_with_every_setting() -> None:
    changed = [
        BEFORE,
        BEFORE | {"CatalogVersion": "arn:aws:lambda:us-east-1:123456789012:layer:clipmint:2"},
        BEFORE | {"ProviderOverrides": '{"fal": {}}'},
        BEFORE | {"Settings": ["DEBUG", "table-1"]},
        BEFORE | {"Settings": ["INFO", "table-2"]},
    ]
    assert len({app.release(properties) for properties in changed}) == len(changed)


def test_the_release_is_the_same_after_a_roll_back_and_without_a_change() -> None:
    assert app.release(dict(reversed(BEFORE.items()))) == app.release(BEFORE)
    assert app.release(BEFORE | {"ServiceTimeout": "60"}) == app.release(BEFORE)
