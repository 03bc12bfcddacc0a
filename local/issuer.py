"""A minimal OpenID Connect issuer for tokens that the local stack accepts.

It serves `/.well-known/openid-configuration`, the public key, a sign-in page for the console
(`local.sign_in`), and a token endpoint for both the console and the back office (client
credentials, like Cognito's). `Signer` signs with the private key. That key is in the stack's state
folder (mode 0600), so another process can make tokens while the stack runs. API Gateway checks
signature, issuer, audience, expiry and scopes.
"""

import base64
import json
import os
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from local.loopback_server import LoopbackServer
from local.sign_in import AUTHORIZE, OPERATOR, NotAccepted, SignIns

AUDIENCE = "clipmint-local"
ADMIN_SCOPE = "clipmint/admin"
KEY_ID = "local"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/.well-known/jwks.json"
TOKENS = "/oauth2/token"
BACK_OFFICE = ("back-office", "local-secret")
"""The id and the secret of the only client of the token endpoint."""
MOST_BYTES = 10_000


class Signer:
    """Signs tokens of one issuer with its private key."""

    def __init__(self, issuer: str, key: RSAPrivateKey) -> None:
        self._issuer = issuer
        self._key = key

    @classmethod
    def from_file(cls, issuer: str, path: Path) -> Self:
        """The signer of a running stack. Raises ValueError if the file holds no RSA key."""
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError(f"{path} is not an RSA private key")  # noqa: TRY004 - a bad value
        return cls(issuer, key)

    def token(
        self,
        user: str,
        *,
        admin: bool = False,
        audience: str = AUDIENCE,
        expires_in: int = 3600,
        **claims: Any,
    ) -> str:
        """A JWT with `user` as its `sub`. `expires_in` is in seconds, and may be negative. A claim
        that is None is left out."""
        now = int(time.time())
        payload = {
            "iss": self._issuer,
            "sub": user,
            "aud": audience,
            "iat": now + min(0, expires_in),
            "exp": now + expires_in,
            **({"scope": ADMIN_SCOPE} if admin else {}),
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, self._key, algorithm="RS256", headers={"kid": KEY_ID})


class Issuer(LoopbackServer):
    """The issuer's HTTP server, in a thread, on a free port of 127.0.0.1."""

    def __init__(self, key_file: Path) -> None:
        super().__init__()
        key = generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        self._documents: dict[str, bytes] = {}
        self.url = self.origin
        self.signer = Signer(self.url, key)
        self._documents[KEYS] = _encoded({"keys": [_public_jwk(key)]})
        self._documents[DISCOVERY] = _encoded(
            {
                "issuer": self.url,
                "jwks_uri": self.url + KEYS,
                "authorization_endpoint": self.url + AUTHORIZE,
                "token_endpoint": self.url + TOKENS,
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )
        self.serve(self._handler())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        documents, signer, sign_ins = self._documents, self.signer, SignIns()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                where = urlsplit(self.path)
                if where.path == AUTHORIZE:
                    self._answer(*asked(sign_ins, dict(parse_qsl(where.query))))
                    return
                document = documents.get(self.path)
                self._answer(200 if document is not None else 404, document or b"")

            def do_POST(self) -> None:
                length = min(int(self.headers.get("Content-Length") or 0), MOST_BYTES)
                form = dict(parse_qsl(self.rfile.read(length).decode(errors="replace")))
                if self.path == AUTHORIZE:
                    self._answer(*begun(sign_ins, form))
                elif self.path == TOKENS:
                    authorization = self.headers.get("Authorization", "")
                    with_code = form.get("grant_type") == "authorization_code"
                    status, document = (
                        signed_in(signer, sign_ins, form)
                        if with_code
                        else granted(signer, authorization, form)
                    )
                    self._answer(status, _encoded(document))
                else:
                    self._answer(404, b"")

            def _answer(
                self, status: int, body: bytes, headers: Mapping[str, str] | None = None
            ) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                # The console has another origin.
                self.send_header("Access-Control-Allow-Origin", "*")
                for name, value in (headers or {"Content-Type": "application/json"}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - inherited name
                """Log nothing."""

        return Handler


def granted(
    signer: Signer, authorization: str, form: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Status and body of a request for a token with client credentials (RFC 6749, 4.4 and 5)."""
    basic = base64.b64encode(":".join(BACK_OFFICE).encode()).decode()
    if authorization != f"Basic {basic}":
        return 401, {"error": "invalid_client"}
    if form.get("grant_type") != "client_credentials":
        return 400, {"error": "unsupported_grant_type"}
    if form.get("scope", ADMIN_SCOPE) != ADMIN_SCOPE:
        return 400, {"error": "invalid_scope"}
    token = signer.token(BACK_OFFICE[0], admin=True)
    return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}


def asked(sign_ins: SignIns, query: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of a request for the sign-in page."""
    try:
        page = sign_ins.page(query)
    except NotAccepted as error:
        return 400, str(error).encode(), {"Content-Type": "text/plain; charset=utf-8"}
    return 200, page.encode(), {"Content-Type": "text/html; charset=utf-8"}


def begun(sign_ins: SignIns, form: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of the sign-in page's form: back to the client, with a code."""
    try:
        return 303, b"", {"Location": sign_ins.begin(form)}
    except NotAccepted as error:
        return 400, str(error).encode(), {"Content-Type": "text/plain; charset=utf-8"}


def signed_in(
    signer: Signer, sign_ins: SignIns, form: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Status and body of a request for a token with a code (RFC 6749, 4.1.3; RFC 7636)."""
    try:
        ended = sign_ins.end(form)
    except NotAccepted:
        return 400, {"error": "invalid_grant"}
    identity = signer.token(
        ended.user, audience=ended.client_id, nonce=ended.nonce, name=ended.user
    )
    operator = ended.user == OPERATOR and ADMIN_SCOPE in ended.scopes
    return 200, {
        "access_token": signer.token(ended.user, admin=operator),
        "id_token": identity,
        "token_type": "Bearer",
        "expires_in": 3600,
    }


def _public_jwk(key: RSAPrivateKey) -> dict[str, Any]:
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": KEY_ID, "alg": "RS256", "use": "sig"}


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
