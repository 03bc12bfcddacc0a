"""The whole stack with all three providers played, each in a hurry; its roles are enforced.

These tests arm whole providers to fail, so they have a stack of their own, and its books are
audited like those of the other one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipmint.catalog.defaults import DEFAULT_CATALOG
from local.stack import Stack
from tests.e2e.conftest import FAL, LIMITS
from tests.support.audit import Auditor
from tests.support.backstage import Owner

RUNWAY = {"pending_seconds": 0.05, "generation_seconds": 0.1, "concurrency": 40}
POLLS = {"fal": [4], "runway": [1, 2, 4], "runware": [3, 4]}
"""Longer where a webhook tells, so that nobody asks before it came. They grow, because on a busy
computer many functions that all ask every second keep each other from ever finishing."""
UNWATCHED = {
    "runware-unwatched": "runware-veo-3.1",
    "image-unwatched": "runware-image",
    "scene-unwatched": "veo-3.1-i2v",
    "clip-unwatched": "veo-3.1-transition",
}
"""Models whose jobs nothing but a webhook moves, and what they are otherwise."""
RUNWARE = {"generation_seconds": 0.1, "time_factor": 0.2}


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    settings = {"fal": FAL, "runway": RUNWAY, "runware": RUNWARE}
    with Stack(
        enforce_iam=True,
        simulate=tuple(settings),
        parameters=LIMITS,
        settings=settings,
        # Clips run side by side: with fewer, the functions push each other out and start anew.
        worker_cap=24,
    ) as running:
        owner = Owner(running)
        for model in DEFAULT_CATALOG:
            if model.available:
                # As shipped, but whoever is asked is asked soon.
                waits = POLLS[model.routes[0].provider]
                sooner = {"poll_seconds": waits, "deadline_seconds": 900}
                owner.put_model(**model.model_dump(mode="json") | sooner)
        owner.put_model(**_runware_first())
        for name, unwatched in UNWATCHED.items():
            owner.put_model(**_unwatched(name, unwatched))
        owner.close()
        yield running


def _runware_first() -> dict[str, object]:
    """Veo 3.1 with its routes the other way round."""
    veo = next(model for model in DEFAULT_CATALOG if model.model_id == "veo-3.1")
    routes = [route.model_dump() for route in reversed(veo.routes)]
    return veo.model_dump(mode="json") | {"model_id": "veo-3.1-runware-first", "routes": routes}


def _unwatched(model_id: str, copied: str) -> dict[str, object]:
    """A model about which nobody asks: only its webhook moves a job."""
    model = next(model for model in DEFAULT_CATALOG if model.model_id == copied)
    return model.model_dump(mode="json") | {"model_id": model_id, "poll_seconds": [3600]}


@pytest.fixture(scope="package")
def auditor(stack: Stack) -> Iterator[Auditor]:
    auditor = Auditor(stack)
    yield auditor
    auditor.check_everybody()
    auditor.check_logs()


@pytest.fixture(scope="package")
def owner(stack: Stack) -> Iterator[Owner]:
    owner = Owner(stack)
    yield owner
    owner.close()
