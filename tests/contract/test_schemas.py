"""The files of `local.schemas` are what the installed official packages declare."""

from __future__ import annotations

import pytest

from local import schemas
from local.schemas.__main__ import MADE, text_of


@pytest.mark.parametrize(
    "provider", ["runway", "runware", pytest.param("fal", marks=pytest.mark.slow)]
)
def test_the_schemas_are_current(provider: str) -> None:
    written = (schemas.FOLDER / f"{provider}.json").read_text()
    assert text_of(MADE[provider]()) == written, "run python -m local.schemas"


def test_the_schemas_have_the_models_of_the_three_packages() -> None:
    counts = {provider: len(schemas.load(provider)) for provider in MADE}
    assert counts == {"fal": 444, "runware": 237, "runway": 70}
