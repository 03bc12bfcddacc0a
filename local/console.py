"""The console of a local stack: the files of `console/`, from a port of their own.

The files, their types and the security headers are those of a deployment (`operations.console`).
The headers name no https, which loopback does not use.
"""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from local.issuer import ADMIN_SCOPE, AUDIENCE
from local.loopback_server import LoopbackServer
from local.sign_in import CLIENT_ID
from operations.console import CONFIG, INDEX, content_type, read_files

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' http: blob:;"
    " media-src http:; connect-src 'self' http:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

SCOPE = "openid profile"


class Console(LoopbackServer):
    """The console's HTTP server, in a thread, on a free port of 127.0.0.1."""

    def __init__(self, api_url: str, issuer: str) -> None:
        super().__init__()
        self._config = json.dumps(
            {
                "api_url": api_url,
                "issuer": issuer,
                "client_id": CLIENT_ID,
                "scope": SCOPE,
                "audience": AUDIENCE,
                "operator": {
                    "client_id": CLIENT_ID,
                    "scope": f"{SCOPE} {ADMIN_SCOPE}",
                    "key": False,
                },
            }
        ).encode()
        self.url = f"{self.origin}/"
        self.serve(self._handler())

    def _file(self, path: str) -> bytes | None:
        name = path.removeprefix("/") or INDEX
        if name == CONFIG:
            return self._config
        # Read at each request, so that a change of a file needs no restart.
        return read_files().get(name)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        file = self._file

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = urlsplit(self.path).path
                body = file(name)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", content_type(name.removeprefix("/") or INDEX))
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("Cache-Control", "no-cache")
                self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
                self.send_header("X-Content-Type-Options", "nosniff")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - inherited name
                """Log nothing."""

        return Handler
