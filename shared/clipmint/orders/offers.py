"""Which models can be ordered now: available, and with a route whose provider has a key."""

from __future__ import annotations

from typing import Literal

from clipmint.catalog import model_store
from clipmint.catalog.model import Model, Route
from clipmint.providers import registry


def offered() -> list[Model]:
    """Every model a user can order now, by id."""
    return [model for model in model_store.all_models() if is_offered(model)]


def open_routes(model: Model) -> list[Route]:
    """The routes of a model that lead to a provider whose key the owner has set, in order."""
    configured = registry.configured()
    return [route for route in model.routes if route.provider in configured]


def is_offered(model: Model) -> bool:
    """Whether a user can choose this model for a video now."""
    # Pictures are made on the way to a scene's video, not by themselves.
    return is_orderable(model, "video")


def is_orderable(model: Model, produces: Literal["video", "image"]) -> bool:
    """Whether a model that makes this can be ordered now."""
    return model.available and model.produces == produces and bool(open_routes(model))
