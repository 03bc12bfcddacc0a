"""How simulators read the images a submission names."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from PIL import Image

from local.simulator.inputs import UnusableImage, read_image

LIMIT = 100_000


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


class Images(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = {"/red.png": png(), "/notes.txt": b"no picture", "/large.png": bytes(LIMIT + 1)}
        moved = self.path == "/moved.png"
        self.send_response(302 if moved else 200 if self.path in found else 404)
        self.send_header("Location", "/red.png")
        self.end_headers()
        self.wfile.write(found.get(self.path, b""))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Not on the console."""


@pytest.fixture(scope="module")
def images() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Images) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read(url: str, *, fetch: bool = False, redirects: bool = True) -> bytes | None:
    return asyncio.run(read_image(url, limit=LIMIT, fetch=fetch, redirects=redirects))


def problem(url: str, *, redirects: bool = True) -> str:
    with pytest.raises(UnusableImage) as caught:
        read(url, fetch=True, redirects=redirects)
    return caught.value.problem


def test_an_image_on_loopback_is_read_with_any_settings(images: str) -> None:
    assert read(f"{images}/red.png") == png()
    assert read(f"data:image/png;base64,{base64.b64encode(png()).decode()}") == png()
    assert read(f"data:image/png,{quote(png())}") == png()


def test_a_remote_image_is_accepted_unread_unless_fetching_is_on() -> None:
    assert read("https://pictures.invalid/red.png") is None
    assert problem("https://pictures.invalid/red.png") == "unreachable"


def test_a_redirect_is_followed_only_where_the_provider_does(images: str) -> None:
    assert read(f"{images}/moved.png") == png()
    assert problem(f"{images}/moved.png", redirects=False) == "unreachable"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/missing.png", "unreachable"),
        ("/large.png", "too_large"),
        ("/notes.txt", "no_image"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(
    images: str, path: str, expected: str
) -> None:
    assert problem(f"{images}{path}") == expected


@pytest.mark.parametrize(
    "url", ["data:image/png;base64", "data:image/png;base64,%%", "ftp://example.com/a", "https://["]
)
def test_what_is_no_address_at_all_is_unreachable(url: str) -> None:
    assert problem(url) == "unreachable"
