"""The bases of all pydantic models: of requests, responses, catalog entries and settings.

pydantic builds a validator for each model, by default when the class is made. That takes up to some
milliseconds, and a request uses few of the models that its function imports. So a validator is
built when it is first used; a cold start takes a fifth less time than with all of them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A model whose validator is built when it is first used."""

    model_config = ConfigDict(defer_build=True)


class StrictSchema(Schema):
    """Immutable. An unknown member is an error, and no value is converted to another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
