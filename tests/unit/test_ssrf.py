"""No URL makes us, or a provider of ours, connect to an internal network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import ValidationError

from clipmint.errors import InvalidRequest
from clipmint.media.download import MAX_REDIRECTS, open_source
from clipmint.media.files import MediaError, SourceNotAllowed, SourceUnavailable
from clipmint.media.hosts import is_public
from clipmint.media.image_urls import check_image_url
from clipmint.media.pinned_requests import Deadline
from clipmint.orders.order_requests import GenerationRequest
from tests.support.ssrf_corpus import (
    FAMOUS,
    INSIDE,
    OTHER_HOSTS,
    SAME_PLACE,
    formatted,
    hostile_urls,
)

PUBLIC, ANOTHER = "151.101.1.1", "151.101.65.1"
OURS = "https://images.example.com"
Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Internet:
    """The lookups and connections of a request: names looked up, and addresses connected to, each
    with the name it was for.
    """

    answer: Answer = field(default_factory=lambda: straight)
    names: dict[str, Iterator[list[str]]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    reached: list[tuple[str, str]] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        assert port == 443
        return next(self.names[host]) if host in self.names else [PUBLIC]

    def handle(self, request: httpx.Request) -> httpx.Response:
        name = request.extensions["sni_hostname"]
        assert request.headers["Host"].partition(":")[0] == name
        assert request.url.scheme == "https"
        assert request.url.port in {None, 443}
        self.reached.append((request.url.host, name))
        return self.answer(request)

    def fetch(self, url: str) -> bytes:
        transport = httpx.MockTransport(self.handle)
        with (
            httpx.Client(transport=transport, trust_env=False) as http,
            Deadline(30) as deadline,
            open_source(
                url,
                allowed_hosts=[".fal.media"],
                http=http,
                max_bytes=100,
                deadline=deadline,
                resolve=self.resolve,
            ) as source,
        ):
            return b"".join(source.chunks())


def straight(request: httpx.Request) -> httpx.Response:
    """The file."""
    return httpx.Response(200, stream=httpx.ByteStream(b"file"))


def redirecting(*locations: str) -> Answer:
    """One redirect after the other, and then the file."""
    left = iter(locations)

    def answer(request: httpx.Request) -> httpx.Response:
        for location in left:
            return httpx.Response(302, headers=[(b"Location", location.encode())])
        return straight(request)

    return answer


def test_the_name_of_a_hostile_url_is_not_resolved() -> None:
    for url in (*hostile_urls(), *formatted(OTHER_HOSTS)):
        internet = Internet()
        with pytest.raises(SourceNotAllowed):
            internet.fetch(url)
        assert (internet.looked_up, internet.reached) == ([], [])


def test_an_odd_url_of_an_allowed_host_leads_there_and_nowhere_else() -> None:
    for url in formatted(SAME_PLACE):
        internet = Internet()
        assert internet.fetch(url) == b"file"
        assert (internet.looked_up, internet.reached) == ([FAMOUS], [(PUBLIC, FAMOUS)])


def test_a_redirect_to_a_hostile_url_is_not_followed() -> None:
    # No header can carry the others.
    carried = [url for url in hostile_urls() if not {*url} & {"\r", "\x00"}]
    for url in carried:
        internet = Internet(redirecting(url))
        # Without a scheme it is a path at the same host; or it is no URL at all.
        with contextlib.suppress(MediaError):
            internet.fetch(f"https://{FAMOUS}/start")
        assert set(internet.looked_up) == {FAMOUS}
        assert set(internet.reached) == {(PUBLIC, FAMOUS)}


def test_no_address_inside_is_public() -> None:
    for address in INSIDE:
        assert not is_public(address)


def test_an_allowed_name_is_not_followed_inside_wherever_it_leads_besides() -> None:
    for address in INSIDE:
        for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
            internet = Internet(names={FAMOUS: iter([answer])})
            with pytest.raises(SourceNotAllowed, match="not public"):
                internet.fetch(f"https://{FAMOUS}/a")
            assert internet.reached == []


def test_a_name_with_changing_addresses_is_resolved_once_per_request() -> None:
    internet = Internet(names={FAMOUS: iter([[PUBLIC], ["127.0.0.1"]])})
    assert internet.fetch(f"https://{FAMOUS}/a") == b"file"
    # The second answer, which would have led inside, was never asked for.
    assert (internet.looked_up, internet.reached) == ([FAMOUS], [(PUBLIC, FAMOUS)])


def test_a_name_that_resolves_differently_between_two_redirects_is_detected() -> None:
    internet = Internet(redirecting("/again"), {FAMOUS: iter([[PUBLIC], ["169.254.169.254"]])})
    with pytest.raises(SourceNotAllowed, match="not public"):
        internet.fetch(f"https://{FAMOUS}/a")
    assert internet.reached == [(PUBLIC, FAMOUS)]


def test_each_hop_goes_to_the_address_that_was_checked_for_it() -> None:
    internet = Internet(
        redirecting("//cdn.fal.media/b", "../c"),
        {FAMOUS: iter([[PUBLIC]]), "cdn.fal.media": iter([[ANOTHER], [ANOTHER]])},
    )
    assert internet.fetch(f"https://{FAMOUS}/a") == b"file"
    assert internet.reached == [
        (PUBLIC, FAMOUS),
        (ANOTHER, "cdn.fal.media"),
        (ANOTHER, "cdn.fal.media"),
    ]


def test_a_loop_of_redirects_ends() -> None:
    internet = Internet(lambda _: httpx.Response(307, headers={"Location": "/a"}))
    with pytest.raises(SourceUnavailable, match="redirects"):
        internet.fetch(f"https://{FAMOUS}/a")
    assert len(internet.reached) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("field", ["image_url", "last_image_url"])
def test_no_provider_is_sent_a_url_of_an_internal_network(field: str) -> None:
    for url in hostile_urls():
        for own_base in (OURS, f"https://{FAMOUS}", ""):
            with pytest.raises((ValidationError, InvalidRequest)):
                check_image_url(field, taken(url, field), own_base)


def test_a_provider_may_fetch_from_any_public_host() -> None:
    for url in formatted(OTHER_HOSTS):
        check_image_url("image_url", taken(url, "image_url"), OURS)


def taken(url: str, field: str) -> str | None:
    """The URL, if a request may hold it."""
    order = GenerationRequest.model_validate({"model_id": "m", "prompt": "a fox", field: url})
    found: str | None = getattr(order, field)
    return found
