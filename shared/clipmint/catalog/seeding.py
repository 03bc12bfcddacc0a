"""The default models, added to an installation once.

Only the custom resource of a deployment imports this: no other function needs the defaults.
"""

from __future__ import annotations

from pynamodb.exceptions import PutError

from clipmint import aws
from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG, DEFAULTS_BEFORE_RECORD
from clipmint.catalog.model import Model
from clipmint.catalog.model_store import CatalogItem


def seed(*, first_deployment: bool) -> list[str]:
    """Add the default models that this installation has never had.

    Models that exist keep the owner's changes, and those that the owner has deleted stay deleted.
    An update adds new models switched off: the owner decides whether to sell them, and at which
    price.

    After a crash the call is repeated: each model is added before its id is recorded, and adding it
    again changes nothing.

    Returns
    -------
    list
        The ids of the added models.
    """
    state = model_store.state_item()
    offered = first_deployment and not (state and state.loaded)
    seeded = frozenset(state.seeded or ()) if state else frozenset()
    if not seeded and not first_deployment:
        # An installation that is older than this record has had all default models of its time.
        seeded = DEFAULTS_BEFORE_RECORD
        model_store.update_state(CatalogItem.seeded.add(set(seeded)))
    added = []
    for model in DEFAULT_CATALOG:
        if model.model_id not in seeded:
            if _add(model if offered else model.model_copy(update={"available": False})):
                added.append(model.model_id)
            model_store.update_state(CatalogItem.seeded.add({model.model_id}))
    model_store.update_state(CatalogItem.loaded.set(True))
    return added


def _add(model: Model) -> bool:
    """Whether there was no model with this id."""
    item = model_store.item_of(model)
    try:
        item.save(condition=CatalogItem.model_id.does_not_exist())
    except PutError as error:
        if not aws.condition_failed(error):
            raise
        return False
    return True
