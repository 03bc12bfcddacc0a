"""The whole stack for strangers: three providers played, its roles enforced, nothing of it trusted.

What is sent here is made up by machines, so these tests have a stack of their own, and limits that
do not answer for what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipmint.catalog.defaults import DEFAULT_CATALOG
from local.stack import Stack
from tests.e2e.conftest import FAL
from tests.e2e.providers.conftest import POLLS, RUNWARE, RUNWAY
from tests.support.audit import Auditor
from tests.support.backstage import Owner
from tests.support.catalog import MODELS

UNLIMITED = dict.fromkeys(("MaxOpenJobs", "MaxJobsPerHour", "MaxOpenClips"), "100000")
AT_LENGTH = {"LogLevel": "DEBUG"}
"""All that is logged at all, for the auditor to look through."""


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    settings = {"fal": FAL, "runway": RUNWAY, "runware": RUNWARE}
    with Stack(
        enforce_iam=True,
        simulate=tuple(settings),
        parameters=UNLIMITED | AT_LENGTH,
        settings=settings,
    ) as running:
        owner = Owner(running)
        for model in DEFAULT_CATALOG:
            # As shipped, but whoever is asked is asked soon.
            waits = [*POLLS[model.routes[0].provider], 8]
            owner.put_model(**model.model_dump(mode="json") | {"poll_seconds": waits})
        for quick in MODELS:
            owner.put_model(**quick)
        owner.close()
        yield running


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
