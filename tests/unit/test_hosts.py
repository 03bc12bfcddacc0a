"""From where a media file may be fetched, and from where never."""

from __future__ import annotations

import httpx
import pytest

from clipmint.media.files import SourceNotAllowed, SourceUnavailable
from clipmint.media.hosts import AllowedHosts, is_public

PUBLIC = "151.101.1.1"


def addresses(url: str, *entries: str, resolves_to: tuple[str, ...] = (PUBLIC,)) -> list[str]:
    allowed = AllowedHosts.parse(entries)
    return allowed.addresses(httpx.URL(url), lambda _host, _port: list(resolves_to))


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://v3b.fal.media/files/a.mp4", ".fal.media"),
        ("https://a.b.fal.media/x", ".fal.media"),
        ("https://fal.media/x", ".fal.media"),
        ("https://V3.FAL.media/x", ".Fal.Media"),
        ("https://v3.fal.media:443/x", "v3.fal.media"),
        ("https://vm.example.org/x?sig=a%2Fb#t", "vm.example.org"),
    ],
)
def test_a_listed_host_is_connected_to_at_the_address_that_was_checked(
    url: str, entry: str
) -> None:
    assert addresses(url, entry) == [PUBLIC]


@pytest.mark.parametrize(
    "url",
    [
        "http://v3.fal.media/x",
        "ftp://v3.fal.media/x",
        "file:///etc/passwd",
        "//v3.fal.media/x",
        "https://v3.fal.media:8443/x",
        "https://v3.fal.media:80/x",
        "https://v3.fal.media:0/x",
        "https://evilfal.media/x",
        "https://fal.media.evil.example/x",
        "https://fal.media./x",
        "https://evil.example/v3.fal.media",
        "https://user@v3.fal.media/x",
        "https://user:pass@v3.fal.media/x",
        "https://evil.example\\@v3.fal.media/x",
        "https://v3.fal.media@evil.example/x",
        "https://151.101.1.1/x",
        "https://[2606:4700::1111]/x",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://2130706433/x",
        "https://0x7f.0.0.1/x",
    ],
)
def test_no_other_host_is_connected_to(url: str) -> None:
    with pytest.raises(SourceNotAllowed):
        addresses(url, ".fal.media")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
    ],
)
def test_a_listed_name_that_leads_inside_is_not_followed(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(SourceNotAllowed, match="not public"):
        addresses("https://v3.fal.media/x", ".fal.media", resolves_to=(PUBLIC, address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_on_the_internet_are_public(address: str) -> None:
    assert is_public(address)


def test_an_ip_literal_is_fetched_from_only_where_it_is_listed_itself() -> None:
    assert addresses("https://151.101.1.1/x", "151.101.1.1") == ["151.101.1.1"]
    assert addresses("https://[2606:4700::1]/x", "[2606:4700::1]") == ["2606:4700::1"]
    with pytest.raises(SourceNotAllowed):
        addresses("https://10.0.0.1/x", "10.0.0.1")
    with pytest.raises(SourceNotAllowed):
        addresses("https://1.1.1.1/x", ".1.1.1")


def test_a_loopback_host_is_connected_to_only_at_the_port_it_is_listed_with() -> None:
    assert addresses("http://127.0.0.1:8123/x", "127.0.0.1:8123") == ["127.0.0.1"]
    assert addresses("https://127.0.0.1:8123/x", "127.0.0.1:8123") == ["127.0.0.1"]
    assert addresses("http://[::1]:8123/x", "[::1]:8123") == ["::1"]
    local = ("127.0.0.1", "::1")
    assert addresses("http://localhost:8123/x", "localhost:8123", resolves_to=local) == [*local]
    for url in (
        "http://127.0.0.1:8124/x",
        "http://127.0.0.1/x",
        "http://127.0.0.2:8123/x",
        "http://localhost:8123/x",
        "http://a@127.0.0.1:8123/x",
    ):
        with pytest.raises(SourceNotAllowed):
            addresses(url, "127.0.0.1:8123")


def test_localhost_that_is_not_this_machine_is_not_connected_to() -> None:
    with pytest.raises(SourceNotAllowed):
        addresses("http://localhost:8123/x", "localhost:8123", resolves_to=(PUBLIC,))


@pytest.mark.parametrize("entry", ["", ".", "fal.media:8443", "10.0.0.1:80", "localhost:http"])
def test_a_list_that_would_open_too_much_is_refused(entry: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        AllowedHosts.parse([entry])


def test_a_name_without_an_address_may_have_one_later() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    allowed = AllowedHosts.parse([".fal.media"])
    with pytest.raises(SourceUnavailable):
        allowed.addresses(httpx.URL("https://v3.fal.media/x"), unknown)
