"""What API Gateway and Lambda put around a call: HTTP API events (payload 2.0) and a context."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.utilities.typing import LambdaContext

Handler = Callable[[dict[str, Any], Any], Any]

ROUTES = {
    "POST /v1/videos": "Generate",
    "POST /v1/videos/estimate": "Generate",
    "POST /v1/scenes/{scene_id}/video": "Generate",
    "POST /v1/projects/{project_id}/clips": "Generate",
    "POST /v1/scenes/{scene_id}/video/estimate": "Generate",
    "POST /v1/projects/{project_id}/clips/estimate": "Generate",
    "GET /v1/videos": "Status",
    "GET /v1/videos/{job_id}": "Status",
    "GET /v1/models": "Status",
    "GET /v1/models/{model_id}": "Status",
    "GET /v1/credits": "Status",
    "GET /v1/credits/entries": "Status",
    "POST /v1/images": "Projects",
    "POST /v1/projects": "Projects",
    "GET /v1/projects": "Projects",
    "GET /v1/projects/{project_id}": "Projects",
    "PATCH /v1/projects/{project_id}": "Projects",
    "DELETE /v1/projects/{project_id}": "Projects",
    "POST /v1/projects/{project_id}/scenes": "Projects",
    "GET /v1/projects/{project_id}/scenes": "Projects",
    "GET /v1/projects/{project_id}/scenes/{scene_id}": "Projects",
    "PATCH /v1/projects/{project_id}/scenes/{scene_id}": "Projects",
    "DELETE /v1/projects/{project_id}/scenes/{scene_id}": "Projects",
    "GET /v1/projects/{project_id}/clips": "Projects",
    "POST /v1/videos/{job_id}/cancel": "Cancel",
    "DELETE /v1/videos/{job_id}": "Cancel",
    "POST /functions/v1/generate-video": "Doors",
    "GET /functions/v1/get-video-status": "Doors",
    "GET /functions/v1/get-video-jobs": "Doors",
    "POST /functions/v1/delete-video-job": "Doors",
    "DELETE /functions/v1/delete-video-job": "Doors",
    "GET /functions/v1/get-models": "Doors",
    "GET /functions/v1/get-user-credits": "Doors",
    "POST /api/video/generate": "Doors",
    "GET /api/video/generate/tasks": "Doors",
    "GET /api/video/generate/tasks/{job_id}": "Doors",
    "DELETE /api/video/generate/tasks/{job_id}": "Doors",
    "POST /functions/v1/generate-clips": "Doors",
    "POST /functions/v1/check-clips-status": "Doors",
    "POST /api/images/upload": "Doors",
    "POST /api/videos/generate": "Doors",
    "GET /api/videos/status/{job_id}": "Doors",
    "POST /openai/v1/videos": "Doors",
    "GET /openai/v1/videos": "Doors",
    "GET /openai/v1/videos/{job_id}": "Doors",
    "DELETE /openai/v1/videos/{job_id}": "Doors",
    "GET /openai/v1/videos/{job_id}/content": "Doors",
    "POST /openai/v1/videos/{job_id}/remix": "Doors",
    "POST /openai/v1/videos/edits": "Doors",
    "POST /openai/v1/videos/extensions": "Doors",
    "POST /v1/admin/adjustments": "Admin",
    "POST /v1/admin/clawbacks": "Admin",
    "POST /v1/admin/grants": "Admin",
    "PUT /v1/admin/packs/{product_id}": "Admin",
    "GET /v1/admin/packs/{product_id}": "Admin",
    "DELETE /v1/admin/packs/{product_id}": "Admin",
    "GET /v1/admin/purchases": "Admin",
    "GET /v1/admin/purchases/{purchase_id}": "Admin",
    "POST /v1/admin/purchases/{purchase_id}/apply": "Admin",
    "POST /v1/admin/purchases/{purchase_id}/dismiss": "Admin",
    "GET /v1/packs": "Status",
    "PUT /v1/admin/models/{model_id}": "Admin",
    "GET /v1/admin/models/{model_id}": "Admin",
    "DELETE /v1/admin/models/{model_id}": "Admin",
    "POST /v1/admin/models/{model_id}/check": "Admin",
    "GET /v1/admin/jobs": "Operator",
    "GET /v1/admin/jobs/{job_id}": "Operator",
    "GET /v1/admin/users/{user_id}": "Operator",
    "GET /v1/admin/users/{user_id}/entries": "Operator",
    "GET /v1/admin/users/{user_id}/projects": "Operator",
    "GET /v1/admin/providers": "Operator",
    "GET /v1/admin/alarms": "Operator",
    "GET /v1/admin/audit": "Operator",
    "POST /v1/admin/jobs/{job_id}/cancel": "Actions",
    "POST /v1/admin/jobs/{job_id}/settle": "Actions",
    "POST /v1/admin/jobs/{job_id}/refetch": "Actions",
    "GET /v1/admin/models": "Operator",
    "GET /v1/admin/packs": "Operator",
    "GET /v1/admin/usage": "Operator",
    "POST /v1/admin/webhooks": "Admin",
    "GET /v1/admin/webhooks": "Admin",
    "GET /v1/admin/webhooks/{webhook_id}": "Admin",
    "PATCH /v1/admin/webhooks/{webhook_id}": "Admin",
    "DELETE /v1/admin/webhooks/{webhook_id}": "Admin",
    "POST /v1/admin/webhooks/{webhook_id}/rotate": "Admin",
    "POST /v1/admin/webhooks/{webhook_id}/test": "Admin",
    "GET /v1/admin/webhooks/{webhook_id}/deliveries": "Admin",
    "POST /v1/admin/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": "Admin",
    "POST /webhooks/{provider}/{job_id}/{stage}/{token}": "Webhooks",
    "POST /webhooks/purchases/{store}": "Purchases",
}
"""Every route of the API, and the function that serves it."""


@dataclass
class Context(LambdaContext):
    """The parts of a Lambda context that our code and Powertools read."""

    remaining_ms: int = 150_000
    function_name: str = "clipmint"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 1_024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:clipmint"
    aws_request_id: str = "8f5f0d0e-52a1-4a55-9c4e-5b6f6c8fb2a3"

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return self.remaining_ms


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The error's code, after a check that the response has the documented shape of errors."""
        assert list(self.body)[:4] == ["error", "code", "details", "timestamp"]
        assert self.headers["content-type"] == "application/json"
        assert isinstance(self.body["error"], str)
        assert self.body["details"] is None or isinstance(self.body["details"], str)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", self.body["timestamp"])
        return str(self.body["code"])


def event(
    method: str,
    path: str,
    *,
    user: str | None = "user-1",
    scope: str | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An HTTP API event. A ``str`` body is sent as it is, anything else as JSON."""
    route, parameters = _route(method, path)
    claims = {"sub": user, "iss": "https://issuer.example.com", "aud": "clipmint"}
    if scope is not None:
        claims["scope"] = scope
    context: dict[str, Any] = {
        "accountId": "123456789012",
        "apiId": "a1b2c3d4e5",
        "domainName": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": route,
        "stage": "$default",
        "timeEpoch": 1_795_168_800_000,
    }
    if user is not None:
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": urlencode(query or {}),
        # The gateway passes header names on in lower case.
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if query:
        made["queryStringParameters"] = dict(query)
    if parameters:
        made["pathParameters"] = parameters
    if body is not None:
        if isinstance(body, bytes):
            made |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        else:
            made["body"] = body if isinstance(body, str) else json.dumps(body)
        made["headers"].setdefault("content-type", "application/json")
    return made


def _route(method: str, path: str) -> tuple[str, dict[str, str]]:
    """The route an HTTP API picks: the one with the fewest variables."""
    for route in sorted(ROUTES, key=lambda route: route.count("{")):
        known_method, pattern = route.split(" ")
        found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), path)
        if found and known_method == method:
            return route, found.groupdict()
    return "$default", {}


def answer_of(result: Mapping[str, Any]) -> Answer:
    """What a caller sees of a handler's result."""
    headers: dict[str, str] = {}
    for name, value in (result.get("headers") or {}).items():
        headers[name.lower()] = value
    for name, values in (result.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = ",".join(values)
    text = result.get("body")
    return Answer(result["statusCode"], headers, json.loads(text) if text else None)


@dataclass
class Caller:
    """A caller with a token, calling one function."""

    handler: Handler
    user: str | None = "user-1"
    scope: str | None = None
    context: Context = field(default_factory=Context)

    def __call__(self, method: str, path: str, **parts: Any) -> Answer:
        parts = {"user": self.user, "scope": self.scope} | parts
        return answer_of(self.handler(event(method, path, **parts), self.context))
