"""Write ``docs/openapi.json`` from the handlers, or check that it is what they say.

python docs/generate_openapi.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "openapi.json"
sys.path[:0] = [str(ROOT / "shared"), str(ROOT)]

from functions.admin import app as admin  # noqa: E402
from functions.cancel import app as cancel  # noqa: E402
from functions.generate import app as generate  # noqa: E402
from functions.projects import app as projects  # noqa: E402
from functions.status import app as status  # noqa: E402

ERROR_SCHEMA = {
    "type": "object",
    "description": "Every error has this shape; some add members such as required_credits.",
    "required": ["error", "code", "details", "timestamp"],
    "properties": {
        "error": {"type": "string", "description": "One sentence"},
        "code": {"type": "string", "examples": ["INSUFFICIENT_CREDITS"]},
        "details": {"type": ["string", "null"]},
        "timestamp": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": True,
}
# What Powertools adds by itself and our resolver never answers with.
FOREIGN_SCHEMAS = ("HTTPValidationError", "ValidationError", "ResponseValidationError")


def document() -> dict[str, Any]:
    """The OpenAPI document of all HTTP functions together."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for module in (generate, status, projects, cancel, admin):
        part = module.app.get_openapi_schema(title="Clipmint", version=version).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        merged = merged or part
        for path, operations in part["paths"].items():
            paths.setdefault(path, {}).update(operations)
        schemas.update(part.get("components", {}).get("schemas", {}))
    for name in FOREIGN_SCHEMAS:
        schemas.pop(name, None)
    schemas["Error"] = ERROR_SCHEMA
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"] = _responses(operation["responses"])
            operation["security"] = [{"jwt": []}]
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "idempotency-key":
                    # Optional to the router only, so that its absence gets an error of ours.
                    parameter["required"] = True
                    parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 255}
    merged["info"] = {
        "title": "Clipmint",
        "version": version,
        "description": "Credits in, a video in the owner's bucket out.",
        "license": {"name": "MIT", "identifier": "MIT"},
    }
    merged["servers"] = [
        {
            "url": "https://{api}.execute-api.{region}.amazonaws.com",
            "variables": {"api": {"default": "api"}, "region": {"default": "eu-central-1"}},
        }
    ]
    merged["paths"] = dict(sorted(paths.items()))
    merged["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "securitySchemes": {
            "jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        },
    }
    return merged


def _responses(declared: dict[str, Any]) -> dict[str, Any]:
    responses = {
        code: response
        for code, response in declared.items()
        if "ValidationError" not in json.dumps(response)
    }
    responses.get("204", {}).pop("content", None)
    responses["401"] = {"description": "No token, or not a valid one (the gateway's own body)"}
    responses["500"] = {"description": "INTERNAL"}
    for code, response in responses.items():
        if code >= "400" and code != "401":
            response["content"] = {
                "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}
            }
        for media in response.get("content", {}).values():
            # The route's type allows for no body because of its 304.
            present = [part for part in media["schema"].get("anyOf", []) if "$ref" in part]
            if present:
                media["schema"] = present[0]
    return dict(sorted(responses.items()))


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
