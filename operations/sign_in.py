"""Tokens for the API: of a new user of the stack's Cognito pool, or given in the environment.

The user is created without an invitation, so no e-mail is sent, and must be deleted by the caller.
The back office's token is exchanged for the client's secret, as the owner's own systems do.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from operations.app_client import http_client
from operations.installation import Client, DeployedStack, NotConfigured
from operations.steps import Unexpected

USER_TOKEN, ADMIN_TOKEN = "CLIPMINT_USER_TOKEN", "CLIPMINT_ADMIN_TOKEN"
ADMIN_SCOPE = "clipmint/admin"
DOMAIN_ATTEMPTS = 12
DOMAIN_PAUSE_SECONDS = 5.0
"""A new sign-in domain can need a minute until its name resolves."""


@dataclass(frozen=True)
class Tokens:
    """``user_id`` is the subject of the user's token."""

    user: str
    admin: str

    @property
    def user_id(self) -> str:
        return subject_of(self.user)


@dataclass(frozen=True)
class PoolUser:
    """A user of a Cognito pool, created by `create_user`."""

    pool_id: str
    email: str
    password: str


def given_tokens(environment: Mapping[str, str]) -> Tokens | None:
    """The tokens in the environment. Raises `NotConfigured` if there is only one of them."""
    found = [environment.get(name, "") for name in (USER_TOKEN, ADMIN_TOKEN)]
    if not any(found):
        return None
    if not all(found):
        raise NotConfigured(f"set both {USER_TOKEN} and {ADMIN_TOKEN}, or none of them")
    return Tokens(*found)


def create_user(cognito: Any, stack: DeployedStack) -> PoolUser:
    """Create a user with a random name. Raises `NotConfigured` if the stack has no pool."""
    if "UserPoolId" not in stack.outputs:
        raise NotConfigured(
            f"{stack.name} uses your own sign-in (JwtIssuer), so this program cannot make a user:"
            f" put a user's token into {USER_TOKEN} and one with the scope {ADMIN_SCOPE} into"
            f" {ADMIN_TOKEN}"
        )
    # The prefix has a letter of each kind and a digit, which the pool requires.
    user = PoolUser(
        stack.output("UserPoolId"),
        f"clipmint-smoke-{secrets.token_hex(8)}@example.com",
        f"Aa1-{secrets.token_urlsafe(24)}",
    )
    cognito.admin_create_user(
        UserPoolId=user.pool_id,
        Username=user.email,
        MessageAction="SUPPRESS",
        UserAttributes=[
            {"Name": "email", "Value": user.email},
            {"Name": "email_verified", "Value": "true"},
        ],
    )
    return user


def delete_user(cognito: Any, user: PoolUser) -> None:
    """Delete a user that `create_user` made."""
    cognito.admin_delete_user(UserPoolId=user.pool_id, Username=user.email)


def token_of_user(cognito: Any, stack: DeployedStack, user: PoolUser) -> str:
    """Set the user's password and sign in. Returns the access token."""
    cognito.admin_set_user_password(
        UserPoolId=user.pool_id, Username=user.email, Password=user.password, Permanent=True
    )
    response = cognito.admin_initiate_auth(
        UserPoolId=user.pool_id,
        ClientId=stack.output("UserPoolClientId"),
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": user.email, "PASSWORD": user.password},
    )
    if "AuthenticationResult" not in response:
        raise Unexpected(f"the sign-in asks for a challenge: {response.get('ChallengeName')}")
    return str(response["AuthenticationResult"]["AccessToken"])


def token_of_admin(client: Client, stack: DeployedStack) -> str:
    """Exchange the back office client's secret for a token with the admin scope."""
    client_id = stack.output("AdminClientId")
    described = client("cognito-idp").describe_user_pool_client(
        UserPoolId=stack.output("UserPoolId"), ClientId=client_id
    )
    secret = described["UserPoolClient"]["ClientSecret"]
    response = _post_form(
        stack.output("TokenUrl"),
        {"grant_type": "client_credentials", "scope": ADMIN_SCOPE},
        (client_id, secret),
    )
    # The body of a success contains the token, so only that of an error is quoted.
    if not response.is_success or "access_token" not in response.json():
        raise Unexpected(
            f"{stack.output('TokenUrl')} answered {response.status_code}: {response.text[:200]}"
        )
    return str(response.json()["access_token"])


def _post_form(url: str, form: Mapping[str, str], auth: tuple[str, str]) -> httpx.Response:
    with http_client(url) as http:
        for attempt in range(1, DOMAIN_ATTEMPTS + 1):
            try:
                return http.post(url, data=dict(form), auth=auth)
            except httpx.ConnectError:
                if attempt == DOMAIN_ATTEMPTS:
                    raise
                time.sleep(DOMAIN_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def subject_of(token: str) -> str:
    """The subject in a JWT, without verification: the API verifies it. Raises `NotConfigured`."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["sub"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise NotConfigured(f"{USER_TOKEN} is not a JWT with a subject") from error
