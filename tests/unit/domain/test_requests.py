"""What a caller may send, and what makes two requests the same request."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipmint.errors import (
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    InvalidRequest,
    UserMismatch,
)
from clipmint.media.image_urls import check_image_url
from clipmint.orders.idempotency_keys import job_id_for, parse_idempotency_key
from clipmint.orders.order_requests import GenerationRequest
from tests.support.strategies import generations


def request(**changes: Any) -> GenerationRequest:
    return GenerationRequest.model_validate({"model_id": "veo-3.1", "prompt": "a fox"} | changes)


# ── The Idempotency-Key ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ('"8e03978e-40d5-43e8-bc93-6894a57f9324"', "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("  bare  ", "bare"),
        ('  "quoted"  ', "quoted"),
        ("two words", "two words"),
        ("x", "x"),
        ('"', '"'),
        ("x" * 255, "x" * 255),
        (f'"{"x" * 255}"', "x" * 255),
    ],
)
def test_a_key_may_be_bare_or_quoted_and_255_characters_long(header: str, key: str) -> None:
    assert parse_idempotency_key(header) == key


@pytest.mark.parametrize(
    "header",
    ["", "   ", '""', '" "', "x" * 256, f'"{"x" * 256}"', "schlüssel", "a\tb", "a\nb", "a\x00b"],
)
def test_an_empty_overlong_or_unprintable_key_is_invalid(header: str) -> None:
    with pytest.raises(IdempotencyKeyInvalid) as refused:
        parse_idempotency_key(header)
    assert refused.value.code == "IDEMPOTENCY_KEY_INVALID"


def test_a_missing_key_is_an_error_and_none_is_invented() -> None:
    with pytest.raises(IdempotencyKeyRequired):
        parse_idempotency_key(None)


# ── The job's id ─────────────────────────────────────────────────────────────────────────────────

names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=12)


def test_a_retry_derives_the_same_job_id_on_any_machine_at_any_time() -> None:
    # Written down: if this id ever changed, retries across a deployment would pay twice.
    assert job_id_for("user-1", "key-1") == "e26d1b1f-be04-5deb-967e-0193ee8a4cd3"
    assert uuid.UUID(job_id_for("user-1", "key-1")).version == 5


@given(st.tuples(names, names), st.tuples(names, names))
@example(("a", "b:c"), ("a:b", "c"))
@example(("1:a", "b"), ("1", "a:b"))
@example(("a", ":b"), ("a:", "b"))
@example(("", "1:a:b"), ("a", "b"))
def test_different_users_or_keys_never_share_a_job(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (job_id_for(*one) == job_id_for(*other)) == (one == other)


# ── The fingerprint ──────────────────────────────────────────────────────────────────────────────


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reordered(value[name]) for name in reversed(list(value))}
    return value


@given(generations())
def test_the_order_and_spacing_of_the_json_do_not_matter(body: dict[str, Any]) -> None:
    as_sent = GenerationRequest.model_validate_json(json.dumps(body))
    as_sent_again = GenerationRequest.model_validate_json(json.dumps(_reordered(body), indent=3))
    assert as_sent.fingerprint() == as_sent_again.fingerprint()


@given(generations(), generations())
def test_two_bodies_share_a_fingerprint_only_if_they_ask_for_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = request(**one), request(**other)
    assert (first.fingerprint() == second.fingerprint()) == (first == second)


def test_every_part_of_a_request_counts() -> None:
    variants = [
        request(),
        request(model_id="veo-3.1-i2v"),
        request(prompt="a fox."),
        request(image_url="https://example.com/a.png"),
        request(last_image_url="https://example.com/a.png"),
        request(settings={"duration": 4}),
        request(settings={"duration": 8}),
        request(settings={"resolution": "720p"}),
        request(settings={"aspect_ratio": "720p"}),
        request(preset="draft"),
    ]
    prints = [variant.fingerprint() for variant in variants]
    assert len(set(prints)) == len(variants)


def test_the_callers_own_user_id_or_an_explicit_null_changes_nothing() -> None:
    assert request(user_id="user-1").fingerprint() == request().fingerprint()
    assert request(image_url=None).fingerprint() == request().fingerprint()


def test_a_body_may_name_the_caller_and_no_other_user() -> None:
    request().check_user("user-1")
    request(user_id="user-1").check_user("user-1")
    for other in ("user-2", "", "USER-1"):
        with pytest.raises(UserMismatch):
            request(user_id=other).check_user("user-1")


# ── The body ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t "}, "prompt"),
        ({"prompt": "x" * 5_001}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "m" * 65}, "model_id"),
        ({"credits": 1}, "credits"),
        ({"expected_credits": -1}, "expected_credits"),
        ({"expected_credits": "16"}, "expected_credits"),
        ({"prompt": "\x00\x00"}, "prompt"),
        ({"prompt": "\u200b\u200d\ufe0f"}, "prompt"),
        ({"prompt": "\u3164"}, "prompt"),
        ({"settings": {"duration": "8"}}, "settings.duration"),
        ({"settings": {"duration": 8.5}}, "settings.duration"),
        ({"settings": {"duration": True}}, "settings.duration"),
        ({"settings": {"duration": -4}}, "settings.duration"),
        ({"settings": {"resolution": 720}}, "settings.resolution"),
        ({"settings": "720p"}, "settings"),
        ({"preset": ""}, "preset"),
        ({"preset": ["draft"]}, "preset"),
    ],
)
def test_an_invalid_body_is_rejected_with_the_name_of_the_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        request(**changes)
    assert [".".join(map(str, error["loc"])) for error in refused.value.errors()] == [field]


def test_a_prompt_of_five_thousand_characters_is_taken_and_trimmed() -> None:
    assert request(prompt="x" * 5_000).prompt == "x" * 5_000
    assert request(prompt="  a fox \n").prompt == "a fox"


# ── Image URLs ───────────────────────────────────────────────────────────────────────────────────

LONGEST = "https://example.com/" + "a" * (2_048 - len("https://example.com/"))
OWN = "https://d111111abcdef8.cloudfront.net"
LOCAL = "http://127.0.0.1:4568"


def refusal(field: str, url: str, own_base: str = OWN) -> str | None:
    """The problem reported for a body's URL, by its type or by the rule for image URLs."""
    try:
        body = request(**{field: url})
    except ValidationError as refused:
        [error] = refused.errors()
        assert error["loc"] == (field,)
        return str(error["msg"])
    try:
        check_image_url(field, getattr(body, field), own_base)
    except InvalidRequest as refused:
        named, _, problem = str(refused.details).partition(": ")
        assert named == field
        return problem
    return None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/frame.png",
        "https://example.com",
        "https://example.com:443/frame.png",
        "https://example.com./frame.png",
        "HTTPS://EXAMPLE.COM/FRAME.PNG",
        "https://images.my-cdn.example.co.uk/a%20b.png?width=1280&sig=a+b%2F#top",
        "https://xn--bcher-kva.example/frame.png",
        "https://under_score.example.com/frame.png",
        "https://1.example.com/frame.png",
        "https://127.0.0.1.example.com/frame.png",
        "https://example.com/https://user:password@10.0.0.1/",
        "https://example.com/?at=user@example.com",
        LONGEST,
    ],
)
def test_a_public_https_url_is_taken_as_it_is(url: str) -> None:
    assert request(image_url=url, last_image_url=url).image_url == url
    assert refusal("image_url", url) is None
    assert refusal("last_image_url", url) is None


OTHER_SCHEMES = [
    "http://example.com/a.png",
    "ftp://example.com/a.png",
    "file:///etc/passwd",
    "data:image/png;base64,iVBORw0KGgo=",
    "javascript:alert(1)",
    "//example.com/a.png",
    "example.com/a.png",
    "",
]
NO_HOST = [
    "https:",
    "https://",
    "https:///a.png",
    "https:example.com/a.png",
    "https://./a.png",
    "https://../a.png",
    "https://example..com/a.png",
    "https://.example.com/a.png",
    "https://localhost/a.png",
    "https://localhost./a.png",
    "https://intranet/a.png",
    "https://metadata.google.internal/",
    "https://printer.local/a.png",
    "https://printer.local./a.png",
    "https://app.localhost/a.png",
]
CREDENTIALS = [
    "https://user@example.com/a.png",
    "https://user:password@example.com/a.png",
    "https://:password@example.com/a.png",
    "https://@example.com/a.png",
    "https://example.com@10.0.0.1/a.png",
]
PORTS = [
    "https://example.com:8443/a.png",
    "https://example.com:80/a.png",
    "https://example.com:0/a.png",
    "https://example.com:99999/a.png",
    "https://example.com:https/a.png",
    "https://example.com:-1/a.png",
]
ADDRESSES = [
    "https://93.184.216.34/a.png",
    "https://127.0.0.1/a.png",
    "https://127.0.0.1./a.png",
    "https://127.0.0.1../a.png",
    "https://169.254.169.254/latest/meta-data/",
    "https://0/a.png",
    "https://2130706433/a.png",
    "https://127.1/a.png",
    "https://10.1.257/a.png",
    "https://017700000001/a.png",
    "https://0177.0.0.1/a.png",
    "https://0177.0.0.01/a.png",
    "https://0x7f000001/a.png",
    "https://0x7f.1/a.png",
    "https://0x7f.0x0.0x0.0x1/a.png",
    "https://0X7F.0.0.0X1/a.png",
    "https://127.0.0.0x/a.png",
    "https://127.0.0.%31/a.png",
    "https://%31%32%37.0.0.1/a.png",
    "https://127%2e0%2e0%2e1/a.png",
    "https://[::1]/a.png",
    "https://[::ffff:127.0.0.1]/a.png",
    "https://[2001:db8::1]/a.png",
    "https://[fe80::1%25eth0]/a.png",
    "https://[::1/a.png",
    "https://[example.com]/a.png",
]
DISGUISES = [
    "https://127\u30020\u30020\u30021/a.png",
    "https://127\uff0e0\uff0e0\uff0e1/a.png",
    "https://\u2460\u2461\u2466.0.0.1/a.png",
    "https://\uff11\uff12\uff17.0.0.1/a.png",
    "https://bücher.example/a.png",
    "https://example.com\\@10.0.0.1/a.png",
    "https:\\\\example.com\\a.png",
    "https://exam\tple.com/a.png",
    "https://example.com/a b.png",
    " https://example.com/a.png",
    "https://example.com/a.png\n",
    "https://example.com/\x00a.png",
    "https://example.com/\u202egnp.png",
]


@pytest.mark.parametrize(
    "url",
    [*OTHER_SCHEMES, *NO_HOST, *CREDENTIALS, *PORTS, *ADDRESSES, *DISGUISES, LONGEST + "a"],
    ids=lambda url: ascii(url)[:60],
)
def test_no_other_url_is_taken(url: str) -> None:
    for field in ("image_url", "last_image_url"):
        assert refusal(field, url)
        assert refusal(field, url, own_base="")


_NUMBERS = ["{}", "0{:o}", "0x{:x}", "0X{:X}"]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.lists(st.sampled_from(_NUMBERS), min_size=4, max_size=4),
    st.sampled_from(["", ".", ".."]),
)
def test_an_ipv4_address_is_refused_in_every_notation(
    address: int, parts: int, notations: list[str], dots: str
) -> None:
    """The classic ``inet_aton`` forms: one to four numbers, the last one filling what is left."""
    octets = list(address.to_bytes(4, "big"))
    leading, rest = octets[: parts - 1], octets[parts - 1 :]
    numbers = [*leading, int.from_bytes(bytes(rest), "big")]
    host = ".".join(form.format(number) for form, number in zip(notations, numbers, strict=False))
    assert refusal("image_url", f"https://{host}{dots}/a.png")


def test_a_refusal_never_repeats_what_was_sent() -> None:
    for url in itertools.chain(CREDENTIALS, PORTS):
        message = refusal("image_url", url)
        assert message
        assert url not in message
        assert "password" not in message


def test_our_own_images_are_accepted_wherever_they_are_read() -> None:
    assert refusal("image_url", f"{LOCAL}/uploads/a.png", own_base=LOCAL) is None
    check_image_url("image_url", None, LOCAL)


@pytest.mark.parametrize(
    "url",
    [
        LOCAL,
        f"{LOCAL}0/uploads/a.png",
        f"{LOCAL}@10.0.0.1/uploads/a.png",
        f"{LOCAL}.example.com/uploads/a.png",
        f"{LOCAL}?/uploads/a.png",
        "http://127.0.0.1:4569/uploads/a.png",
        "http://127.0.0.1/uploads/a.png",
        "https://127.0.0.1:4568/uploads/a.png",
        "http://localhost:4568/uploads/a.png",
        "/uploads/a.png",
    ],
)
def test_a_url_that_only_resembles_our_own_images_is_refused(url: str) -> None:
    assert refusal("image_url", url, own_base=LOCAL)
    assert refusal("image_url", url, own_base="")
