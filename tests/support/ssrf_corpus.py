"""URLs that appear to name one host and lead to another: test data for every URL we accept.

``FAMOUS`` stands for a host that is allowed.
"""

from __future__ import annotations

FAMOUS = "v3.fal.media"

INSIDE = [
    # This machine, its links and private networks.
    *("127.0.0.1", "127.255.255.255", "127.1.2.3", "0.0.0.0", "0.1.2.3"),  # noqa: S104
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255"),
    *("::1", "::", "::2", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1"),
    # Credentials of machines and containers in a cloud.
    *("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fe80::a9fe:a9fe"),
    # Reserved, for documentation, for measuring, for many at once.
    *("192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("100::1", "2001:db8::1", "2001:2::1", "2001:10::1", "3fff::1", "5f00::1", "ff02::1"),
    *("ff0e::1", "4000::1", "8000::1"),
    # IPv4 in IPv6: mapped, compatible, translated, NAT64 of either prefix, 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:100.64.0.1", "0:0:0:0:0:ffff:a00:1"),
    *("::127.0.0.1", "::10.0.0.1", "::169.254.169.254", "::8.8.8.8"),
    *("::ffff:0:127.0.0.1", "::ffff:0:a9fe:a9fe"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::127.0.0.1", "64:ff9b:1:a9fe:a9:fe::"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:1::1"),
    *("2001:0:4136:e378:8000:63bf:80ff:fffe", "2001::f5ff:fffe"),
    # With a zone, which is a link of the machine itself.
    *("fe80::1%eth0", "::1%lo", "2606:4700::1111%eth0"),
]
"""Addresses that a name may resolve to, and that must never be followed."""

INSIDE_AS_HOST = [
    # 127.0.0.1 in decimal, octal, hexadecimal, short, mixed and padded.
    *("2130706433", "017700000001", "0x7f000001", "0x7F.1", "127.1", "127.0.1", "0177.0.0.1"),
    *("0177.0.0.01", "0x7f.0x0.0x0.0x1", "127.0.0.0x1", "00000177.0.0.1", "127.000.000.001"),
    *("4294967297", "0", "0.0.0.0", "127.0.0.1.", "127.0.0.1..", "127.0.0.1%00"),  # noqa: S104
    # 169.254.169.254 likewise.
    *("2852039166", "0xa9fea9fe", "025177524776", "0xa9.0xfe.0xa9.0xfe", "169.254.43518"),
    *("425.510.425.510", "169.254.169.254.", "instance-data", "metadata"),
    # IPv6.
    *(
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[fe80::1%25eth0]",
    ),
    *("[::1%25lo]", "[0:0:0:0:0:0:0:1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    # In other letters: circled, full width, other dots, soft hyphens and joiners.
    *("①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "ⓛocalhost"),
    *("ｌｏｃａｌｈｏｓｔ", "loc\u00adalhost", "loca\u200dlhost", "localhost\u3002"),
    # Escaped.
    *("%31%32%37.0.0.1", "127%2e0%2e0%2e1", "127.0.0.1%2f", "%6c%6f%63alhost", "localhost%00"),
    # Names.
    *("localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "ip6-localhost"),
    *("metadata.google.internal", "metadata.google.internal.", "kubernetes.default.svc"),
]
"""Hosts that some parser resolves to this machine or its networks."""

LOOK_ALIKES = [
    "https://{host}%2eexample.com/a",
    # User and password.
    *("https://{host}@example.com/a", "https://{host}:443@example.com/a", "https://x@{host}/a"),
    *("https://{host}%40example.com/a", "https://a:b@{host}/a"),
    *("https://example.com@{host}@example.com/a", "https://{host}:80@127.0.0.1/a"),
    "https://a@b@{host}/a",
    # Backslashes, which a browser takes for slashes.
    *("https://example.com\\@{host}/a", "https://example.com\\.{host}/a", "https:\\\\{host}\\a"),
    *("https://example.com\\\\{host}/a", "https:/\\example.com/{host}"),
    # White space and control characters.
    *("https://{host}\r\n.example.com/a", "https://{host}%0d%0aHost:%20localhost/a"),
    *("https://example.com\t@{host}/a", "https://{host} .example.com/a", "https://{host}\x00/a"),
    *("https://{host}/a\r\nHost: localhost", "https://{host}%00.example.com/a"),
    # Ports.
    *("https://{host}:22/a", "https://{host}:80/a", "https://{host}:0/a", "https://{host}:65536/a"),
    *("https://{host}:-1/a", "https://{host}:4430/a", "https://{host}:443:80/a"),
    *("https://{host}:443@127.0.0.1:80/a", "https://{host}:٤٤٣0/a", "https://{host}:8443/a"),
    # Schemes.
    *("http://{host}/a", "HTTP://{host}/a", "ftp://{host}/a", "file://{host}/etc/passwd"),
    *("gopher://{host}:443/_GET", "dict://{host}:443/", "data:text/html,{host}", "//{host}/a"),
    *("jar:https://{host}!/", "https+unix://{host}/", "view-source:https://{host}/", "{host}/a"),
    *("https:{host}/a", "https:///{host}/a", "https//{host}/a", " file:///etc/passwd"),
    "https://{host}../a",
]
"""URLs that show an allowed host and lead elsewhere, or use a port or scheme that is not
allowed.
"""

OTHER_HOSTS = [
    # The allowed name at the wrong end, or with something that is not a dot before it.
    *("https://evilfal.media/a", "https://{host}.example.com/a", "https://{host}-example.com/a"),
    *("https://example.com/{host}", "https://example.com?{host}", "https://example.com#{host}"),
    # A trailing dot: another name to a certificate, the same to a resolver.
    *("https://{host}./a", "https://fal.media./a"),
]
"""URLs of other hosts: we do not fetch them, but a user's own image may have one."""

SAME_PLACE = [
    *("HTTPS://{host}/a", "hTTps://{host}:443/a", "https://{host}:0443/a", "https://{host}:/a"),
    *("https://{host}/@127.0.0.1/", "https://{host}?@127.0.0.1", "https://{host}#@127.0.0.1"),
    *("https://{host}/..%2f..%2f", "https://{host}//169.254.169.254/a", "https://{host}/%0d%0aX:y"),
    *("https://{host}/https://localhost/", "https://{host}#@example.com/a@example.com"),
    "https://@{host}/a",
]
"""URLs that look odd, and still are at the allowed host."""


def formatted(urls: list[str]) -> list[str]:
    """With the allowed host in its place."""
    return [url.format(host=FAMOUS) for url in urls]


def hostile_urls() -> list[str]:
    """Everything that must not be fetched, neither by us nor by a provider on our behalf."""
    return [
        *(f"{scheme}://{host}/a" for host in INSIDE_AS_HOST for scheme in ("https", "http")),
        *(f"https://{host}:443@{FAMOUS}/a" for host in INSIDE_AS_HOST[:3]),
        *formatted(LOOK_ALIKES),
    ]
