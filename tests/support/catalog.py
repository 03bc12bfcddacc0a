"""The models of the tests: the shortest clip there is, and how soon Track asks about it."""

from __future__ import annotations

from typing import Any

PRICE = 10
"""Of each job of a test's own model, in credits."""

VEO_DRAFT = 16
"""Of a draft (four seconds at 720p) of the Veo models that the default catalog ships."""

_SHORTEST: dict[str, Any] = {
    "description": "Made for tests.",
    "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9", "9:16"], "duration": [4]},
    "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
    "price": {"kind": "fixed", "credits": PRICE},
    "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1"}],
}

_DIFFERENCES: dict[str, dict[str, Any]] = {
    # Asked about after a second, and every two from then on.
    "quick-t2v": {"poll_seconds": [1, 2]},
    # Asked about late enough for a test to look around before.
    "steady-t2v": {"poll_seconds": [4, 1], "deadline_seconds": 1_200},
    # Nobody asks: only a webhook or the sweep moves its jobs.
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
