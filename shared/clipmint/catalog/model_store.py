"""The deployed catalog: the Models table, cached in memory for a minute.

A changed price or a disabled model therefore takes effect in every function within
`CACHE_SECONDS`. A job keeps the price at which it started.
"""

from __future__ import annotations

import time

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import DoesNotExist, PutError
from pynamodb.models import Model as TableModel

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import MAX_MODEL_ID_CHARACTERS, Model
from clipmint.errors import ModelNotFound
from clipmint.tables import FromEnvironment, TableMeta

CACHE_SECONDS = 60


class CatalogItem(TableModel):
    """One model of the catalog, as JSON."""

    class Meta(TableMeta):
        table_name = FromEnvironment("MODELS_TABLE")

    model_id = UnicodeAttribute(hash_key=True)
    definition = UnicodeAttribute()


class _Cache:
    def __init__(self) -> None:
        self.models: dict[str, tuple[float, Model]] = {}
        self.all: tuple[float, list[Model]] | None = None


_cache = _Cache()


def forget() -> None:
    """Drop the cache, as a new process has none."""
    _cache.models.clear()
    _cache.all = None


def find(model_id: str) -> Model:
    """The model with this id, also if it is unavailable. Raises `ModelNotFound`."""
    if len(model_id) > MAX_MODEL_ID_CHARACTERS:
        raise ModelNotFound("There is no such model")  # longer than any key we accept
    cached = _cache.models.get(model_id)
    if cached and time.monotonic() - cached[0] < CACHE_SECONDS:
        return cached[1]
    try:
        item = CatalogItem.get(model_id)
    except DoesNotExist:
        raise ModelNotFound(f"There is no model {model_id!r}") from None
    model = Model.model_validate_json(item.definition)
    _cache.models[model_id] = (time.monotonic(), model)
    return model


def all_models() -> list[Model]:
    """Every model of the catalog, sorted by id."""
    if _cache.all is None or time.monotonic() - _cache.all[0] >= CACHE_SECONDS:
        # A scan, because we need the whole table: a catalog is a few dozen items.
        models = [Model.model_validate_json(item.definition) for item in CatalogItem.scan()]
        _cache.all = (time.monotonic(), sorted(models, key=lambda model: model.model_id))
    return _cache.all[1]


def put(model: Model) -> None:
    """Add or replace a model."""
    CatalogItem(model.model_id, definition=model.model_dump_json()).save()
    _cache.models.pop(model.model_id, None)
    _cache.all = None


def seed() -> list[str]:
    """Add the default models that are missing. Existing models keep the owner's changes.

    Returns
    -------
    list
        The ids of the added models.
    """
    added = []
    for model in DEFAULT_CATALOG:
        item = CatalogItem(model.model_id, definition=model.model_dump_json())
        try:
            item.save(condition=CatalogItem.model_id.does_not_exist())
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
        else:
            added.append(model.model_id)
    return added
