"""Orders without an Idempotency-Key, as recorded: one key while the window is open."""

from __future__ import annotations

import uuid
from contextlib import ExitStack

import pytest
from botocore.exceptions import ReadTimeoutError

from clipmint.errors import InsufficientCredits, TemporarilyUnavailable
from clipmint.orders import keyless
from clipmint.orders.idempotency_keys import Order
from clipmint.orders.keyless import WindowItem
from tests.support import clock, moto_aws
from tests.support.clock import Clock
from tests.support.moto_aws import Aws, client_of, hooked

aws_clients = moto_aws.aws_clients
aws = moto_aws.aws_account
hands = clock.hand_moved_clock

FOX = "f" * 64
TIMEOUT = 20


def place(fingerprint: str = FOX, user: str = "user-1") -> Order:
    """An order that is answered."""
    with keyless.order(user, fingerprint, seconds_left=TIMEOUT) as order:
        return order


class Crash(BaseException):
    """The process was killed."""


def crash() -> Order:
    """An order whose process is killed before it ends."""
    placed: list[Order] = []

    def run() -> None:
        with keyless.order("user-1", FOX, seconds_left=TIMEOUT) as order:
            placed.append(order)
            raise Crash

    with pytest.raises(Crash):
        run()
    return placed[0]


def test_the_same_order_within_the_window_has_the_same_key(aws: Aws, hands: Clock) -> None:
    first = place()
    hands.forward(seconds=30)
    assert place() == first
    assert first.user_id == "user-1"
    assert first.fingerprint == FOX


def test_after_the_window_it_has_another_one(aws: Aws, hands: Clock) -> None:
    first = place()
    hands.forward(seconds=30.001)
    assert place().key != first.key


def test_the_retry_of_a_request_in_the_last_moment_has_its_key(aws: Aws, hands: Clock) -> None:
    first = place()
    hands.forward(seconds=29.9)
    assert crash() == first
    hands.forward(seconds=0.2)
    assert place() == first


def test_the_window_is_measured_from_the_last_request(aws: Aws, hands: Clock) -> None:
    first = place()
    for _ in range(5):
        hands.forward(seconds=20)
        assert place() == first


def test_a_crashed_request_may_be_repeated_after_its_time_out(aws: Aws, hands: Clock) -> None:
    crashed = crash()
    hands.forward(seconds=TIMEOUT + 29)
    assert place() == crashed


def test_the_window_is_a_parameter(aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYLESS_ORDER_SECONDS", "5")
    first = place()
    hands.forward(seconds=5.001)
    assert place().key != first.key


def test_another_order_and_another_user_have_their_own_keys(aws: Aws) -> None:
    keys = {place().key, place("a" * 64).key, place(user="user-2").key}
    assert len(keys) == 3


def test_a_user_whose_id_contains_the_beginning_of_another_item_has_an_own_key(aws: Aws) -> None:
    assert place("b#" + FOX, "a").key != place(FOX, "a#b").key


def test_two_simultaneous_requests_have_one_key(aws: Aws) -> None:
    """The second begins between the read and the write of the first."""
    inner: list[Order] = []

    def second(**_: object) -> None:
        if not inner:
            inner.append(Order("", "", ""))  # only once
            inner[0] = place()

    with hooked(client_of(WindowItem), {"before-call.dynamodb.PutItem": second}):
        outer = place()
    assert inner == [outer]


def test_requests_that_overlap_have_one_key_and_each_may_end_first(aws: Aws, hands: Clock) -> None:
    with ExitStack() as second:
        with keyless.order("user-1", FOX, seconds_left=TIMEOUT) as one:
            hands.forward(seconds=1)
            other = second.enter_context(keyless.order("user-1", FOX, seconds_left=TIMEOUT))
        assert one == other
        hands.forward(seconds=10)
    hands.forward(seconds=30)
    assert place() == one
    hands.forward(seconds=30.001)
    assert place() != one


def test_a_refused_order_ends_its_window_like_an_accepted_one(aws: Aws, hands: Clock) -> None:
    with (
        pytest.raises(InsufficientCredits),
        keyless.order("user-1", FOX, seconds_left=TIMEOUT) as refused,
    ):
        raise InsufficientCredits("Insufficient credits")
    assert place() == refused
    hands.forward(seconds=30.001)
    assert place() != refused


def test_the_item_of_a_closed_window_expires(aws: Aws, hands: Clock) -> None:
    place()
    [item] = aws.items("IDEMPOTENCY_TABLE")
    assert int(item["expiration"]["N"]) == int(hands.seconds()) + 30 + keyless.KEPT_SECONDS


def test_an_end_that_cannot_be_recorded_does_not_fail_the_order(aws: Aws) -> None:
    def no_response(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="https://dynamodb.example")

    hooks = {"before-call.dynamodb.PutItem": no_response}
    with ExitStack() as failing, keyless.order("user-1", FOX, seconds_left=TIMEOUT) as order:
        failing.enter_context(hooked(client_of(WindowItem), hooks))
    assert place() == order


def test_an_item_of_a_newer_version_that_cannot_be_read_places_nothing(aws: Aws) -> None:
    place()
    [item] = aws.items("IDEMPOTENCY_TABLE")
    later = {"open_until": {"N": "99999999999999"}, "running": {"S": "another type"}}
    aws.dynamodb.put_item(TableName="IdempotencyTable", Item=item | later)
    with pytest.raises(TemporarilyUnavailable):
        place()


def test_every_key_is_one_that_a_client_could_send(aws: Aws) -> None:
    assert uuid.UUID(place().key).version == 4
