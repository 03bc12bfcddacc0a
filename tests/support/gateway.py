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

ROUTES = (
    "POST /v1/videos",
    "POST /v1/videos/estimate",
    "POST /v1/scenes/{scene_id}/video",
    "POST /v1/projects/{project_id}/clips",
    "GET /v1/videos",
    "GET /v1/videos/{job_id}",
    "POST /v1/videos/{job_id}/cancel",
    "DELETE /v1/videos/{job_id}",
    "GET /v1/models",
    "GET /v1/models/{model_id}",
    "GET /v1/credits",
    "GET /v1/credits/entries",
    "POST /v1/images",
    "POST /v1/projects",
    "GET /v1/projects",
    "GET /v1/projects/{project_id}",
    "PATCH /v1/projects/{project_id}",
    "DELETE /v1/projects/{project_id}",
    "POST /v1/projects/{project_id}/scenes",
    "GET /v1/projects/{project_id}/scenes",
    "GET /v1/projects/{project_id}/scenes/{scene_id}",
    "PATCH /v1/projects/{project_id}/scenes/{scene_id}",
    "DELETE /v1/projects/{project_id}/scenes/{scene_id}",
    "GET /v1/projects/{project_id}/clips",
    "POST /v1/admin/adjustments",
    "POST /v1/admin/clawbacks",
    "POST /v1/admin/grants",
    "PUT /v1/admin/packs/{product_id}",
    "GET /v1/admin/packs/{product_id}",
    "DELETE /v1/admin/packs/{product_id}",
    "GET /v1/admin/purchases",
    "GET /v1/admin/purchases/{purchase_id}",
    "POST /v1/admin/purchases/{purchase_id}/apply",
    "POST /v1/admin/purchases/{purchase_id}/dismiss",
    "GET /v1/packs",
    "POST /webhooks/purchases/{store}",
    "PUT /v1/admin/models/{model_id}",
    "GET /v1/admin/models/{model_id}",
    "DELETE /v1/admin/models/{model_id}",
    "POST /v1/admin/models/{model_id}/check",
    "POST /v1/admin/webhooks",
    "GET /v1/admin/webhooks",
    "GET /v1/admin/webhooks/{webhook_id}",
    "PATCH /v1/admin/webhooks/{webhook_id}",
    "DELETE /v1/admin/webhooks/{webhook_id}",
    "POST /v1/admin/webhooks/{webhook_id}/rotate",
    "POST /v1/admin/webhooks/{webhook_id}/test",
    "GET /v1/admin/webhooks/{webhook_id}/deliveries",
    "POST /v1/admin/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    "GET /v1/admin/jobs",
    "GET /v1/admin/jobs/{job_id}",
    "GET /v1/admin/users/{user_id}",
    "GET /v1/admin/users/{user_id}/entries",
    "GET /v1/admin/users/{user_id}/projects",
    "GET /v1/admin/providers",
    "GET /v1/admin/models",
    "GET /v1/admin/packs",
    "POST /webhooks/{provider}/{job_id}/{stage}/{token}",
    "POST /functions/v1/generate-video",
    "GET /functions/v1/get-video-status",
    "GET /functions/v1/get-video-jobs",
    "POST /functions/v1/delete-video-job",
    "DELETE /functions/v1/delete-video-job",
    "GET /functions/v1/get-models",
    "GET /functions/v1/get-user-credits",
    "POST /api/video/generate",
    "GET /api/video/generate/tasks",
    "GET /api/video/generate/tasks/{job_id}",
    "DELETE /api/video/generate/tasks/{job_id}",
    "POST /functions/v1/generate-clips",
    "POST /functions/v1/check-clips-status",
    "POST /api/images/upload",
    "POST /api/videos/generate",
    "GET /api/videos/status/{job_id}",
    "POST /openai/v1/videos",
    "GET /openai/v1/videos",
    "GET /openai/v1/videos/{job_id}",
    "DELETE /openai/v1/videos/{job_id}",
    "GET /openai/v1/videos/{job_id}/content",
    "POST /openai/v1/videos/{job_id}/remix",
    "POST /openai/v1/videos/edits",
    "POST /openai/v1/videos/extensions",
)


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
