"""The signatures of events are those of Standard Webhooks, by its own verifiers."""

from __future__ import annotations

import base64
import importlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError

from clipmint.events import signatures
from tests.support.generators import CLIENTS, node

# Svix's package also has a client of its API, which takes a quarter of a second to import: only the
# tests that need it do.
PACKAGES = ["standardwebhooks", "svix"]

BODY = json.dumps({"type": "video.completed", "data": {"job_id": "1", "user_id": "Zoë 🦊"}})


def verifier(package: str) -> Any:
    """The class that verifies calls."""
    return importlib.import_module(f"{package}.webhooks").Webhook


def signed(*keys: str, body: str = BODY, event_id: str = "evt_1") -> dict[str, str]:
    return signatures.headers(event_id, int(time.time()), body, keys)


@given(
    body=st.dictionaries(st.text(), st.text() | st.integers()).map(json.dumps),
    event_id=st.from_regex(r"evt_[0-9a-f]{32}", fullmatch=True),
)
def test_both_python_verifiers_accept_any_event(body: str, event_id: str) -> None:
    secret = signatures.new_secret()
    headers = signed(secret, body=body, event_id=event_id)
    for package in PACKAGES:
        assert verifier(package)(secret).verify(body, headers) == json.loads(body)


def test_a_secret_is_new_each_time_and_has_256_bits() -> None:
    secrets = {signatures.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_two_secrets_make_two_signatures_and_a_third_does_not_verify() -> None:
    old, new, other = (signatures.new_secret() for _ in range(3))
    headers = signed(new, old)
    for secret in (old, new):
        StandardWebhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        StandardWebhook(other).verify(BODY, headers)


def test_the_example_of_the_specification_has_its_signature() -> None:
    # https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries' tests.
    headers = signatures.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def tampered() -> list[dict[str, Any]]:
    """A genuine call, and changed ones, for one secret."""
    secret = signatures.new_secret()
    headers, minute = signed(secret), 60
    late = signatures.headers("evt_1", int(time.time()) - 10 * minute, BODY, [secret])
    calls = [
        {"headers": headers, "body": BODY},
        {"headers": headers, "body": BODY.replace("completed", "failed")},
        {"headers": headers | {"webhook-id": "evt_2"}, "body": BODY},
        {"headers": headers | {"webhook-timestamp": str(int(time.time()) + 1)}, "body": BODY},
        {"headers": late, "body": BODY},
        {"headers": signed(signatures.new_secret()), "body": BODY},
        {"headers": signed(signatures.new_secret(), secret), "body": BODY},
    ]
    return [{"secret": secret, "calls": calls}]


GENUINE = [True, False, False, False, False, False, True]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_changed_an_old_and_a_forged_call_are_rejected(package: str) -> None:
    [given_] = tampered()
    found = []
    for call in given_["calls"]:
        try:
            verifier(package)(given_["secret"]).verify(call["body"], call["headers"])
        except Exception as error:  # noqa: BLE001  (each package has an error of its own)
            assert "Verification" in type(error).__name__  # noqa: PT017
            found.append(False)
        else:
            found.append(True)
    assert found == GENUINE


@pytest.mark.slow
def test_the_official_package_for_node_judges_the_same(tmp_path: Path) -> None:
    [given_] = tampered()
    output = node(str(CLIENTS / "webhooks.ts"), json.dumps(given_), cwd=tmp_path)
    assert json.loads(output) == GENUINE
