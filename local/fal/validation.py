"""Checks the input of a model. The runner does, not the submission.

So a wrong input goes through the queue and returns as a 422 result.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from local.fal.errors import DOCS_URL
from local.fal.models import Clip, inputs_of

# assumption: a value outside an enumeration is reported as fal's documented `one_of`
_TYPES = {"literal_error": "one_of", "int_parsing": "value_error", "string_type": "value_error"}


def check(endpoint: str, document: object) -> Clip | list[dict[str, Any]]:
    """The clip that ``document`` requests, or its errors in FastAPI's form."""
    try:
        return inputs_of(endpoint).model_validate(document).clip()
    except ValidationError as error:
        return [
            {
                "loc": ["body", *found["loc"]],
                "msg": found["msg"],
                "type": (kind := _TYPES.get(found["type"], found["type"])),
                "url": f"{DOCS_URL}#{kind}",
                "ctx": {name: str(value) for name, value in found.get("ctx", {}).items()},
                "input": found["input"],
            }
            for found in error.errors(include_url=False)
        ]
