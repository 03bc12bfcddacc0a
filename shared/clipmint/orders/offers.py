"""The models that can be ordered now: available, and with a route to a provider that has a key."""

from __future__ import annotations

from typing import Literal

from clipmint.catalog import model_store
from clipmint.catalog.model import Model, Route
from clipmint.providers import registry


def offered() -> list[Model]:
    """Every model that a user can order now, sorted by id."""
    return [model for model in model_store.all_models() if is_offered(model)]


def open_routes(model: Model) -> list[Route]:
    """The routes of a model to providers for which the owner has set a key, in order."""
    configured = registry.configured()
    return [route for route in model.routes if route.provider in configured]


def is_offered(model: Model) -> bool:
    """Whether a user can choose this model for a video now."""
    # An image is only generated as a stage of a scene's video, never alone.
    return is_orderable(model, "video")


def is_orderable(model: Model, produces: Literal["video", "image"]) -> bool:
    """Whether this model produces ``produces`` and can be ordered now."""
    return model.available and model.produces == produces and bool(open_routes(model))
