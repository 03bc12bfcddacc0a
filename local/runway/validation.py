"""Checks the body of a task when it arrives. Errors have the form of the Zod library, as Runway's.

assumption: only the issues' members ``code``, ``path`` and ``message`` and a few codes are known
from public examples of responses; the rest follows Zod 4, because those examples look like it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from local.runway.models import MODELS, TaskBody, TaskSpec, Typed, body_of

DOCS_URL = "https://docs.dev.runwayml.com/api"
Issue = dict[str, Any]

_EXPECTED = {
    "string_type": "string",
    "int_type": "number",
    "bool_type": "boolean",
    "list_type": "array",
    "model_type": "object",
    "dict_type": "object",
    "model_attributes_type": "object",
}
_JSON_TYPES = {"integer": "number"}


def check(endpoint: str, document: object) -> TaskSpec | list[Issue]:
    """The task that ``document`` requests at ``endpoint`` (a last path segment), or its issues."""
    if not isinstance(document, dict):
        return [_wrong_type((), "object", document)]
    model = document.get("model")
    if not isinstance(model, str) or model not in MODELS[endpoint]:
        return [
            {
                "code": "invalid_union",
                "errors": [],
                "note": "No matching discriminator",
                "discriminator": "model",
                "path": ["model"],
                "message": "Invalid input",
            }
        ]
    if nulls := [_null(path) for path in _nulls(document, ())]:
        return nulls
    body = body_of(endpoint, model)
    try:
        return body.model_validate(document).spec()
    except ValidationError as error:
        return _issues(body, error)


def refusal(issues: list[Issue]) -> Mapping[str, object]:
    """The body of the 400."""
    return {"error": "Validation of body failed", "issues": issues, "docUrl": DOCS_URL}


def _nulls(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """The paths of nulls in ``value``. No member may be null: callers leave it out instead."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _nulls(member, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nulls(item, (*path, index))


def _null(path: tuple[str | int, ...]) -> Issue:
    message = "Invalid input: received null"
    return {"code": "invalid_type", "path": list(path), "message": message}


def _issues(body: type[TaskBody | Typed], error: ValidationError) -> list[Issue]:
    issues: list[Issue] = []
    unknown: dict[tuple[str | int, ...], list[str]] = {}
    for found in error.errors(include_url=False):
        # the form of promptImage is our own addition to the path, see `fields._form`
        path = tuple(part for part in found["loc"] if part not in {"<text>", "<array>"})
        if found["type"] == "extra_forbidden":
            unknown.setdefault(path[:-1], []).append(str(path[-1]))
        else:
            issues.append(_issue(body, found["type"], path, found))
    for path, keys in unknown.items():
        named = ", ".join(f'"{key}"' for key in keys)
        plural = "s" if len(keys) > 1 else ""
        message = f"Unrecognized key{plural}: {named}"
        issues.append(
            {"code": "unrecognized_keys", "keys": keys, "path": list(path), "message": message}
        )
    return issues


def _issue(
    body: type[TaskBody | Typed],
    kind: str,
    path: tuple[str | int, ...],
    found: Mapping[str, Any],
) -> Issue:
    context = found.get("ctx", {})
    if kind == "missing":
        return _missing(body, path)
    if kind == "int_type" and isinstance(found["input"], float):
        return _wrong_type(path, "int", found["input"])
    if kind in _EXPECTED:
        return _wrong_type(path, _EXPECTED[kind], found["input"])
    issue: Issue
    match kind:
        case "literal_error":
            schema = body.model_json_schema()["properties"].get(path[0], {})
            issue = _not_an_option(path, schema, context["expected"])
        case "greater_than_equal" | "too_short":
            issue = _bound("too_small", "minimum", context.get("ge", context.get("min_length")))
        case "less_than_equal" | "too_long":
            issue = _bound("too_big", "maximum", context.get("le", context.get("max_length")))
        case "too_small" | "too_big":
            bound = {"origin": "string", "code": kind, **context, "inclusive": True}
            issue = {**bound, "message": found["msg"]}
        case "string_pattern_mismatch":
            issue = {"code": "invalid_format", "format": "regex", "message": "Invalid string"}
        case "custom":
            issue = {"code": "custom", "message": found["msg"]}
        case _:
            issue = {"code": "invalid_union", "errors": [], "message": "Invalid input"}
    return {**issue, "path": list(path)}


def _missing(body: type[TaskBody | Typed], path: tuple[str | int, ...]) -> Issue:
    if len(path) > 1:  # `uri` or `position` of an image
        return _wrong_type(path, "string", None)
    schema = body.model_json_schema()["properties"][path[0]]
    if "enum" in schema:
        return _not_an_option(path, schema, "")
    if "type" not in schema:
        return {
            "code": "invalid_union",
            "errors": [],
            "path": list(path),
            "message": "Invalid input",
        }
    return _wrong_type(path, _JSON_TYPES.get(schema["type"], schema["type"]), None)


def _not_an_option(path: tuple[str | int, ...], schema: Mapping[str, Any], listed: str) -> Issue:
    values = schema.get("enum")
    if values is None:  # inside an image: pydantic's own list of them, "'a' or 'b'"
        values = [part.strip("' ") for part in listed.replace(" or ", ",").split(",")]
    options = "|".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)
    expected = (
        f"option: expected one of {options}" if len(values) > 1 else f"input: expected {options}"
    )
    return {
        "code": "invalid_value",
        "values": values,
        "path": list(path),
        "message": f"Invalid {expected}",
    }


def _bound(code: str, name: str, value: Any) -> Issue:
    side, sign = ("small", ">=") if name == "minimum" else ("big", "<=")
    message = f"Too {side}: expected {sign}{value}"
    return {"code": code, name: value, "inclusive": True, "message": message}


def _wrong_type(path: tuple[str | int, ...], expected: str, value: object) -> Issue:
    message = f"Invalid input: expected {expected}, received {_js_type(value)}"
    return {"code": "invalid_type", "expected": expected, "path": list(path), "message": message}


def _js_type(value: object) -> str:
    """The type of a JSON value as JavaScript names it; None stands for a missing member."""
    if value is None:
        return "undefined"
    for kind, word in ((bool, "boolean"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return word
    return "number"
