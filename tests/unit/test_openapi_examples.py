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


def bodies() -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Each operation, with the media type object of each status that has a body."""
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            yield (
                operation["operationId"],
                {
                    status: media
                    for status, response in operation["responses"].items()
                    for media in resolved(response).get("content", {}).values()
                },
            )


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


BODIES = dict(bodies())
each_operation = pytest.mark.parametrize("operation", BODIES)


def test_the_document_has_responses_with_a_body() -> None:
    assert sum(map(len, BODIES.values())) > 150
    assert all(BODIES.values())
    # Otherwise two operations have one id, and the examples of one would not be checked.
    assert len(BODIES) == len([*bodies()])
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                assert len(resolved(response).get("content", {})) <= 1


@each_operation
def test_a_response_has_examples_that_its_schema_accepts(operation: str) -> None:
    for status, media in BODIES[operation].items():
        examples = examples_of(media)
        assert examples, status
        accepts = validator(media["schema"])
        for name, example in examples.items():
            wrong = [(error.instance_path, error.message) for error in accepts.iter_errors(example)]
            assert wrong == [], (status, name)


@each_operation
def test_each_error_code_of_a_response_has_an_example(operation: str) -> None:
    for status, media in BODIES[operation].items():
        codes = {
            code
            for schema in (media["schema"], *media["schema"].get("anyOf", []))
            for part in schema.get("allOf", [])
            for code in part.get("properties", {}).get("code", {}).get("enum", [])
        }
        shown = {example.get("code") for example in examples_of(media).values()}
        assert codes <= shown, status


def test_an_example_with_a_wrong_member_is_rejected() -> None:
    accepts = validator({"$ref": "#/components/schemas/Video"})
    video = BODIES["getVideo"]["200"]["example"]
    accepts.validate(video)
    for wrong in ({"progress": 101}, {"status": "ready"}, {"created_at": "yesterday"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            accepts.validate(video | wrong)
