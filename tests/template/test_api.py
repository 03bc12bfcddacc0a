"""Every route requires a token, except the one that requires a signature instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.gateway import ROUTES
from tests.support.reading import ROOT, of_type, transformed, written

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
            {
                "Fn::If": [
                    "ConsoleOnPool",
                    {"Ref": "ConsoleOperatorClient"},
                    {"Ref": "AWS::NoValue"},
                ]
            },
        ],
        {"Fn::Split": [",", {"Fn::Join": ["", {"Fn::Split": [" ", {"Ref": "JwtAudience"}]}]}]},
    ]


def test_cognito_is_made_only_when_no_issuer_is_given() -> None:
    resources = written()["Resources"]
    assert written()["Conditions"]["CreateUserPool"] == {"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}
    made = {name for name, it in resources.items() if it["Type"].startswith("AWS::Cognito::")}
    assert {"UserPool", "UserPoolClient", "AdminScope", "AdminClient"} <= made
    of_console = {"ConsolePoolClient", "ConsoleOperatorClient"}
    assert all(resources[name]["Condition"] == "ConsoleOnPool" for name in of_console)
    assert {"Condition": "CreateUserPool"} in written()["Conditions"]["ConsoleOnPool"]["Fn::And"]
    others = made - of_console
    assert all(resources[name].get("Condition") == "CreateUserPool" for name in others)


def test_only_clients_with_a_secret_can_have_the_admin_scope() -> None:
    """Cognito gives each user of a client all scopes that it allows."""
    clients = of_type(written()["Resources"], "AWS::Cognito::UserPoolClient")
    with_scope = {
        name for name, it in clients.items() if "clipmint/admin" in it.get("AllowedOAuthScopes", ())
    }
    assert with_scope == {"AdminClient", "ConsoleOperatorClient"}
    assert all(clients[name]["GenerateSecret"] is True for name in with_scope)
    # A code is worth nothing without the secret; the other flows would give tokens without it.
    assert clients["ConsoleOperatorClient"]["AllowedOAuthFlows"] == ["code"]
    assert clients["ConsoleOperatorClient"]["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert clients["AdminClient"]["AllowedOAuthScopes"] == ["clipmint/admin"]
    assert clients["AdminClient"]["AllowedOAuthFlows"] == ["client_credentials"]
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
