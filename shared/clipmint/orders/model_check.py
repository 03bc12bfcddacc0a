"""The check of a catalog entry: the price and the exact body of every kind of order. Sends nothing.

An entry that passes can be ordered: each of its routes makes a body for every combination of
choices, states what the price depends on, and drops nothing that a user chose.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from clipmint import clock
from clipmint.catalog import model_changes, retirements
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.parameters import Choice, Switch, Text
from clipmint.catalog.route import Kind, Route
from clipmint.catalog.templates import INPUTS, Value, names_in
from clipmint.errors import InvalidRequest
from clipmint.providers import registry
from clipmint.providers.base import Task, UnfitTask
from clipmint.values import frozen

MAX_ORDERS = 2_000
"""Combinations of choices that one check renders for each route."""

MAX_PROBLEMS = 20

MAX_SAMPLES = 300
"""Orders in one answer, so that it fits into a response."""

_PROMPT = "A fox in the snow"
_TASK_ID = "00000000-0000-4000-8000-000000000000"
_WEBHOOK = "https://example.com/webhooks"
_FIRST, _LAST = "https://example.com/first.png", "https://example.com/last.png"


@frozen
class Sent:
    """What one route would send; ``problem`` instead, if it cannot."""

    provider: str
    endpoint: str
    body: Mapping[str, JsonValue] | None
    problem: str | None


@frozen
class Sample:
    """One order: its name, such as ``preset draft``, what it starts from, and its price."""

    name: str
    kind: Kind
    settings: Settings
    credits: int
    requests: tuple[Sent, ...]


@frozen
class Checked:
    """The orders that were looked at, and what is wrong; nothing, if the entry is good."""

    samples: tuple[Sample, ...]
    problems: tuple[str, ...]


def check(model: Model) -> Checked:
    """Look at each preset and each extreme of the parameters, for each route."""
    samples = (
        _sample(model, name, kind, settings)
        for kind in model.kinds()
        for name, settings in _named_orders(model)
    )
    return Checked(
        tuple(itertools.islice(samples, MAX_SAMPLES)),
        tuple(dict.fromkeys(_problems(model)))[:MAX_PROBLEMS],
    )


def put(model: Model, author: str) -> None:
    """Add or replace a model, if `check` finds nothing wrong.

    Raises
    ------
    InvalidRequest
        ``details`` name each problem. Nothing was changed.
    TemporarilyUnavailable
        Others are changing this model.
    """
    if problems := tuple(dict.fromkeys(_problems(model)))[:MAX_PROBLEMS]:
        raise InvalidRequest("This model cannot be ordered", details="; ".join(problems))
    model_changes.change(model, author)


def _sample(model: Model, name: str, kind: Kind, settings: Settings) -> Sample:
    requests = tuple(_sent(route, kind, settings) for route in model.routes)
    return Sample(name, kind, settings, model.credits(settings), requests)


def _sent(route: Route, kind: Kind, settings: Settings) -> Sent:
    if route.provider not in registry.NAMES:
        return Sent(route.provider, route.endpoint, None, "There is no such provider")
    try:
        endpoint, body = request(route, kind, settings)
    except UnfitTask as unfit:
        return Sent(route.provider, route.endpoint, None, unfit.failure.detail)
    return Sent(route.provider, endpoint, body, None)


def request(
    route: Route, kind: Kind, settings: Settings, references: int = 0
) -> tuple[str, Mapping[str, JsonValue]]:
    """The path or endpoint, and the body, that a route sends for an order of this kind.

    Raises
    ------
    UnfitTask
        It cannot.
    """
    task = Task(
        task_id=_TASK_ID,
        route=route,
        prompt=_PROMPT,
        image_url=None if kind == "text" else _FIRST,
        last_image_url=_LAST if kind == "frames" else None,
        settings=settings.stated(),
        webhook_url=_WEBHOOK,
        reference_image_urls=(_FIRST,) * references,
    )
    return registry.request_of(route.provider, task)


def _named_orders(model: Model) -> Iterator[tuple[str, Settings]]:
    """The defaults, the presets, and each extreme of each parameter beside the defaults."""
    yield "defaults", model.resolve(None, None)
    for preset in model.presets:
        yield f"preset {preset}", model.resolve(preset, None)
    for name, parameter in model.declared().items():
        for value in parameter.extremes():
            shown = f"{len(str(value))} characters" if isinstance(parameter, Text) else value
            settings = Settings.model_validate({name: value})
            yield f"{name}: {shown}", model.resolve(None, settings)


def _problems(model: Model) -> Iterator[str]:
    size = len(model.model_dump_json().encode())
    if size > model_changes.MAX_ENTRY_BYTES:
        yield f"{size} bytes of JSON; at most {model_changes.MAX_ENTRY_BYTES}"
    unknown = {route.provider for route in model.routes} - registry.NAMES
    if unknown:
        known = ", ".join(sorted(registry.NAMES))
        yield f"routes: provider: {', '.join(sorted(unknown))}: there are {known}"
        return
    if model.available:
        yield from _problems_of_retirements(model)
    for route in model.routes:
        place = f"routes: {route.provider}"
        wrong = [*_problems_of_names(model, route)]
        for kind in model.kinds():
            wrong += [*_problems_of_orders(model, route, kind)]
        yield from (f"{place}: {problem}" for problem in wrong)


def _problems_of_retirements(model: Model) -> Iterator[str]:
    """What a model that is not available may still have, such as one that is kept for its jobs."""
    for route in model.routes:
        for endpoint in {route.endpoint, *(case.endpoint or "" for case in route.cases.values())}:
            if why := retirements.reason(route.provider, endpoint):
                yield f"routes: {route.provider}: {endpoint} has ended: {why}"
    today = f"{clock.now():%Y-%m-%d}"
    if all(route.is_retired(today) for route in model.routes):
        yield "routes: each has been retired: set available to false, or change retires_on"


def _problems_of_names(model: Model, route: Route) -> Iterator[str]:
    """Values that a template uses and that no order of this model has."""
    used = names_in(route.body or {}).union(*(names_in(c.body) for c in route.cases.values()))
    if missing := sorted(used - {*INPUTS, *model.declared()}):
        yield f"body: uses {', '.join(missing)}, which this model does not have"
    ignored = {*route.ignores, *(name for case in route.cases.values() for name in case.ignores)}
    if affecting := sorted(ignored & model.priced_by):
        yield f"ignores: {', '.join(affecting)}: the price depends on it"
    if spare := sorted({*route.cases} - {*model.kinds()}):
        yield f"cases: {', '.join(spare)}: this model starts from {', '.join(model.kinds())}"


def _problems_of_orders(model: Model, route: Route, kind: Kind) -> Iterator[str]:
    combinations = [*itertools.islice(_combinations(model), MAX_ORDERS + 1)]
    if len(combinations) > MAX_ORDERS:
        yield f"parameters: more than {MAX_ORDERS} combinations"
        return
    prices = _Prices(model)
    for settings in (
        *combinations,
        *(settings for _, settings in _named_orders(model)),
        *_each_value(model),
    ):
        for references in sorted({0, model.max_reference_images}):
            try:
                sent = request(route, kind, settings, references)
            except UnfitTask as unfit:
                yield f"{kind}: {unfit.failure.detail}"
                return
            prices.add(sent, settings)
    if prices.unstated:
        names = " or ".join(sorted(prices.unstated))
        yield f"{kind}: body: {names} changes the price, but not the request"


class _Prices:
    """The price of each request. ``unstated`` are the parameters that a price depends on and that
    differ between two orders with one request and two prices: they are not passed on."""

    def __init__(self, model: Model) -> None:
        self.unstated: set[str] = set()
        self._model = model
        self._first: dict[str, tuple[int, Settings]] = {}

    def add(self, sent: tuple[str, Mapping[str, JsonValue]], settings: Settings) -> None:
        price = self._model.credits(settings)
        first, other = self._first.setdefault(json.dumps(sent, sort_keys=True), (price, settings))
        if price != first:
            values, others = settings.stated(), other.stated()
            priced = self._model.priced_by
            self.unstated |= {name for name in priced if values.get(name) != others.get(name)}


def _each_value(model: Model) -> Iterator[Settings]:
    """Every value that a price depends on, also those between extremes, beside the defaults."""
    for name in sorted(model.priced_by):
        for value in model.values_of(name):
            yield model.resolve(None, Settings.model_validate({name: value}))


def _combinations(model: Model) -> Iterator[Settings]:
    """Every combination of choices, with the extremes of a duration."""
    values: dict[str, list[Value]] = {
        name: [*parameter.extremes()]
        for name, parameter in model.declared().items()
        if isinstance(parameter, Choice | Switch) or name == "duration"
    }
    for combination in itertools.product(*values.values()):
        chosen = Settings.model_validate(dict(zip(values, combination, strict=True)))
        yield model.resolve(None, chosen)
