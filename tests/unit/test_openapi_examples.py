"""docs/openapi.json has an example of each response, and its schema accepts the example."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from local.deploy import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a part of the document refers to, or the part itself."""
    reference = part.get("$ref")
    if reference is None:
        return part
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def bodies() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Operation, status and media type object of each response that has a body."""
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                for media in resolved(response).get("content", {}).values():
                    yield operation["operationId"], status, media


def examples_of(media: dict[str, Any]) -> dict[str, Any]:
    named = {name: resolved(part)["value"] for name, part in media.get("examples", {}).items()}
    return named | ({"": media["example"]} if "example" in media else {})


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return _validator(json.dumps(schema))


@functools.cache
def _validator(schema: str) -> jsonschema_rs.Validator:
    """Made once for the many responses that have the same schema."""
    whole = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


BODIES = list(bodies())
NAMES = [f"{operation}-{status}" for operation, status, _ in BODIES]


def test_the_document_has_responses_with_a_body() -> None:
    assert len(BODIES) > 150
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("media", [media for *_, media in BODIES], ids=NAMES)
def test_a_response_has_examples_that_its_schema_accepts(media: dict[str, Any]) -> None:
    examples = examples_of(media)
    assert examples
    accepts = validator(media["schema"])
    for example in examples.values():
        accepts.validate(example)


@pytest.mark.parametrize("media", [media for *_, media in BODIES], ids=NAMES)
def test_each_error_code_of_a_response_has_an_example(media: dict[str, Any]) -> None:
    codes = {
        code
        for schema in (media["schema"], *media["schema"].get("anyOf", []))
        for part in schema.get("allOf", [])
        for code in part.get("properties", {}).get("code", {}).get("enum", [])
    }
    assert codes <= {example.get("code") for example in examples_of(media).values()}


def test_an_example_with_a_wrong_member_is_rejected() -> None:
    accepts = validator({"$ref": "#/components/schemas/Video"})
    video = next(media["example"] for name, _, media in BODIES if name == "getVideo")
    accepts.validate(video)
    for wrong in ({"progress": 101}, {"status": "ready"}, {"created_at": "yesterday"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            accepts.validate(video | wrong)
