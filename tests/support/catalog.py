"""The models of the tests: the shortest clip, and when Track polls for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clipmint.catalog.model import Model

PRICE = 10
"""The price of each job of a test's own model, in credits."""

VEO_DRAFT = 16
"""The price of a draft (four seconds at 720p) of the Veo models in the default catalog."""

_SHORTEST: dict[str, Any] = {
    "description": "Made for tests.",
    "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9", "9:16"], "duration": [4]},
    "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
    "price": {"kind": "fixed", "credits": PRICE},
    "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1"}],
}

_DIFFERENCES: dict[str, dict[str, Any]] = {
    # Polled after a second, and every two from then on.
    "quick-t2v": {"poll_seconds": [1, 2]},
    # Polled so late that a test can inspect the job before.
    "steady-t2v": {"poll_seconds": [4, 1], "deadline_seconds": 1_200},
    # Never polled: only a webhook or the sweep changes its jobs.
    "patient-t2v": {"poll_seconds": [3600]},
    "quick-i2v": {
        "poll_seconds": [1, 2],
        "image": "required",
        "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1/image-to-video"}],
    },
    "retired-t2v": {"available": False},
}

MODELS = [
    {**_SHORTEST, "model_id": model_id, "name": model_id, **differences}
    for model_id, differences in _DIFFERENCES.items()
]

_POLLS = {"fal": [4, 8], "runway": [1, 2, 4, 8], "runware": [3, 4, 8]}
"""Longer where a provider sends webhooks, so that Track polls after the webhook arrived. The
intervals grow, because many functions that all poll every second slow each other down on a busy
computer.
"""
_UNWATCHED = {
    "runware-unwatched": "runware-veo-3.1",
    "image-unwatched": "runware-image",
    "scene-unwatched": "veo-3.1-i2v",
    "clip-unwatched": "veo-3.1-transition",
}
"""Models that only a webhook changes jobs of, and the model that each is otherwise."""


def variants(catalog: Sequence[Model]) -> Iterator[dict[str, Any]]:
    """The available models of a catalog, polled soon, and some under additional names."""
    by_id = {model.model_id: model for model in catalog}
    for model in catalog:
        if model.available:
            sooner = {"poll_seconds": _POLLS[model.routes[0].provider], "deadline_seconds": 900}
            yield model.model_dump(mode="json") | sooner
    veo = by_id["veo-3.1"]
    yield veo.model_dump(mode="json") | {
        "model_id": "veo-3.1-runware-first",
        "routes": [route.model_dump() for route in reversed(veo.routes)],
    }
    for name, copied in _UNWATCHED.items():
        yield by_id[copied].model_dump(mode="json") | {"model_id": name, "poll_seconds": [3600]}
