"""The models that can be ordered now: available, and with a route to a provider that has a key and
has not retired it.

Which providers have one is recorded with the catalog by the sweep, every minute. So the functions
that offer models and take orders have no access to the keys, and do not depend on them.
"""

from __future__ import annotations

from typing import Literal

from clipmint import clock
from clipmint.catalog import model_store
from clipmint.catalog.model import Model
from clipmint.catalog.route import Route
from clipmint.errors import InvalidRequest, ModelUnavailable

_ARTICLE = {"video": "a video", "image": "an image"}


def offered() -> list[Model]:
    """Every model that a user can order now, also those of images, sorted by id."""
    return [model for model in model_store.all_models() if is_offered(model)]


def open_routes(model: Model) -> list[Route]:
    """The routes of a model that are not retired, to providers for which the owner has set a key,
    in order."""
    today = f"{clock.now():%Y-%m-%d}"
    routes = [route for route in model.routes if not route.is_retired(today)]
    with_keys = model_store.providers_with_keys()
    if with_keys is None:
        return routes  # the sweep has not looked yet; Submit skips a provider without a key
    return [route for route in routes if route.provider in with_keys]


def is_offered(model: Model) -> bool:
    """Whether a user can order something from this model now."""
    return model.available and bool(open_routes(model))


def expected_seconds(model: Model) -> int | None:
    """How long a generation with the default settings takes, estimated; None if that is unknown."""
    routes = open_routes(model) or model.routes
    estimate = model_store.estimate(model, routes[0].provider, model.default_settings())
    return round(estimate.seconds) if estimate else None


def find_orderable(model_id: str, produces: Literal["video", "image"] = "video") -> Model:
    """A model that can be ordered now. Raises `ModelNotFound`, `ModelUnavailable`."""
    model = model_store.find(model_id)
    if model.produces != produces:
        # An image is only made as a stage of a scene's video, never alone.
        raise ModelUnavailable(
            f"{model.model_id} cannot make {_ARTICLE[produces]}",
            details=f"model_id: this model makes {_ARTICLE[model.produces]}",
        )
    if not is_offered(model):
        raise ModelUnavailable(f"{model.model_id} is not available at the moment")
    return model


def check_id(model_id: str, model: Model) -> None:
    """Raise `InvalidRequest` if the path and the body name different models."""
    if model.model_id != model_id:
        raise InvalidRequest(
            "The path and the body name different models",
            details=f"model_id: must be {model_id!r}",
        )
