"""Sign-in of the local issuer: the authorization code flow with PKCE, and a page without passwords.

The page asks for a user name; any name is a user, and the user `operator` gets the scope of an
operator when it is requested. It exists only on this computer: a code is sent only to an address of
the loopback interface.
"""

import base64
import hashlib
import hmac
import html
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlencode

AUTHORIZE = "/oauth2/authorize"
CLIENT_ID = "clipmint-console"
OPERATOR = "operator"
"""The user who is an operator."""
LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
"""A redirect URI: an address of the loopback interface, in which nothing has another meaning for a
browser than for us."""

USER = re.compile(r"[^\s<>]{1,64}")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in to the local stack</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 }}
body {{ display: grid; place-content: center; min-height: 100vh }}
form {{ display: grid; gap: .75rem; width: min(20rem, 90vw) }}
input, button {{ font: inherit; padding: .6rem .8rem }}
</style>
</head>
<body>
<main>
<h1>Local sign-in</h1>
<form method="post" action="{action}">
{hidden}
<label for="user">User name</label>
<input id="user" name="user" required maxlength="64" pattern="[^ <>]+" autofocus>
<button>Sign in</button>
<p>Any name is a user of this stack. There is no password. The user operator can also sign in as an
operator.</p>
</form>
</main>
</body>
</html>
"""


class NotAccepted(Exception):
    """A request of the flow that is not valid. The message names the parameter."""


@dataclass(frozen=True)
class SignIn:
    """A user who has signed in for a client, until the client has exchanged the code."""

    user: str
    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str | None
    scopes: frozenset[str]


class SignIns:
    """The sign-ins whose codes are not used yet."""

    def __init__(self) -> None:
        self._begun: dict[str, SignIn] = {}
        self._lock = Lock()

    def page(self, query: Mapping[str, str]) -> str:
        """The page for a request of RFC 6749, 4.1.1. Raises `NotAccepted`."""
        _check(query)
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in query.items()
            if name != "user"
        )
        return PAGE.format(action=AUTHORIZE, hidden=hidden)

    def begin(self, form: Mapping[str, str]) -> str:
        """The URL to go to with a code. Raises `NotAccepted`."""
        _check(form)
        if not USER.fullmatch(form.get("user", "")):
            raise NotAccepted("user")
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._begun[code] = SignIn(
                form["user"],
                form["client_id"],
                form["redirect_uri"],
                form["code_challenge"],
                form.get("nonce"),
                frozenset(form.get("scope", "").split()),
            )
        answer = {"code": code, "state": form.get("state", "")}
        return f"{form['redirect_uri']}?{urlencode(answer)}"

    def end(self, form: Mapping[str, str]) -> SignIn:
        """The sign-in of a code, which is valid once. Raises `NotAccepted`."""
        with self._lock:
            begun = self._begun.pop(form.get("code", ""), None)
        if begun is None:
            raise NotAccepted("code")
        if (begun.client_id, begun.redirect_uri) != (
            form.get("client_id"),
            form.get("redirect_uri"),
        ):
            raise NotAccepted("client_id, redirect_uri")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if not hmac.compare_digest(
            base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), begun.challenge
        ):
            raise NotAccepted("code_verifier")
        return begun


def _check(request: Mapping[str, str]) -> None:
    valid = {
        "client_id": request.get("client_id") == CLIENT_ID,
        "redirect_uri": bool(LOOPBACK.fullmatch(request.get("redirect_uri", ""))),
        "response_type": request.get("response_type") == "code",
        "code_challenge": bool(request.get("code_challenge")),
        "code_challenge_method": request.get("code_challenge_method") == "S256",
    }
    wrong = [name for name, accepted in valid.items() if not accepted]
    if wrong:
        raise NotAccepted(", ".join(wrong))
