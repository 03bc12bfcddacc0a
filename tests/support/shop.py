"""A store of the owner, as tests use it: what it delivers, and what its users have then."""

from __future__ import annotations

from clipmint.purchases import pack_store
from clipmint.purchases.pack import Pack
from functions.purchases.app import handler
from tests.support import store_wire as wire
from tests.support.gateway import Answer, Context, answer_of, event
from tests.support.jobs import journal
from tests.support.moto_aws import connect_stores
from tests.support.store_wire import Delivery


def open_shop(pro: Pack) -> None:
    """The owner has connected all stores, and offers two packs: credits, and the given one."""
    connect_stores(wire.SECRETS)
    pack_store.put("credits-500", Pack.model_validate(wire.PACK))
    pack_store.put("pro", pro)


def deliver(delivery: Delivery) -> Answer:
    """The response to one webhook of a store."""
    path = f"/webhooks/purchases/{delivery.store}"
    made = event("POST", path, user=None, headers=delivery.headers, body=delivery.body)
    return answer_of(handler(made, Context()))


def results(*deliveries: Delivery) -> list[str]:
    """What each fact of these webhooks has led to; ``nothing`` for a webhook without any."""
    found: list[str] = []
    for delivery in deliveries:
        answer = deliver(delivery)
        assert answer.status == 200, answer.body
        found += answer.body["results"] or ["nothing"]
    return found


def kinds(user_id: str) -> list[str]:
    """The kinds of a user's journal entries, oldest first."""
    return [entry.kind for entry in journal(user_id)]
