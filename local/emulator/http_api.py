"""API Gateway: the routes, authorizer and CORS that SAM writes into an HTTP API's `Body`.

- `AWS::Serverless::HttpApi` becomes an `AWS::ApiGatewayV2::Api` with an OpenAPI `Body`, which
  upstream ignores: the stack is created and has no route.
- A function that fails answers 502 with its error's details; AWS answers 500 without details. A
  throttled one answers 429 with Lambda's error; AWS answers 503.
- A signed token whose `exp` is not a number answers 500; AWS answers 401.
- A 401 has no `WWW-Authenticate`; AWS states there if a token is missing, expired or invalid.
- An execute-api host name needs a resolver for `*.localhost`. Here the API also answers at the root
  of a separate port, so its URL is known before it is deployed.
"""

import base64
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from ministack.services import apigateway, lambda_svc
from ministack.services.cloudformation import provisioners

from local.emulator.settings import Settings
from local.emulator.upstream import corrects

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

INTEGRATED_FUNCTION = re.compile(r"functions/(arn:[^/]+)/invocations")
ANY_METHOD = "x-amazon-apigateway-any-method"


def import_body(api_id: str, body: dict[str, Any], stack: str) -> None:
    """Replace the API's routes, authorizers and CORS by what its OpenAPI document declares."""
    for kept in (apigateway._routes, apigateway._integrations, apigateway._authorizers):
        kept[api_id] = {}
    cors = body.get("x-amazon-apigateway-cors")
    if cors:
        apigateway._apis[api_id]["corsConfiguration"] = dict(cors)
    authorizers = _import_authorizers(api_id, body, stack)
    for path, methods in body.get("paths", {}).items():
        for method, operation in methods.items():
            integration = operation.get("x-amazon-apigateway-integration")
            if integration:
                route = {
                    "ApiId": api_id,
                    "RouteKey": _route_key(method, path),
                    "Target": f"integrations/{_import_integration(api_id, integration, stack)}",
                }
                provisioners._apigw_v2_route_create(
                    "Route", route | _authorization(operation, authorizers), stack
                )


def _import_authorizers(api_id: str, body: dict[str, Any], stack: str) -> dict[str, str]:
    """The ids of the document's JWT authorizers by name."""
    ids = {}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        declared = scheme.get("x-amazon-apigateway-authorizer", {})
        jwt = declared.get("jwtConfiguration", {})
        source = declared.get("identitySource", "$request.header.Authorization")
        ids[name], _ = provisioners._apigw_v2_authorizer_create(
            name,
            {
                "ApiId": api_id,
                "Name": name,
                "AuthorizerType": "JWT",
                "IdentitySource": [source] if isinstance(source, str) else source,
                "JwtConfiguration": {
                    "Issuer": jwt.get("issuer", ""),
                    "Audience": jwt.get("audience", []),
                },
            },
            stack,
        )
    return ids


def _import_integration(api_id: str, integration: dict[str, Any], stack: str) -> str:
    function = INTEGRATED_FUNCTION.search(integration["uri"])
    if function is None:
        raise ValueError(f"not a Lambda integration: {integration['uri']}")
    created, _ = provisioners._apigw_v2_integration_create(
        "Integration",
        {
            "ApiId": api_id,
            "IntegrationUri": function[1],
            "PayloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
        },
        stack,
    )
    return str(created)


def _route_key(method: str, path: str) -> str:
    if path in {"/$default", "$default"}:
        return "$default"
    return f"{'ANY' if method == ANY_METHOD else method.upper()} {path}"


def _authorization(operation: dict[str, Any], authorizers: dict[str, str]) -> dict[str, Any]:
    for requirement in operation.get("security", []):
        for name, scopes in requirement.items():
            if name in authorizers:
                return {
                    "AuthorizationType": "JWT",
                    "AuthorizerId": authorizers[name],
                    "AuthorizationScopes": scopes,
                }
    return {}


def with_challenge(
    refusal: tuple[int, dict[str, str], bytes] | None,
    authorizer: dict[str, Any],
    headers: dict[str, str],
    query: dict[str, str],
) -> tuple[int, dict[str, str], bytes] | None:
    """The answer to a request without a valid token, with `WWW-Authenticate` if it is a 401."""
    if refusal and refusal[0] == 401:
        source = authorizer.get("identitySource", [])
        token = apigateway._extract_token_from_identity_source(source, headers, query)
        refusal[1]["WWW-Authenticate"] = challenge(token, authorizer)
    return refusal


def challenge(token: str | None, authorizer: dict[str, Any]) -> str:
    """`WWW-Authenticate` of a 401. AWS documents the form and the text about the audience
    (developer guide, troubleshooting JWT authorizers); the other texts are assumptions (U)."""
    if not token:
        return "Bearer"
    why = "the token is not valid"
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        jwt = authorizer.get("jwtConfiguration") or {}
        allowed = jwt.get("audience") or jwt.get("Audience") or []
        audience = claims.get("aud", claims.get("client_id"))
        if int(claims["exp"]) <= time.time():
            why = "the token has expired"
        elif not set(audience if isinstance(audience, list) else [audience]) & set(allowed):
            why = "the token does not have a valid audience"
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        pass
    return f'Bearer scope="" error="invalid_token" error_description="{why}"'


class OwnPort:
    """Serves the one deployed HTTP API at the root of `api_port`, the AWS APIs elsewhere.

    Each answered request to the API becomes a line of JSON in the file `requests`: {"at", "method",
    "path", "status", "milliseconds"}.
    """

    def __init__(self, application: Application, api_port: int, requests: Path) -> None:
        self._application = application
        self._api_port = api_port
        self._requests = os.open(requests, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["server"][1] != self._api_port:
            await self._application(scope, receive, send)
            return
        prefix = f"/_aws/execute-api/{self._api_id()}/$default"
        inner = {
            **scope,
            "path": prefix + scope["path"],
            "raw_path": prefix.encode() + scope["raw_path"],
        }
        began, started = time.time(), time.monotonic()

        async def send_and_record(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                line = {
                    "at": began,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": message["status"],
                    "milliseconds": (time.monotonic() - started) * 1000,
                }
                os.write(self._requests, json.dumps(line).encode() + b"\n")
            await send(message)

        await self._application(inner, receive, send_and_record)

    def _api_id(self) -> str:
        """The newest API's id, or an unused id (404) if nothing is deployed."""
        # The account of the request is not known here, so read the store of all accounts.
        ids = [api_id for _account, _region, api_id in apigateway._apis._data]
        return ids[-1] if ids else "none"


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings

    @corrects(provisioners, "_apigw_v2_api_create", digest="0002e18b4198")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        api_id, attributes = original(logical_id, properties, stack)
        if properties.get("Body"):
            import_body(api_id, properties["Body"], stack)
        return api_id, attributes

    @corrects(provisioners, "_apigw_v2_api_update", digest="d12d60c12ed7")
    def update(
        original: Any, physical_id: str, old: Any, new: dict[str, Any], stack: str, *more: Any
    ) -> Any:
        api_id, attributes = original(physical_id, old, new, stack, *more)
        if new.get("Body"):
            import_body(api_id, new["Body"], stack)
        return api_id, attributes

    # The table of resource types holds the functions themselves, not their names.
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    handlers["create"] = provisioners._apigw_v2_api_create
    handlers["update"] = provisioners._apigw_v2_api_update

    @corrects(apigateway, "_validate_jwt_authorizer", digest="b29aa12ec1dc")
    async def validate_jwt(
        original: Any, route: Any, authorizer: Any, headers: Any, query: Any
    ) -> Any:
        try:
            claims, scopes, refusal = await original(route, authorizer, headers, query)
        except (ArithmeticError, AttributeError, TypeError, ValueError):
            # The header or a claim does not have the type that the check expects.
            claims, scopes, refusal = None, None, apigateway._jwt_unauthorized()
        return claims, scopes, with_challenge(refusal, authorizer, headers, query)

    @corrects(lambda_svc, "lambda_execute_result_to_api_proxy_response", digest="36f0ed215e85")
    def to_response(original: Any, result: dict[str, Any]) -> Any:
        response, reason = original(result)
        if result.get("error"):
            status, message = 500, "Internal Server Error"
            if result.get("throttle"):
                status, message = 503, "Service Unavailable"
            response = {
                "statusCode": status,
                "headers": {"Content-Type": "application/json"},
                "body": json.dumps({"message": message}),
            }
        return response, reason
