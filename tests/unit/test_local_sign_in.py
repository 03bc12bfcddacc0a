"""The local issuer's sign-in: a code is used once, with its verifier, by the client that asked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from local.issuer import AUDIENCE, DISCOVERY, KEYS, TOKENS, Issuer
from local.sign_in import AUTHORIZE, CLIENT_ID, OPERATOR

VERIFIER = "v" * 50
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
BACK = "http://127.0.0.1:4000/"
REQUEST = {
    "client_id": CLIENT_ID,
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "openid",
    "state": "s1",
    "nonce": "n1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
EXCHANGE = {
    "grant_type": "authorization_code",
    "client_id": CLIENT_ID,
    "redirect_uri": BACK,
    "code_verifier": VERIFIER,
}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    key: Path = tmp_path_factory.mktemp("issuer") / "key.pem"
    with Issuer(key) as issuer, httpx.Client(base_url=issuer.url, trust_env=False) as client:
        yield client


def code(http: httpx.Client, user: str = "ada", **changed: str) -> str:
    answer = http.post(AUTHORIZE, data=REQUEST | {"user": user} | changed)
    assert answer.status_code == 303, answer.text
    where = urlsplit(answer.headers["Location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == BACK
    query = parse_qs(where.query)
    assert query["state"] == ["s1"]
    return query["code"][0]


def test_a_code_with_its_verifier_gives_tokens_of_the_user(http: httpx.Client) -> None:
    answer = http.post(TOKENS, data=EXCHANGE | {"code": code(http)})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    tokens = answer.json()
    key = jwt.PyJWK(http.get(KEYS).json()["keys"][0])
    for name, audience in (("access_token", AUDIENCE), ("id_token", CLIENT_ID)):
        claims = jwt.decode(tokens[name], key, algorithms=["RS256"], audience=audience)
        assert claims["sub"] == "ada"
        assert "scope" not in claims
    assert claims["nonce"] == "n1"


@pytest.mark.parametrize(
    ("user", "scope", "granted"),
    [
        (OPERATOR, "openid clipmint/admin", "clipmint/admin"),
        (OPERATOR, "openid", None),
        ("ada", "openid clipmint/admin", None),
    ],
)
def test_only_the_operator_gets_the_scope_of_an_operator_and_only_on_request(
    http: httpx.Client, user: str, scope: str, granted: str | None
) -> None:
    exchange = EXCHANGE | {"code": code(http, user, scope=scope)}
    token = http.post(TOKENS, data=exchange).json()["access_token"]
    assert jwt.decode(token, options={"verify_signature": False}).get("scope") == granted


def test_a_code_is_valid_once(http: httpx.Client) -> None:
    exchange = EXCHANGE | {"code": code(http)}
    assert http.post(TOKENS, data=exchange).status_code == 200
    assert http.post(TOKENS, data=exchange).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 50},
        {"client_id": "other"},
        {"redirect_uri": BACK + "x"},
        {"code": "x"},
    ],
)
def test_a_code_of_another_request_is_not_valid(
    http: httpx.Client, changed: dict[str, str]
) -> None:
    answer = http.post(TOKENS, data=EXCHANGE | {"code": code(http)} | changed)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://example.com/"},
        {"redirect_uri": "http://127.0.0.1.example.com/"},
        {"redirect_uri": "http://example.com\\@localhost/"},
        {"redirect_uri": "http://user@localhost/"},
        {"redirect_uri": "http://localhost/\r\nSet-Cookie: a=b"},
        {"redirect_uri": "http://localhost/\n"},
        {"redirect_uri": "http://localhost/#here"},
        {"redirect_uri": "http://["},
        {"client_id": "other"},
        {"response_type": "token"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
    ],
)
def test_a_request_that_is_not_valid_gets_no_page_and_no_code(
    http: httpx.Client, changed: dict[str, str]
) -> None:
    assert http.get(AUTHORIZE, params=REQUEST | changed).status_code == 400
    assert http.post(AUTHORIZE, data=REQUEST | changed | {"user": "ada"}).status_code == 400


@pytest.mark.parametrize(
    "redirect_uri", ["http://localhost", "http://[::1]:4000/", "http://127.0.0.1:4000/a/b.html"]
)
def test_a_code_goes_to_any_loopback_address(http: httpx.Client, redirect_uri: str) -> None:
    form = REQUEST | {"redirect_uri": redirect_uri, "user": "ada"}
    assert http.post(AUTHORIZE, data=form).headers["Location"].startswith(f"{redirect_uri}?code=")


@pytest.mark.parametrize("user", ["", "a b", "<b>", "x" * 65])
def test_a_user_needs_a_name(http: httpx.Client, user: str) -> None:
    assert http.post(AUTHORIZE, data=REQUEST | {"user": user}).status_code == 400


def test_the_page_repeats_the_request_without_its_markup(http: httpx.Client) -> None:
    page = http.get(AUTHORIZE, params=REQUEST | {"state": '"><script>'})
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "&quot;&gt;&lt;script&gt;" in page.text


def test_the_discovery_document_names_the_pages(http: httpx.Client) -> None:
    found = http.get(DISCOVERY).json()
    assert found["authorization_endpoint"].endswith(AUTHORIZE)
    assert found["code_challenge_methods_supported"] == ["S256"]
