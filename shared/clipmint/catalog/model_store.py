"""The deployed catalog: the Models table, cached in memory for a minute.

A changed price or a disabled model therefore takes effect in every function within
`CACHE_SECONDS`. A job keeps the price at which it started.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Iterable
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.update import Action
from pynamodb.models import Model as TableModel

from clipmint import unreadable
from clipmint.catalog import durations
from clipmint.catalog.durations import Estimate
from clipmint.catalog.model import MAX_MODEL_ID_CHARACTERS, Model, Settings
from clipmint.catalog.pricing import FixedPrice, PerSecondPrice
from clipmint.catalog.route import Route
from clipmint.catalog.tolerance import DEFAULT
from clipmint.errors import ModelNotFound
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.unreadable import UNREADABLE

CACHE_SECONDS = 60


class CatalogItem(TableModel):
    """One model of the catalog, as JSON; or, at `STATE_ID`, the state of the catalog.

    ``definition`` is what every version of this code can read. If that cannot describe the model,
    it describes one that is not offered, and ``entry`` is the model. A version that does not know
    ``entry`` replaces the whole item when it writes a model, so ``entry`` is never out of date.

    ``version`` counts the changes through the API since the model was added, ``changed_by`` and
    ``changed_at`` belong to the last one, and ``history`` are the last ones before it.

    ``providers`` are those with a key. ``durations`` are estimates, see
    `clipmint.catalog.durations`. ``seeded`` are the ids of all default models that were ever
    added, and ``loaded`` is set once the first of all deployments has added its own.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("MODELS_TABLE")

    model_id = UnicodeAttribute(hash_key=True)
    definition = UnicodeAttribute()
    entry = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    changed_by = UnicodeAttribute(null=True)
    changed_at = UnicodeAttribute(null=True)
    history: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    providers: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    seeded = UnicodeSetAttribute(null=True)
    loaded = BooleanAttribute(null=True)
    durations = UnicodeAttribute(null=True)


_READ = ["model_id", "definition", "entry", "providers", "seeded", "loaded", "durations"]
"""The attributes that functions read with the catalog: not the history."""

STATE_ID = "#state"
"""Key of the item with the state of the catalog, which is no model: no model has such an id."""


def _is_plain(model: Model) -> bool:
    """Whether the versions before parameters, bodies and rates can read the model."""
    settings = [model.defaults, *model.presets.values()]
    return (
        not model.parameters
        and isinstance(model.price, FixedPrice | PerSecondPrice)
        and all(route.body is None and not route.ignores for route in model.routes)
        and not any(route.list_price or route.retires_on for route in model.routes)
        and not any(one.__pydantic_extra__ for one in settings)
        and model.tolerance == DEFAULT
        and model.expected_seconds is None
        and model.identical is None
    )


def _json(model: Model) -> str:
    # Versions that do not know aliases reject a definition with such a field, even an empty one.
    # They read it while they are being replaced, and after a roll-back.
    return model.model_dump_json(exclude=None if model.aliases else {"aliases"})


def _not_offered(model_id: str, name: str) -> str:
    route = Route(provider="none", endpoint="none")
    price = FixedPrice(credits=1)
    return _json(Model(model_id=model_id, name=name, available=False, price=price, routes=[route]))


def item_of(model: Model) -> CatalogItem:
    """A model as an item."""
    if _is_plain(model):
        return CatalogItem(model.model_id, definition=_json(model))
    stand_in = _not_offered(model.model_id, model.name)
    return CatalogItem(model.model_id, definition=stand_in, entry=_json(model))


class _Cache:
    def __init__(self) -> None:
        self.models: dict[str, tuple[float, Model]] = {}
        self.all: tuple[float, list[Model]] | None = None
        self.state: tuple[float, CatalogItem | None] | None = None


_cache = _Cache()


def forget() -> None:
    """Drop the cache, as a new process has none."""
    _cache.models.clear()
    _cache.all = None
    _cache.state = None


def no_model(model_id: str) -> ModelNotFound:
    """The error for an id that no model has."""
    return ModelNotFound(
        f"There is no model {model_id!r}", details="model_id: GET /v1/models lists all models"
    )


def find(model_id: str) -> Model:
    """The model with this id, also if it is unavailable.

    Raises `ModelNotFound`, also for one that cannot be read.
    """
    if len(model_id) > MAX_MODEL_ID_CHARACTERS or model_id == STATE_ID:
        raise no_model(model_id[:MAX_MODEL_ID_CHARACTERS])  # not an id that a model can have
    cached = _cache.models.get(model_id)
    if cached and time.monotonic() - cached[0] < CACHE_SECONDS:
        return cached[1]
    try:
        item = CatalogItem.get(model_id, attributes_to_get=_READ)
    except DoesNotExist:
        raise no_model(model_id) from None
    try:
        model = model_of(item)
    except UNREADABLE as error:
        unreadable.report("model", model_id, error)
        raise no_model(model_id) from None
    _cache.models[model_id] = (time.monotonic(), model)
    return model


def all_models() -> list[Model]:
    """Every model of the catalog that can be read, sorted by id."""
    if _cache.all is None or time.monotonic() - _cache.all[0] >= CACHE_SECONDS:
        # A scan, because we need the whole table: a catalog is a few dozen items.
        now, by_id = time.monotonic(), operator.attrgetter("model_id")
        found = CatalogItem.scan(attributes_to_get=_READ)
        items = list(unreadable.readable(found, lambda item: item, "model", by_id))
        state = next((item for item in items if item.model_id == STATE_ID), None)
        models = [item for item in items if item is not state]
        readable = unreadable.readable(models, model_of, "model", by_id)
        _cache.all = now, sorted(readable, key=by_id)
        _cache.state = now, state
    return _cache.all[1]


def id_of(name: str) -> str:
    """The id of the model that has this id or this alias, in any case; else the name unchanged.

    If two models have the alias, it is the first of them by id.
    """
    models = all_models()
    if any(model.model_id == name for model in models):
        return name
    return next(
        (
            model.model_id
            for model in models
            if name.casefold() in {alias.casefold() for alias in model.aliases}
        ),
        name,
    )


def model_of(item: CatalogItem) -> Model:
    """The model in an item. Raises one of `unreadable.UNREADABLE`."""
    # Unlike a request: a newer version may have written further fields.
    return Model.model_validate_json(item.entry or item.definition, extra="ignore")


def put(model: Model) -> None:
    """Add or replace a model, without a record of the change."""
    item_of(model).save()
    forget_model(model.model_id)


def forget_model(model_id: str) -> None:
    """Read this model again: it was changed here."""
    _cache.models.pop(model_id, None)
    _cache.all = None


# ── Providers with a key ─────────────────────────────────────────────────────────────────────────


def providers_with_keys() -> frozenset[str] | None:
    """The providers for which the owner had set a key when the sweep last looked; None before its
    first look. At most `CACHE_SECONDS` older than the record."""
    return _providers(_recent_state())


def _recent_state() -> CatalogItem | None:
    if _cache.state is None or time.monotonic() - _cache.state[0] >= CACHE_SECONDS:
        _cache.state = time.monotonic(), state_item()
    return _cache.state[1]


def record_providers(names: Iterable[str]) -> None:
    """Record for which providers the owner has set a key.

    So the functions that only need these names need not read the keys.
    """
    wanted = frozenset(names)
    if _providers(state_item()) != wanted:
        update_state(CatalogItem.providers.set(sorted(wanted)))


def _providers(state: CatalogItem | None) -> frozenset[str] | None:
    return None if state is None or state.providers is None else frozenset(state.providers)


# ── How long generations take ────────────────────────────────────────────────────────────────────


def estimate(model: Model, provider: str, settings: Settings) -> Estimate | None:
    """How long a generation takes: as recent ones show, else as the entry states; None if neither.
    At most `CACHE_SECONDS` older than the record."""
    state = _recent_state()
    learned = durations.read(state.durations) if state and state.durations else {}
    found = learned.get(durations.key_of(model.model_id, provider, settings.stated()))
    if found is None and model.expected_seconds is not None:
        return Estimate.stated(model.expected_seconds)
    return found


def learn_duration(key: str, earliest: float, latest: float) -> None:
    """Record that a generation ended so many seconds after its submission, between two polls.

    Two concurrent calls may lose one observation: the estimate is only a little older then.
    """
    state = state_item()
    known = durations.read(state.durations) if state else {}
    before = known.get(key)
    after = before.after(earliest, latest) if before else durations.first(earliest, latest)
    text = durations.write(known, key, after)
    if state is None or text != state.durations:
        update_state(CatalogItem.durations.set(text))


def state_item() -> CatalogItem | None:
    """The state of the catalog; None before the first deployment."""
    try:
        return CatalogItem.get(STATE_ID, consistent_read=True)
    except DoesNotExist:
        return None


def update_state(*actions: Action) -> None:
    """Change the state of the catalog."""
    # A version that does not know the item reads it as a model, after a roll-back: as one that is
    # not offered.
    no_model = _not_offered("state", "State")
    CatalogItem(STATE_ID).update([CatalogItem.definition.set(no_model), *actions])
