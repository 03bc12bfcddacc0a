"""Every route requires a token, except the one that requires a signature instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.reading import ROOT, of_type, transformed, written

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
    "GET /v1/admin/models": "Operator",
    "GET /v1/admin/packs": "Operator",
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
WEBHOOKS = {
    "POST /webhooks/{provider}/{job_id}/{stage}/{token}",
    "POST /webhooks/purchases/{store}",
}
NOT_OFFERED = {
    "POST /openai/v1/videos/{job_id}/remix",
    "POST /openai/v1/videos/edits",
    "POST /openai/v1/videos/extensions",
}
"""Routes that only explain that there is nothing."""


def document() -> dict[str, Any]:
    body = of_type(transformed(), "AWS::ApiGatewayV2::Api")["HttpApi"]["Body"]
    assert isinstance(body, dict)
    return body


def routes() -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


def properties() -> dict[str, Any]:
    return of_type(written()["Resources"], "AWS::Serverless::HttpApi")["HttpApi"]


def test_each_route_leads_to_its_function() -> None:
    leads_to = {
        route: operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        for route, operation in routes().items()
    }
    assert leads_to.keys() == ROUTES.keys()
    assert all(f"${{{ROUTES[route]}FunctionAliaslive}}" in uri for route, uri in leads_to.items())


@pytest.mark.parametrize("route", sorted(ROUTES.keys() - WEBHOOKS))
def test_a_route_asks_for_a_token_and_the_owners_for_the_admin_scope(route: str) -> None:
    scopes = ["clipmint/admin"] if "/admin/" in route else []
    assert routes()[route]["security"] == [{"Jwt": scopes}]


def test_every_route_a_token_opens_is_described() -> None:
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert {
        f"{method.upper()} {path}"
        for path, methods in described["paths"].items()
        for method in methods
    } == ROUTES.keys() - WEBHOOKS - NOT_OFFERED


@pytest.mark.parametrize("route", sorted(WEBHOOKS))
def test_a_webhooks_route_asks_for_no_token(route: str) -> None:
    assert [security for security in routes()[route].get("security", []) if "Jwt" in security] == []


def test_the_authorizer_takes_the_owners_issuer_and_cognito_when_there_is_none() -> None:
    jwt = properties()["Auth"]["Authorizers"]["Jwt"]["JwtConfiguration"]
    condition, cognito, own = jwt["issuer"]["Fn::If"]
    assert condition == "CreateUserPool"
    assert cognito["Fn::Sub"].endswith("/${UserPool}")
    assert own == {"Ref": "JwtIssuer"}
    assert jwt["audience"]["Fn::If"] == [
        "CreateUserPool",
        [
            {"Ref": "UserPoolClient"},
            {"Ref": "AdminClient"},
            {"Fn::If": ["ConsoleOnPool", {"Ref": "ConsolePoolClient"}, {"Ref": "AWS::NoValue"}]},
        ],
        {"Fn::Split": [",", {"Fn::Join": ["", {"Fn::Split": [" ", {"Ref": "JwtAudience"}]}]}]},
    ]


def test_cognito_is_made_only_when_no_issuer_is_given() -> None:
    resources = written()["Resources"]
    assert written()["Conditions"]["CreateUserPool"] == {"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}
    made = {name for name, it in resources.items() if it["Type"].startswith("AWS::Cognito::")}
    assert {"UserPool", "UserPoolClient", "AdminScope", "AdminClient"} <= made
    assert resources["ConsolePoolClient"]["Condition"] == "ConsoleOnPool"
    assert {"Condition": "CreateUserPool"} in written()["Conditions"]["ConsoleOnPool"]["Fn::And"]
    others = made - {"ConsolePoolClient"}
    assert all(resources[name].get("Condition") == "CreateUserPool" for name in others)


def test_only_the_back_offices_client_can_have_the_admin_scope() -> None:
    clients = of_type(written()["Resources"], "AWS::Cognito::UserPoolClient")
    assert clients["AdminClient"]["AllowedOAuthScopes"] == ["clipmint/admin"]
    assert clients["AdminClient"]["AllowedOAuthFlows"] == ["client_credentials"]
    assert clients["AdminClient"]["GenerateSecret"] is True
    assert "AllowedOAuthScopes" not in clients["UserPoolClient"]


def test_browsers_may_send_and_read_the_headers_the_api_speaks() -> None:
    # What SAM makes of it: it takes an intrinsic AllowOrigins on its own for the whole, so the
    # template has an !If around all of it.
    condition, cors, otherwise = document()["x-amazon-apigateway-cors"]["Fn::If"]
    assert (condition, otherwise) == ("BrowserApps", {"Ref": "AWS::NoValue"})
    console = {"Fn::Sub": "*,https://${ConsoleDistribution.DomainName}"}
    origins = {"Fn::If": ["AddsConsoleOrigin", console, "*"]}
    without_spaces = {"Fn::Join": ["", {"Fn::Split": [" ", origins]}]}
    assert cors["allowOrigins"] == {"Fn::Split": [",", without_spaces]}
    assert {"Authorization", "Content-Type", "Idempotency-Key"} <= set(cors["allowHeaders"])
    answered = {"ETag", "Location", "Retry-After", "X-Idempotent-Replay", "X-RateLimit-Limit"}
    answered |= {"X-RateLimit-Remaining", "X-RateLimit-Reset", "WWW-Authenticate"}
    assert answered == set(cors["exposeHeaders"])
    assert {route.split()[0] for route in ROUTES} <= set(cors["allowMethods"])
    assert "allowCredentials" not in cors


def test_access_is_logged_without_the_tokens_in_webhook_paths() -> None:
    line = properties()["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in line
    assert "$context.path" not in line


def test_calls_are_throttled() -> None:
    assert properties()["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
    assert properties()["DefaultRouteSettings"]["ThrottlingBurstLimit"] > 0
