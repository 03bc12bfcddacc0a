"""The packs, in one item: there are a few dozen, and each read needs one or all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model

from clipmint import aws, unreadable
from clipmint.credits.ledger_items import AccountItem
from clipmint.errors import InvalidRequest, PackNotFound, try_again
from clipmint.purchases.pack import MAX_PACKS, STORES, Pack
from clipmint.tables import FromEnvironment, TableMeta

Packs = Mapping[str, Pack]
MAX_ATTEMPTS = 8
MAX_BYTES = 350_000
"""Of all packs together. An item of DynamoDB has at most 400 kB."""


class PacksItem(Model):
    """All packs. The audit skips it, as it does references."""

    class Meta(TableMeta):
        table_name = FromEnvironment("LEDGER_TABLE")

    key = UnicodeAttribute(hash_key=True, attr_name="user_id", default="PACKS")
    sk = UnicodeAttribute(range_key=True, default="REFERENCE")
    packs = UnicodeAttribute()
    revision = NumberAttribute()


def all_packs() -> Packs:
    """The packs by product id (strongly consistent).

    Raises `TemporarilyUnavailable` if they cannot be read.
    """
    return _read()[0]


def find(store: str, product_id: str) -> tuple[str, Pack] | None:
    """The pack that a store sells as this product, with its own id; None if there is none."""
    packs = all_packs().items()
    return next((each for each in packs if each[1].is_sold_as(store, product_id, each[0])), None)


def put(product_id: str, pack: Pack) -> None:
    """Add or replace a pack.

    Raises `InvalidRequest` if another pack is sold as one of its products, or if there are too many
    packs.
    """

    def change(packs: dict[str, Pack]) -> None:
        packs[product_id] = pack
        if len(packs) > MAX_PACKS:
            raise InvalidRequest("There are too many packs", details=f"At most {MAX_PACKS}")
        _check_unique(product_id, packs)

    _change(change)


def delete(product_id: str) -> None:
    """Remove a pack. Payments for its product wait then. Raises `PackNotFound`."""

    def change(packs: dict[str, Pack]) -> None:
        if packs.pop(product_id, None) is None:
            raise no_pack(product_id)

    _change(change)


def no_pack(product_id: str) -> PackNotFound:
    """The error for a product that no pack has."""
    return PackNotFound(f"There is no pack {product_id!r}")


def _check_unique(product_id: str, packs: Packs) -> None:
    own = _products(product_id, packs[product_id])
    for other_id, other in packs.items():
        if other_id != product_id and (same := own & _products(other_id, other)):
            store, product = min(same)
            raise InvalidRequest(
                "Two packs have the same product",
                details=f"store_ids.{store}: {product} is {other_id}, too",
            )


def _products(own_id: str, pack: Pack) -> set[tuple[str, str]]:
    """The store and id of each product that a pack is sold as: in each store also its own id."""
    return {(store, each) for store in STORES for each in (own_id, *pack.store_ids.get(store, []))}


def _change(change: Callable[[dict[str, Pack]], None]) -> None:
    def attempt() -> None:
        before, revision = _read()
        packs = dict(before)
        change(packs)
        text = json.dumps({key: pack.model_dump(mode="json") for key, pack in packs.items()})
        if len(text) > MAX_BYTES:
            raise InvalidRequest(
                "All packs together are too large", details=f"At most {MAX_BYTES} bytes"
            )
        unchanged = PacksItem.revision == revision if revision else PacksItem.key.does_not_exist()
        # In a transaction, which reports a conflict in one way, whether it is a condition or not.
        with aws.write_transaction(AccountItem) as transaction:
            item = PacksItem("PACKS", packs=text, revision=revision + 1)
            transaction.save(item, condition=unchanged)

    aws.retry_on_conflict(
        attempt,
        attempts=MAX_ATTEMPTS,
        longest_pause=aws.growing_pause,
        otherwise=try_again("The packs are being changed"),
    )


def _read() -> tuple[Packs, int]:
    try:
        item = PacksItem.get("PACKS", "REFERENCE", consistent_read=True)
    except DoesNotExist:
        return {}, 0

    def read() -> Packs:
        found = json.loads(item.packs).items()
        return {key: Pack.model_validate(pack, strict=False) for key, pack in found}

    return unreadable.required(read, "packs", "PACKS"), int(item.revision)
