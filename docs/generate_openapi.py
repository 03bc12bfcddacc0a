"""Write ``docs/openapi.json`` from the handlers, or check that it matches them.

python docs/generate_openapi.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "openapi.json"
sys.path[:0] = [str(ROOT / "shared"), str(ROOT)]

from clipmint.api import http_api  # noqa: E402
from clipmint.doors import table  # noqa: E402
from clipmint.errors import ClipmintError, InvalidRequest, NotFound  # noqa: E402
from clipmint.orders.idempotency_keys import MAX_IDEMPOTENCY_KEY_CHARACTERS  # noqa: E402
from docs import openapi_doors as doors_described  # noqa: E402
from docs import openapi_examples as examples  # noqa: E402
from docs import openapi_webhooks as events_described  # noqa: E402
from functions.actions import app as actions  # noqa: E402
from functions.admin import app as admin  # noqa: E402
from functions.cancel import app as cancel  # noqa: E402
from functions.doors import app as doors  # noqa: E402
from functions.generate import app as generate  # noqa: E402
from functions.operator import app as operator  # noqa: E402
from functions.projects import app as projects  # noqa: E402
from functions.status import app as status  # noqa: E402

ERROR_SCHEMA = {
    "type": "object",
    "description": "Every error of ours; some add members such as required_credits.",
    "required": ["error", "code", "details", "timestamp"],
    "properties": {
        "error": {"type": "string", "description": "One sentence"},
        "code": {"type": "string", "examples": ["INSUFFICIENT_CREDITS"]},
        "details": {"type": ["string", "null"]},
        "timestamp": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": True,
}
GATEWAY_ERROR_SCHEMA = {
    "type": "object",
    "description": "What the gateway answers before, or instead of, a function.",
    "required": ["message"],
    "properties": {"message": {"type": "string", "examples": ["Unauthorized"]}},
    "additionalProperties": False,
}
GATEWAY_ERROR = {"$ref": "#/components/schemas/GatewayError"}
# The gateway's own responses: on any route, and 413 on those that accept a body.
BY_THE_GATEWAY = {
    "401": "no token, or not a valid one",
    "413": "more than 10 MB",
    "429": "too many requests, of all users together",
    "500": "the function failed",
    "503": "the function took too long, or did not run because no instance was free: retry",
}
INTRODUCTION = """\
Every error of ours has the members `error`, `code`, `details` and `timestamp`. The gateway answers
some requests before a function runs, with the body `{"message": …}`: 401 (no token, or not a valid
one; `WWW-Authenticate` says which), 403 (the token lacks the scope), 404 (no such path), 413, 429
(all users together), 500 and 503.
"""
# The responses that are the same on every route.
SHARED = {
    "401": "Unauthorized",
    "413": "TooLarge",
    "429": "Throttled",
    "500": "Broken",
    "503": "Unavailable",
}
# Optional only for the router, so that a missing key gets our own error.
KEY_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS,
    # Printable ASCII, and not only an empty pair of quotes.
    "pattern": r'^(?!" *"$)[!-~]+( +[!-~]+)*$',
}
KEY_REQUIRED = "IDEMPOTENCY_KEY_REQUIRED"
# The operations that use an id of a response, if the id's name does not identify them.
OF_A_JOB = (
    "GET /v1/videos/{job_id}",
    "DELETE /v1/videos/{job_id}",
    "POST /v1/videos/{job_id}/cancel",
)
LINKS = {
    "POST /v1/videos": ("202", "job_id", OF_A_JOB),
    "POST /v1/scenes/{scene_id}/video": ("202", "job_id", OF_A_JOB),
    "POST /v1/projects/{project_id}/scenes": (
        "201",
        "scene_id",
        ("POST /v1/scenes/{scene_id}/video", "POST /v1/scenes/{scene_id}/video/estimate"),
    ),
    **doors_described.LINKS,
}
REPLAY = {"description": "Answered before under this key", "schema": {"enum": ["true"]}}
LIMIT_HEADERS = {
    name: {"schema": {"type": "integer", "minimum": 0}, "description": meaning}
    for name, meaning in {
        "Retry-After": "Seconds",
        "X-RateLimit-Limit": "How many a user may have",
        "X-RateLimit-Remaining": "How many more now",
        "X-RateLimit-Reset": "Seconds",
    }.items()
}
PARAMETERS = {
    "job_id": "The id of a job, from the response to its order",
    "project_id": "The id of a project",
    "scene_id": "The id of a scene",
    "model_id": "The id of a model, from the list of models",
    "product_id": "The id of a product that is sold",
    "user_id": "The id of a user, the subject of the token",
    "purchase_id": "The id of a purchase, from the list of purchases that wait",
    "limit": "How many at most in one page",
    "offset": "How many of the newest to leave out",
    "status": "Only jobs with this status",
    "if-none-match": "The ETag of the list that the caller has",
}
"""What a parameter means, by its name, unless its handler describes it."""
TAGS = {
    "Administration": "For the owner's own systems, with the scope clipmint/admin.",
    "Credits": "A user's balance and its journal.",
    "Packs": "What an app's shop can sell.",
    "Events": "What an endpoint of the owner's receives: docs/events.md.",
    "Images": "Upload an image.",
    "Models": "What can be ordered, with its settings and prices.",
    "Projects": "Projects, and the clips of all their scenes.",
    "Scenes": "A project's scenes: an image, and a video from it.",
    "Videos": "Order a video, read its state, cancel it, delete it.",
}
"""By the first part of a path, in lower case; a scene's own paths are below a project's."""
TOKEN_URL = "https://your-domain.auth.eu-central-1.amazoncognito.com/oauth2/token"  # noqa: S105
METHODS = ("get", "post", "put", "patch", "delete")
CODE = re.compile(r"[A-Z][A-Z_]+")
# Responses that Powertools adds and our resolver never returns.
FOREIGN_SCHEMAS = ("HTTPValidationError", "ValidationError", "ResponseValidationError")


def document() -> dict[str, Any]:
    """The OpenAPI document of all HTTP functions together."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for module in (generate, status, projects, cancel, admin, operator, actions, doors):
        part = module.app.get_openapi_schema(title="Clipmint", version=version).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        merged = merged or part
        for path, operations in part["paths"].items():
            paths.setdefault(path, {}).update(operations)
        schemas.update(part.get("components", {}).get("schemas", {}))
    for name in FOREIGN_SCHEMAS:
        schemas.pop(name, None)
    schemas["Model"]["examples"] = [examples.BY_MODEL["Model"]]
    schemas["Error"] = ERROR_SCHEMA
    schemas.update(doors_described.ERROR_SCHEMAS)
    for kind in events_described.DATA:
        schemas[events_described.name_of(kind)] = events_described.schema_of(kind)
    schemas["GatewayError"] = GATEWAY_ERROR_SCHEMA
    for path, operations in paths.items():
        for method, operation in operations.items():
            operation["operationId"] = _name(path, method, operation)
            operation["tags"] = [_tag(path)]
            if table.door_of(path) is not None:
                operation.setdefault("description", doors_described.TAGS[_tag(path)])
            operation["responses"] = _responses(path, operation)
            admin_only = {"clientCredentials": [http_api.ADMIN_SCOPE]}
            operation["security"] = [admin_only if "/admin/" in path else {"jwt": []}]
            _make_body_optional(operation, schemas)
            doors_described.allow_form(f"{method.upper()} {path}", operation)
            codes = operation["responses"]["400"]["description"].split(" · ")
            for parameter in operation.get("parameters", []):
                _complete(parameter, key_required=KEY_REQUIRED in codes)
    _link(paths)
    merged["info"] = {
        "title": "Clipmint",
        "version": version,
        "summary": "Credits in, a video in the owner's bucket out.",
        "description": INTRODUCTION,
        "contact": {"name": "The operator of this installation"},
        "license": {"name": "MIT", "identifier": "MIT"},
    }
    merged["servers"] = [
        {
            "url": "https://{api}.execute-api.{region}.amazonaws.com",
            "variables": {"api": {"default": "api"}, "region": {"default": "eu-central-1"}},
        }
    ]
    merged["tags"] = [
        {"name": name, "description": text}
        for name, text in sorted((TAGS | doors_described.TAGS).items())
    ]
    for schema in schemas.values():
        _describe_defaults(schema)
    merged["paths"] = {
        path: dict(sorted(operations.items(), key=lambda item: METHODS.index(item[0])))
        for path, operations in sorted(paths.items())
    }
    merged["webhooks"] = events_described.webhooks()
    shared = {name: _shared(code) for code, name in SHARED.items()}
    used = json.dumps([paths, shared])
    merged["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "responses": shared,
        "examples": {
            name: {"value": body}
            for name, body in sorted(examples.ERRORS.items())
            if f'/examples/{name}"' in used
        },
        "securitySchemes": {
            "jwt": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A user's token: of the Cognito pool, or of the owner's issuer.",
            },
            "clientCredentials": {
                "type": "oauth2",
                "description": "A token of the owner's own systems.",
                "flows": {
                    "clientCredentials": {
                        "tokenUrl": TOKEN_URL,
                        "scopes": {http_api.ADMIN_SCOPE: "Grant credits and change the catalog"},
                    }
                },
            },
        },
    }
    return merged


def _name(path: str, method: str, operation: dict[str, Any]) -> str:
    """The handler's name as a generator of clients uses it, such as createVideo."""
    generated = re.sub(r"[^0-9a-zA-Z_]", "_", f"{path}_{method}")
    first, *others = str(operation["operationId"]).removesuffix(generated).split("_")
    return first + "".join(part.capitalize() for part in others)


def _tag(path: str) -> str:
    door = table.door_of(path)
    if door is not None:
        return f"Protocol {door.name}"
    parts = path.split("/")
    if parts[2] == "admin":
        return "Administration"
    return "Scenes" if "scenes" in parts else parts[2].capitalize()


def _make_body_optional(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A body with only optional members may be left out."""
    body = operation.get("requestBody")
    if body:
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        body["required"] = bool(schemas[name].get("required"))


def _complete(parameter: dict[str, Any], *, key_required: bool) -> None:
    """Add to a parameter what its handler does not state."""
    parameter.setdefault("description", PARAMETERS.get(parameter["name"], ""))
    if parameter["name"] == "idempotency-key":
        # Optional for the router in any case, so that a missing key gets our own error.
        parameter["required"] = key_required
        parameter["schema"] = KEY_SCHEMA


def _describe_defaults(schema: dict[str, Any]) -> None:
    """Put a default into the description, because generators of TypeScript require what has one."""
    for member in schema.get("properties", {}).values():
        if "default" in member and "const" not in member:
            default = json.dumps(member.pop("default"))
            text = member.get("description", "")
            member["description"] = f"{text}. Default: {default}" if text else f"Default: {default}"


def _responses(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """All responses of a route, including the gateway's own."""
    responses = {
        code: response
        for code, response in operation["responses"].items()
        if "ValidationError" not in json.dumps(response)
    }
    for bodiless in ("204", "302", "304"):
        responses.get(bodiless, {}).pop("content", None)
    for media in responses.get("200", {}).get("content", {}).values():
        # The route's type allows a missing body because of its 304.
        present = [part for part in media["schema"].get("anyOf", []) if "$ref" in part]
        if present:
            media["schema"] = present[0]
    _add_examples(responses)
    errors = _codes(path, responses)
    foreign = {
        code: why
        for code, why in BY_THE_GATEWAY.items()
        if code != "413" or "requestBody" in operation
    }
    if "/admin/" in path:
        foreign["403"] = "the token lacks the scope"
    for code in errors.keys() | foreign.keys():
        responses[code] = _error(code, errors.get(code, []), foreign.get(code), path)
        if code in SHARED and responses[code] == _shared(code):
            responses[code] = {"$ref": f"#/components/responses/{SHARED[code]}"}
        if code == "429" and code in errors:
            responses[code]["headers"] = LIMIT_HEADERS
    for code, response in responses.items():
        headers = _headers(path, code, operation)
        if headers:
            response["headers"] = headers
    return dict(sorted(responses.items()))


def _add_examples(responses: dict[str, Any]) -> None:
    """Add the example of each response that is not an error."""
    for code, response in responses.items():
        for media in response.get("content", {}).values() if code < "400" else ():
            model = media["schema"]["$ref"].rpartition("/")[2]
            media["example"] = (examples.BY_MODEL | doors_described.BY_MODEL)[model]


def _codes(path: str, responses: dict[str, Any]) -> dict[str, list[str]]:
    """The codes of our errors by status."""
    errors = {
        code: CODE.findall(response["description"])
        for code, response in responses.items()
        if code >= "400"
    }
    # Any route can get a body that is not JSON, or a token with a subject that is no valid key.
    errors["400"] = list(dict.fromkeys([*errors.get("400", []), InvalidRequest.code]))
    errors["500"] = [ClipmintError.code]
    if "{" in path or table.door_of(path):
        # A text that is not an id matches no path, and a protocol may be switched off.
        errors["404"] = list(dict.fromkeys([*errors.get("404", []), NotFound.code]))
    return errors


def _error(
    status_code: str, codes: list[str], foreign: str | None, path: str = ""
) -> dict[str, Any]:
    """An error response: ours with one of ``codes``, or the gateway's own, or either."""
    names = [*codes, *([f"GATEWAY_{status_code}"] if foreign else [])]
    bodies = {name: doors_described.error_example(path, name) for name in names}
    texts = [*codes, *([f"the gateway's own: {foreign}"] if foreign else [])]
    schemas: list[dict[str, Any]] = [GATEWAY_ERROR] if foreign else []
    if codes:
        ours = doors_described.of_code(path, codes)
        name = doors_described.error_schema(path)
        schemas.insert(0, {"allOf": [{"$ref": f"#/components/schemas/{name}"}, ours]})
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {
        "description": " · ".join(texts),
        "content": {"application/json": {"schema": schema, "examples": bodies}},
    }


def _shared(code: str) -> dict[str, Any]:
    return _error(code, [ClipmintError.code] if code == "500" else [], BY_THE_GATEWAY[code])


def _link(paths: dict[str, Any]) -> None:
    """Add links from the ids of a response to the operations that use them."""

    def operation(route: str) -> dict[str, Any]:
        method, path = route.split()
        found: dict[str, Any] = paths[path][method.lower()]
        return found

    for route, (code, name, targets) in LINKS.items():
        operation(route)["responses"][code]["links"] = {
            operation(target)["operationId"]: {
                "operationId": operation(target)["operationId"],
                **_passing(operation(target), name),
            }
            for target in targets
        }


def _passing(target: dict[str, Any], name: str) -> dict[str, Any]:
    """Where an operation takes an id: as a parameter, or as a member of its body.

    ``a as b``: it has the name ``a`` in the response, and ``b`` in the operation.
    """
    in_response, _, other = name.partition(" as ")
    value, name = f"$response.body#/{in_response}", other or in_response
    if any(parameter["name"] == name for parameter in target.get("parameters", [])):
        return {"parameters": {name: value}}
    return {"requestBody": {name: value}}


def _headers(path: str, code: str, operation: dict[str, Any]) -> dict[str, Any]:
    """The headers of a response that callers use."""
    text = {"type": "string"}
    if code == "302":
        return {"Location": {"required": True, "description": "The file", "schema": text}}
    if code == "200" and "idempotency-key" in json.dumps(operation.get("parameters", [])):
        return {"X-Idempotent-Replay": REPLAY}
    if code in {"201", "202"}:
        location = {"required": True, "description": "Where to read it", "schema": text}
        return {"Location": location} | ({"X-Idempotent-Replay": REPLAY} if code == "202" else {})
    if code == "200" and path in {"/v1/models", *doors_described.WITH_ETAG}:
        return {"ETag": {"required": True, "schema": text}}
    return {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is stale")
    wanted = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(wanted)
        return 0
    if not TARGET.exists() or TARGET.read_text() != wanted:
        print("docs/openapi.json is stale: run `make openapi`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
