"""Events reach the owner's endpoints: signed, retried by the schedule, and blocked elsewhere."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as StandardWebhook

from clipmint import clock
from clipmint.credits import grants
from clipmint.events import deliveries, endpoints, fan_out, posting, retries
from clipmint.events import queue as attempts_queue
from clipmint.events.deliveries import Delivery
from clipmint.events.endpoint_items import SECRETS, EndpointItem, SecretItem
from functions.admin.app import handler as admin
from functions.events.app import handler as events
from local.receiver import Receiver
from tests.support import streams
from tests.support.attempts import Queue, attempts
from tests.support.clock import Clock
from tests.support.event_bus import event_bus
from tests.support.gateway import Answer, Caller, Context
from tests.support.moto_aws import REGION, Aws, client_of, hooked

WEBHOOKS = "/v1/admin/webhooks"


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(admin, scope="clipmint/admin")


@pytest.fixture
def queue(aws: Aws, hands: Clock) -> Iterator[Queue]:
    with event_bus(), attempts() as queue:
        yield queue


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as receiver:
        monkeypatch.setenv("WEBHOOK_TEST_HOSTS", receiver.host)
        yield receiver


@pytest.fixture
def webhook(call: Caller, queue: Queue, receiver: Receiver) -> str:
    """A webhook at the receiver; its id."""
    created = call("POST", WEBHOOKS, body={"url": receiver.url})
    assert created.status == 201
    receiver.secrets.append(created.body["secret"])
    return str(created.body["webhook_id"])


def happen(reference: str = "purchase-1") -> None:
    """Commit a change that is an event, and pass it on to the function events."""
    grants.grant("user-1", 100, reference)
    pass_on()


def pass_on() -> None:
    found = streams.records("LedgerTable", REGION)
    wanted = [one for one in found if streams.passes(one, streams.filters("LedgerTable"))]
    assert events({"Records": json.loads(json.dumps(wanted))}, Context()) == {
        "batchItemFailures": []
    }


def only(webhook_id: str) -> Delivery:
    [delivery], _ = deliveries.newest(webhook_id, limit=10)
    return delivery


# ── Delivered ────────────────────────────────────────────────────────────────────────────────────


def test_an_event_arrives_signed_and_the_delivery_shows_it(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller
) -> None:
    happen()
    queue.pass_on()
    [received] = receiver.events
    assert received.payload is not None
    assert received.payload["type"] == "credits.granted"
    assert received.payload["data"]["reference"] == "purchase-1"
    listed = call("GET", f"{WEBHOOKS}/{webhook}/deliveries").body["deliveries"]
    [delivery] = listed
    assert (delivery["status"], delivery["event_id"]) == ("delivered", received.event_id)
    [attempt] = delivery["attempts"]
    assert (attempt["status"], attempt["reason"]) == (204, "delivered")
    assert queue.groups == {webhook}


def test_both_official_verifiers_accept_a_call_and_reject_a_forged_one(
    queue: Queue, webhook: str, receiver: Receiver
) -> None:
    # The package also has a client of Svix's API, which takes a quarter of a second to import.
    from svix.webhooks import Webhook as SvixWebhook

    happen()
    queue.pass_on()
    [received] = receiver.events
    headers, body = dict(received.headers), received.body.decode()
    for verifier in (StandardWebhook(receiver.secrets[0]), SvixWebhook(receiver.secrets[0])):
        assert verifier.verify(body, headers) == received.payload
        with pytest.raises(Exception, match="No matching signature"):
            verifier.verify(body.replace("100", "999"), headers)
        with pytest.raises(Exception, match="No matching signature"):
            verifier.verify(body, headers | {"webhook-id": "evt_of_another"})


def test_a_record_that_is_passed_again_makes_no_second_delivery(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    happen()
    pass_on()
    queue.run(hands)
    pass_on()
    queue.run(hands)
    assert len(receiver.events) == 1
    assert only(webhook).status == "delivered"


def test_an_endpoint_gets_the_types_it_wants(
    queue: Queue, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    body = {"url": receiver.url, "types": ["video.completed"]}
    assert call("POST", WEBHOOKS, body=body).status == 201
    happen()
    assert queue.messages == []


# ── Attempts ─────────────────────────────────────────────────────────────────────────────────────


def test_an_endpoint_that_fails_five_times_gets_the_event_by_the_schedule(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    receiver.statuses = [500] * 5
    happen()
    queue.run(hands)
    delivery = only(webhook)
    assert [one.status for one in delivery.attempts] == [500] * 5 + [204]
    assert delivery.status == "delivered"
    assert {call.event_id for call in receiver.calls} == {delivery.event_id}
    at = [one.at for one in delivery.attempts]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(at)]
    for gap, pause in zip(gaps, retries.PAUSES[1:6], strict=True):
        # Seconds are rounded for SQS.
        assert pause - 1 <= gap <= pause * (1 + retries.JITTER) + 1
    assert endpoints.get(webhook).failing_since is None
    # Each attempt is signed at its own time.
    stamps = [int(call.headers["webhook-timestamp"]) for call in receiver.calls]
    assert stamps == sorted(set(stamps))


def test_a_delivery_fails_after_its_last_attempt(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    receiver.statuses = [503] * 20
    happen()
    queue.run(hands)
    delivery = only(webhook)
    assert (delivery.status, len(delivery.attempts)) == ("failed", len(retries.PAUSES))
    assert len(receiver.calls) == len(retries.PAUSES)
    # It goes on with the next event: a day of failures disables nothing.
    assert endpoints.get(webhook).enabled


def test_retry_after_is_respected_up_to_an_hour(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    receiver.headers = {"Retry-After": "600"}
    receiver.statuses = [429]
    happen()
    queue.run(hands)
    first, second = only(webhook).attempts
    assert 599 <= (second.at - first.at).total_seconds() <= 601
    assert retries.pause_before(1, 1_000_000, 0.5) == retries.MOST_RETRY_AFTER


@given(
    attempt=st.integers(1, 7),
    asked=st.none() | st.floats(0, 1e9),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_at_least_that_of_the_schedule_and_at_most_eleven_hours(
    attempt: int, asked: float | None, chance: float
) -> None:
    pause = retries.pause_before(attempt, asked, chance)
    assert pause is not None
    assert retries.PAUSES[attempt] <= pause <= 11 * 3_600
    assert retries.pause_before(8, asked, chance) is None


def test_a_redirect_is_a_failure_and_is_not_followed(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    with Receiver() as elsewhere:
        receiver.headers = {"Location": elsewhere.url}
        receiver.statuses = [307]
        happen()
        queue.pass_on()
        assert elsewhere.calls == []
    [attempt] = only(webhook).attempts
    assert (attempt.status, attempt.reason) == (307, "redirected")


def test_an_endpoint_that_nothing_listens_at_is_unreachable(
    queue: Queue, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("WEBHOOK_TEST_HOSTS", host)
    created = call("POST", WEBHOOKS, body={"url": f"http://{host}/"}).body
    happen()
    queue.pass_on()
    [attempt] = only(created["webhook_id"]).attempts
    assert (attempt.status, attempt.reason) == (None, "unreachable")


def test_a_message_before_its_time_is_queued_for_the_rest_of_it(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    receiver.statuses = [500] * 3
    happen()
    for _ in range(3):  # the next attempt is then due in half an hour
        hands.forward(seconds=min(queue.messages)[0] - clock.seconds())
        queue.pass_on()
    [(due, _)] = queue.messages
    assert due - clock.seconds() == 900
    hands.forward(seconds=900)
    queue.pass_on()
    assert len(receiver.calls) == 3
    [(due, _)] = queue.messages
    assert due - clock.seconds() == pytest.approx(900, abs=181)


def test_a_message_that_is_delivered_twice_makes_one_attempt(
    queue: Queue, webhook: str, receiver: Receiver
) -> None:
    receiver.statuses = [500]
    happen()
    [message] = queue.messages
    queue.messages.append(message)
    queue.pass_on()
    queue.pass_on()
    assert len(receiver.calls) == 1
    assert len(queue.messages) == 1


# ── Disabled ─────────────────────────────────────────────────────────────────────────────────────


def test_gone_disables_at_once_and_notifies_the_owner(
    queue: Queue,
    webhook: str,
    receiver: Receiver,
    call: Caller,
    capsys: pytest.CaptureFixture[str],
) -> None:
    receiver.statuses = [410]
    happen()
    queue.pass_on()
    assert queue.messages == []
    found = call("GET", f"{WEBHOOKS}/{webhook}").body
    assert (found["enabled"], found["disabled_reason"]) == (False, "gone")
    assert '"EndpointDisabled":[1.0]' in capsys.readouterr().out
    happen("purchase-2")
    assert queue.messages == []
    assert call("POST", f"{WEBHOOKS}/{webhook}/test").body["code"] == "WEBHOOK_DISABLED"


def test_five_days_of_failures_disable_and_the_owner_enables_again(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    call = Caller(admin, scope="clipmint/admin")
    receiver.statuses = [500] * 100
    began = clock.now()
    number = 0
    while endpoints.get(webhook).enabled:
        number += 1
        happen(f"purchase-{number}")
        queue.run(hands)
        assert clock.now() - began < timedelta(days=8)
    assert clock.now() - began >= retries.FAILING
    assert '"EndpointDisabled":[1.0]' in capsys.readouterr().out
    receiver.statuses = []
    changed = call("PATCH", f"{WEBHOOKS}/{webhook}", body={"enabled": True}).body
    assert (changed["enabled"], changed["disabled_reason"]) == (True, None)
    assert changed["failing_since"] is None
    happen("last")
    queue.run(hands)
    assert receiver.events[-1].payload is not None
    assert receiver.events[-1].payload["data"]["reference"] == "last"


@pytest.mark.parametrize("reason", ["gone", "failing"])
@pytest.mark.parametrize("changed", ["url", "enabled"])
def test_an_attempt_does_not_undo_the_owners_change_of_the_meantime(
    queue: Queue,
    webhook: str,
    receiver: Receiver,
    call: Caller,
    hands: Clock,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    changed: str,
) -> None:
    with Receiver() as new:
        new.secrets = receiver.secrets
        monkeypatch.setenv("WEBHOOK_TEST_HOSTS", f"{receiver.host},{new.host}")
        receiver.statuses = [500, 410 if reason == "gone" else 500]
        happen()
        queue.pass_on()
        hands.forward(days=5)
        body = {"url": {"url": new.url}, "enabled": {"enabled": True}}[changed]
        post = posting.post

        def change_meanwhile(*arguments: Any, **named: Any) -> posting.Answer:
            answer = post(*arguments, **named)
            hands.forward(seconds=1)
            assert call("PATCH", f"{WEBHOOKS}/{webhook}", body=body).status == 200
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(posting, "post", change_meanwhile)
            queue.pass_on()
        found = endpoints.get(webhook)
        assert (found.enabled, found.disabled_reason, found.failing_since) == (True, None, None)
        assert "EndpointDisabled" not in capsys.readouterr().out
        queue.run(hands)
        assert only(webhook).status == "delivered"
        assert len((new if changed == "url" else receiver).events) == 1


def test_a_success_ends_the_days_of_failures(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock
) -> None:
    for number in range(4):
        receiver.statuses = [500] * 7
        happen(f"purchase-{number}")
        queue.run(hands)
        hands.forward(days=2)
    assert endpoints.get(webhook).enabled


def test_what_is_queued_for_a_deleted_or_disabled_endpoint_is_not_sent(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    happen()
    call("PATCH", f"{WEBHOOKS}/{webhook}", body={"enabled": False})
    queue.run(hands)
    assert (only(webhook).status, only(webhook).attempts[0].reason) == ("failed", "disabled")
    call("PATCH", f"{WEBHOOKS}/{webhook}", body={"enabled": True})
    happen("purchase-2")
    assert call("DELETE", f"{WEBHOOKS}/{webhook}").status == 204
    queue.run(hands)
    assert receiver.calls == []


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────


def test_during_a_rotation_both_secrets_verify_for_a_day(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    [old] = receiver.secrets
    happen("before")
    rotated = call("POST", f"{WEBHOOKS}/{webhook}/rotate").body
    until = clock.from_iso(rotated["previous_valid_until"])
    assert until - clock.now() == timedelta(days=1)
    queue.run(hands)
    happen("after")
    queue.run(hands)
    for secret in (old, rotated["secret"]):
        for received in receiver.calls:
            StandardWebhook(secret).verify(received.body, dict(received.headers))
    hands.forward(days=1)
    happen("later")
    queue.run(hands)
    last = receiver.calls[-1]
    assert last.status == 401, "the receiver knows the old secret alone"
    StandardWebhook(rotated["secret"]).verify(last.body, dict(last.headers))


def test_a_rotation_whose_response_was_lost_can_be_repeated(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    for _ in range(2):
        newest = call("POST", f"{WEBHOOKS}/{webhook}/rotate").body["secret"]
    happen()
    queue.run(hands)
    [received] = receiver.events  # the receiver knows the first secret alone
    StandardWebhook(newest).verify(received.body, dict(received.headers))
    hands.forward(days=1)
    happen("later")
    queue.run(hands)
    assert len(receiver.calls[-1].headers["webhook-signature"].split()) == 1


def test_a_rotation_ends_no_secret_before_its_day(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    path = f"{WEBHOOKS}/{webhook}/rotate"
    known = list(receiver.secrets)
    for _ in range(2):
        known.append(call("POST", path).body["secret"])
        hands.forward(hours=8)
    refused = call("POST", path)
    assert (refused.status, refused.body["code"]) == (409, "WEBHOOK_SECRETS_STILL_SIGN")
    happen()
    queue.run(hands)
    [received] = receiver.calls
    for secret in known:
        StandardWebhook(secret).verify(received.body, dict(received.headers))
    hands.forward(hours=8)  # the first one has signed for its day
    assert call("POST", path).status == 200
    assert call("POST", path).body["code"] == "WEBHOOK_SECRETS_STILL_SIGN"
    hands.forward(days=2)
    assert [call("POST", path).status for _ in range(3)] == [200, 200, 409]


def test_no_write_about_a_secret_asks_dynamodb_to_return_it(
    aws: Aws, call: Caller, webhook: str
) -> None:
    sent: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.append(params)

    with (
        hooked(client_of(SecretItem), {"provide-client-params.dynamodb": note}),
        hooked(client_of(EndpointItem), {"provide-client-params.dynamodb": note}),
    ):
        assert call("POST", f"{WEBHOOKS}/{webhook}/rotate").status == 200
        assert call("DELETE", f"{WEBHOOKS}/{webhook}").status == 204
    writes = [one for one in sent if SECRETS in json.dumps(one["Key"])]
    assert len(writes) == 2
    assert {one.get("ReturnValues", "NONE") for one in writes} == {"NONE"}
    assert [one for one in writes if "ReturnValuesOnConditionCheckFailure" in one] == []


def test_no_response_but_the_first_contains_a_secret(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller
) -> None:
    [secret] = receiver.secrets
    happen()
    queue.pass_on()
    paths = ["", f"/{webhook}", f"/{webhook}/deliveries"]
    bodies = [json.dumps(call("GET", f"{WEBHOOKS}{path}").body) for path in paths]
    assert [body for body in bodies if secret in body or "whsec_" in body] == []


# ── Test, and deliver again ──────────────────────────────────────────────────────────────────────


def test_a_test_event_is_sent_to_one_webhook_of_any_types(
    queue: Queue, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    created = call("POST", WEBHOOKS, body={"url": receiver.url, "types": ["clips.finished"]}).body
    receiver.secrets.append(created["secret"])
    sent = call("POST", f"{WEBHOOKS}/{created['webhook_id']}/test")
    assert sent.status == 201
    queue.run(hands)
    [received] = receiver.events
    assert received.event_id == sent.body["event_id"]
    assert received.payload is not None
    assert received.payload["type"] == "webhook.test"


def test_an_event_is_delivered_again_with_the_same_id_and_bytes(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    happen()
    queue.run(hands)
    [delivery] = call("GET", f"{WEBHOOKS}/{webhook}/deliveries").body["deliveries"]
    receiver.statuses = [500]
    path = f"{WEBHOOKS}/{webhook}/deliveries/{delivery['delivery_id']}/redeliver"
    again = call("POST", path)
    assert (again.status, again.body["status"]) == (200, "pending")
    queue.run(hands)
    assert len(receiver.calls) == 3
    assert {(one.event_id, one.body) for one in receiver.calls} == {
        (delivery["event_id"], receiver.calls[0].body)
    }
    assert [one.status for one in only(webhook).attempts] == [204, 500, 204]


class Crash(BaseException):
    """Ends a request as a crash does: nothing handles it."""


@pytest.mark.parametrize(
    ("module", "name"),
    [(attempts_queue, "send"), (deliveries, "begin_round")],
    ids=["send", "begin"],
)
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_crash_while_an_event_is_delivered_again_loses_no_delivery(
    queue: Queue,
    webhook: str,
    receiver: Receiver,
    hands: Clock,
    *,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    side: str,
) -> None:
    receiver.statuses = [500]
    happen()
    queue.pass_on()  # the next attempt waits
    effect = getattr(module, name)

    def crash(*arguments: Any) -> Any:
        if side == "after":
            effect(*arguments)
        raise Crash

    delivery_id = only(webhook).delivery_id
    with monkeypatch.context() as patch:
        patch.setattr(module, name, crash)
        with pytest.raises(Crash):
            fan_out.begin_again(webhook, delivery_id)
    queue.run(hands)
    assert only(webhook).status == "delivered"
    assert len(receiver.events) == 1


def test_a_round_whose_message_is_received_before_it_has_begun_is_begun_once(
    queue: Queue, webhook: str, receiver: Receiver, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen()
    queue.run(hands)
    begin_round = deliveries.begin_round

    def late(*arguments: Any) -> Delivery:
        monkeypatch.setattr(deliveries, "begin_round", begin_round)
        queue.pass_on()
        return begin_round(*arguments)

    monkeypatch.setattr(deliveries, "begin_round", late)
    found = fan_out.begin_again(webhook, only(webhook).delivery_id)
    assert (found.status, found.round) == ("delivered", 1)
    queue.run(hands)
    assert len(receiver.events) == 2


def test_a_message_of_an_earlier_round_makes_no_attempt(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    receiver.statuses = [500]
    happen()
    queue.pass_on()  # the next attempt waits
    delivery = only(webhook).delivery_id
    call("POST", f"{WEBHOOKS}/{webhook}/deliveries/{delivery}/redeliver")
    queue.run(hands)
    assert len(receiver.calls) == 2


# ── Management ───────────────────────────────────────────────────────────────────────────────────


def test_deliveries_are_paged_newest_first(
    queue: Queue, webhook: str, receiver: Receiver, call: Caller, hands: Clock
) -> None:
    for number in range(5):
        happen(f"purchase-{number}")
        hands.forward(seconds=1)
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = call("GET", f"{WEBHOOKS}/{webhook}/deliveries", query=query).body
        seen += [one["delivery_id"] for one in page["deliveries"]]
        if page["cursor"] is None:
            break
        query = {"limit": "2", "cursor": page["cursor"]}
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


def test_deliveries_expire_after_thirty_days(aws: Aws, queue: Queue, webhook: str) -> None:
    happen()
    [item] = [one for one in aws.items("ENDPOINTS_TABLE") if "expires_at" in one]
    assert int(item["expires_at"]["N"]) == clock.epoch(clock.now()) + 30 * 86_400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/rotate"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("POST", "/deliveries/2026-01-01T00:00:00.000Z_evt_0/redeliver"),
    ],
)
def test_a_webhook_that_does_not_exist_is_not_found(call: Caller, method: str, path: str) -> None:
    for unknown in ("7d1e0f9a-0c57-4b53-9b0e-1f3b6f0d2c11", "nonsense"):
        answer = call(method, f"{WEBHOOKS}/{unknown}{path}")
        assert (answer.status, answer.body["code"]) == (404, "WEBHOOK_NOT_FOUND")


def test_every_route_requires_the_admin_scope(aws: Aws) -> None:
    call = Caller(admin)
    for method, path in [
        ("POST", WEBHOOKS),
        ("GET", WEBHOOKS),
        ("GET", f"{WEBHOOKS}/x"),
        ("PATCH", f"{WEBHOOKS}/x"),
        ("DELETE", f"{WEBHOOKS}/x"),
        ("POST", f"{WEBHOOKS}/x/rotate"),
        ("POST", f"{WEBHOOKS}/x/test"),
        ("GET", f"{WEBHOOKS}/x/deliveries"),
        ("POST", f"{WEBHOOKS}/x/deliveries/y/redeliver"),
    ]:
        body: Any = {"url": "https://example.com/"} if method == "POST" and path == WEBHOOKS else {}
        answer: Answer = call(method, path, body=body)
        assert (answer.status, answer.body["code"]) == (403, "SCOPE_REQUIRED"), path


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://[/",
        "https://[::1/",
        "https://[example.com]/",
        "https://",
    ],
)
def test_a_malformed_url_is_rejected_and_named(call: Caller, url: str) -> None:
    created = call("POST", WEBHOOKS, body={"url": "https://example.com/"}).body
    path = f"{WEBHOOKS}/{created['webhook_id']}"
    for answer in (
        call("POST", WEBHOOKS, body={"url": url}),
        call("PATCH", path, body={"url": url}),
    ):
        assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
        assert "url" in answer.body["details"]
    assert call("GET", path).body["url"] == "https://example.com/"


def test_there_are_at_most_twenty_webhooks(call: Caller) -> None:
    for _ in range(endpoints.MAX_ENDPOINTS):
        assert call("POST", WEBHOOKS, body={"url": "https://example.com/"}).status == 201
    refused = call("POST", WEBHOOKS, body={"url": "https://example.com/"})
    assert (refused.status, refused.body["code"]) == (400, "TOO_MANY_WEBHOOKS")
