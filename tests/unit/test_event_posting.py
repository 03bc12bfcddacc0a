"""No endpoint makes us connect to an internal network, follow a redirect, or wait for long."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from clipmint.errors import InvalidRequest
from clipmint.events import posting
from clipmint.events.endpoint_requests import check_url
from clipmint.events.posting import Answer, post
from clipmint.media.pinned_requests import new_client
from tests.support.ssrf_corpus import FAMOUS, INSIDE, SAME_PLACE, formatted, hostile_urls

PUBLIC = "151.101.1.1"
EVENT = {"webhook-id": "evt_1"}


class Internet:
    """What an attempt looked up and connected to. ``status`` is every response's."""

    def __init__(self, addresses: list[list[str]] | None = None, status: int = 204) -> None:
        self.addresses = addresses or []
        self.status = status
        self.reached: list[tuple[str, str]] = []
        self.headers = {"Location": "https://169.254.169.254/latest/meta-data/"}

    def resolve(self, _: str, port: int) -> list[str]:
        assert port == 443
        return self.addresses.pop(0) if self.addresses else [PUBLIC]

    def handle(self, request: httpx.Request) -> httpx.Response:
        name = request.extensions["sni_hostname"]
        assert request.headers["Host"].partition(":")[0] == name
        assert request.url.scheme == "https"
        self.reached.append((request.url.host, name))
        return httpx.Response(
            self.status, headers=self.headers, content=b"a secret of the receiver"
        )

    def post(self, url: str) -> Answer:
        transport = httpx.MockTransport(self.handle)
        with httpx.Client(transport=transport, trust_env=False) as http:
            return post(url, EVENT, "{}", http=http, resolve=self.resolve)


def accepted(url: str) -> bool:
    """Whether an owner can add a webhook with this URL."""
    try:
        check_url(url, frozenset())
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize("url", hostile_urls())
def test_a_hostile_url_is_rejected_when_it_is_added_or_blocked_at_each_attempt(url: str) -> None:
    internet = Internet(addresses=[["127.0.0.1"]] * 4)
    if not accepted(url):
        return
    assert internet.post(url).reason == posting.BLOCKED
    assert internet.reached == []


@pytest.mark.parametrize("url", hostile_urls())
def test_a_hostile_url_that_was_stored_connects_to_nothing_internal(url: str) -> None:
    # A host of the corpus that is a name may be anyone's: what counts is its address.
    internet = Internet(addresses=[["169.254.169.254"]] * 4)
    internet.post(url)
    assert internet.reached == []


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_with_an_internal_address_is_blocked(address: str) -> None:
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        internet = Internet([addresses])
        assert internet.post("https://hooks.example.com/") == Answer(posting.BLOCKED)
        assert internet.reached == []


def test_a_name_that_changes_its_address_is_resolved_once_and_checked_each_time() -> None:
    internet = Internet([[PUBLIC], ["127.0.0.1"], [PUBLIC]])
    found = [internet.post("https://hooks.example.com/").reason for _ in range(3)]
    assert found == [posting.DELIVERED, posting.BLOCKED, posting.DELIVERED]
    assert internet.reached == [(PUBLIC, "hooks.example.com")] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    internet = Internet(status=status)
    assert internet.post("https://hooks.example.com/").reason == posting.REDIRECTED
    assert len(internet.reached) == 1


@pytest.mark.parametrize("url", formatted(SAME_PLACE))
def test_an_odd_url_of_the_same_host_reaches_that_host(url: str) -> None:
    internet = Internet()
    if internet.post(url).reason != posting.BLOCKED:
        assert internet.reached == [(PUBLIC, FAMOUS)]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, posting.DELIVERED), (299, posting.DELIVERED), (304, posting.REDIRECTED)]
    + [(code, posting.REFUSED) for code in (400, 404, 410, 429, 500, 503)],
)
def test_only_a_2xx_is_a_delivery(status: int, reason: str) -> None:
    answer = Internet(status=status).post("https://hooks.example.com/")
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.gone is (status == 410)


def test_nothing_of_the_response_is_kept_but_its_status_and_retry_after() -> None:
    internet = Internet(status=503)
    internet.headers = {"Retry-After": "30", "X-Secret": "a secret"}
    answer = internet.post("https://hooks.example.com/")
    assert answer == Answer(posting.REFUSED, 503, 30.0)
    internet.headers = {"Retry-After": "soon"}
    assert internet.post("https://hooks.example.com/").retry_after is None


@contextlib.contextmanager
def dripping(first: bytes) -> Iterator[tuple[str, int]]:
    """A receiver that sends one byte of its response each tenth of a second."""
    ending = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            for byte in first:
                if ending.wait(0.1):
                    return
                connection.send(bytes([byte]))
            ending.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()
        ending.set()
        thread.join()


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1_000])
def test_a_response_that_never_ends_times_out(
    first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.5)
    with dripping(first) as address, new_client() as http:
        host = f"{address[0]}:{address[1]}"
        began = time.perf_counter()
        answer = post(f"http://{host}/", {}, "{}", http=http, test_hosts=frozenset({address}))
        assert answer == Answer(posting.TIMED_OUT)
        assert time.perf_counter() - began < 10


def test_a_loopback_host_is_blocked_unless_it_is_a_test_host() -> None:
    with new_client() as http:
        answer = post("http://127.0.0.1:9000/", {}, "{}", http=http)
    assert answer == Answer(posting.BLOCKED)
    assert not accepted("http://127.0.0.1:9000/")


def test_a_client_with_proxies_of_the_environment_is_not_used() -> None:
    internet = Internet()
    with (
        httpx.Client(transport=httpx.MockTransport(internet.handle)) as http,
        pytest.raises(ValueError, match="proxies"),
    ):
        post("https://hooks.example.com/", EVENT, "{}", http=http, resolve=internet.resolve)
    assert internet.reached == []
