"""Functions invoked by other services: by version and alias, and without a free slot."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.deploy import DeployFailedError
from local.running import CREDENTIALS
from local.stack import Stack, wait_for
from tests.integration.emulator.small_app import (
    APP,
    LAYERS,
    act,
    outcome,
    request,
    run,
    small_app,
    task,
)

SLOTS = 2


@pytest.fixture(scope="module")
def narrow() -> Iterator[Stack]:
    """An account with two slots, as narrow as a new account is for a busy installation."""
    with small_app(account_concurrency=SLOTS) as running:
        yield running


@pytest.fixture
def in_use(tmp_path: Path) -> Path:
    """The slots are in use until this file is gone."""
    file = tmp_path / "in use"
    file.touch()
    return file


@pytest.fixture
def busy(narrow: Stack, in_use: Path) -> Iterator[Stack]:
    """The account while both its slots are in use."""
    with ThreadPoolExecutor(SLOTS) as pool:
        wish = {"do": "occupy", "file": str(in_use)}
        calls = [pool.submit(act, narrow, wish, "ActWithMedia") for _ in range(SLOTS)]
        try:
            wait_for(lambda: len(narrow.invocations(about=str(in_use))) == SLOTS, 120)
            yield narrow
        finally:
            in_use.unlink(missing_ok=True)
        for call in calls:
            assert isinstance(call.result(), int)


@pytest.fixture
def busy_for_a_second(busy: Stack, in_use: Path) -> Iterator[Stack]:
    timer = Timer(1, in_use.unlink)
    timer.start()
    yield busy
    timer.join()


def impatient(stack: Stack) -> Any:
    """A client of Lambda that does not retry."""
    return boto3.client(
        "lambda",
        endpoint_url=stack.aws_endpoint,
        region_name=stack.region,
        aws_access_key_id=CREDENTIALS["aws_access_key_id"],
        aws_secret_access_key=CREDENTIALS["aws_secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_an_invocation_beyond_the_slots_is_throttled_with_its_reason(busy: Stack) -> None:
    with pytest.raises(ClientError) as refused:
        impatient(busy).invoke(FunctionName=busy.functions["Act"], Payload=b'{"do": "tell"}')
    response: Any = refused.value.response
    assert response["Error"]["Code"] == "TooManyRequestsException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["Reason"] == "ConcurrentInvocationLimitExceeded"


def test_a_request_beyond_the_slots_is_answered_503(busy: Stack) -> None:
    answer = request(busy, "POST", "/do", json={"do": "tell"}, headers=busy.bearer("ada"))
    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})


def test_a_throttled_task_has_the_name_that_aws_documents(busy: Stack) -> None:
    assert outcome(run(busy, {"Only": task(busy, {"do": "tell"})})) == (
        "Lambda.TooManyRequestsException"
    )
    waiting = task(busy, {"do": "tell"}, callback=True, TimeoutSeconds=20)
    assert outcome(run(busy, {"Only": waiting})) == "Lambda.TooManyRequestsException"


def test_a_throttled_task_is_retried_until_a_slot_is_free(busy_for_a_second: Stack) -> None:
    busy = busy_for_a_second
    retrier = {
        "ErrorEquals": ["Lambda.TooManyRequestsException"],
        "IntervalSeconds": 1,
        "MaxAttempts": 20,
        "BackoffRate": 1,
    }
    answer = outcome(run(busy, {"Only": task(busy, {"do": "tell"}, Retry=[retrier])}))
    assert answer["Payload"] == {"do": "tell"}


def test_a_throttled_event_is_delivered_later_without_using_up_a_retry(
    busy_for_a_second: Stack,
) -> None:
    # This function declares no retry at all.
    busy = busy_for_a_second
    word = uuid.uuid4().hex
    put_event(busy, {"do": "tell", "word": word})
    runs = wait_for(lambda: busy.invocations(function="Published", about=word), 120)
    assert len(runs) == 1


def put_event(stack: Stack, detail: dict[str, Any]) -> None:
    stack.boto3("events").put_events(
        Entries=[
            {"Source": "test.published", "DetailType": "said", "Detail": json.dumps(detail)},
        ]
    )


def published(stack: Stack) -> Any:
    """What the alias serves: its version, its variable, the ARN that it was invoked by."""
    context = act(stack, {"do": "context"}, "Published")
    variables = act(stack, {"do": "environment"}, "Published")["variables"]
    assert variables["AWS_LAMBDA_FUNCTION_VERSION"] == context["version"]
    return context["version"], variables["DECLARED"], context["arn"]


def over_http(stack: Stack) -> Any:
    wish = {"do": "context"}
    answer = request(stack, "POST", "/published", json=wish, headers=stack.bearer("ada"))
    return answer.json()["version"]


def by_task(stack: Stack) -> Any:
    state = task(stack, {"do": "context"})
    state["Arguments"]["FunctionName"] = stack.functions["Published"]
    return outcome(run(stack, {"Only": state}))["Payload"]["version"]


@pytest.fixture
def own() -> Iterator[Stack]:
    """A stack that a test may update, with IAM enforced."""
    with small_app(enforce_iam=True) as running:
        yield running


def test_an_update_moves_the_alias_and_a_failed_one_moves_it_back(own: Stack) -> None:
    alias = own.functions["Published"]
    assert alias.endswith(":live")
    assert published(own) == ("1", "first", alias)
    assert over_http(own) == "1"
    with ThreadPoolExecutor(1) as pool:
        word = uuid.uuid4().hex
        wish = {"do": "sleep", "seconds": 3, "word": word}
        running = pool.submit(act, own, wish, "Published")
        (begun,) = wait_for(lambda: own.invocations(about=word), 120)

        own.update(template=APP / "template.yaml", layers=LAYERS, parameters={"Word": "second"})

        assert published(own) == ("2", "second", alias)
        # The invocation that was running on the old version is not ended.
        assert running.result() == begun.pid
    assert over_http(own) == "2"
    # The version that the update replaced is deleted, after the alias has moved.
    with pytest.raises(ClientError, match="not found"):
        own.boto3("lambda").invoke(FunctionName=alias.replace(":live", ":1"))

    refused = {"Word": "third", "Colour": "refused"}
    with pytest.raises(DeployFailedError, match="UPDATE_ROLLBACK"):
        own.update(template=APP / "template.yaml", layers=LAYERS, parameters=refused)
    assert published(own)[1:] == ("second", alias)
    assert over_http(own) == "2"


def test_a_role_must_name_the_alias_that_it_invokes(guarded: Stack) -> None:
    # The machine's role names Act without an alias, and Published only with it (see `guarded`).
    assert outcome(run(guarded, {"Only": task(guarded, {"do": "tell"})}))["Payload"] == {
        "do": "tell"
    }
    assert by_task(guarded) == "1"
    state = task(guarded, {"do": "tell"})
    state["Arguments"]["FunctionName"] = guarded.functions["Published"].removesuffix(":live")
    assert outcome(run(guarded, {"Only": state})) == "Lambda.AWSLambdaException"


def test_a_functions_policy_must_name_the_alias_that_is_invoked(guarded: Stack) -> None:
    assert over_http(guarded) == "1"
    word = uuid.uuid4().hex
    put_event(guarded, {"do": "tell", "word": word})
    wait_for(lambda: guarded.invocations(function="Published", about=word), 120)
    client = guarded.boto3("lambda")
    name, _, qualifier = guarded.functions["Published"].rpartition(":")
    policy = json.loads(client.get_policy(FunctionName=name, Qualifier=qualifier)["Policy"])
    for statement in policy["Statement"]:
        client.remove_permission(
            FunctionName=name, Qualifier=qualifier, StatementId=statement["Sid"]
        )
    try:
        wish = {"do": "tell"}
        answer = request(guarded, "POST", "/published", json=wish, headers=guarded.bearer("ada"))
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    finally:
        for statement in policy["Statement"]:
            client.add_permission(
                FunctionName=name,
                Qualifier=qualifier,
                StatementId=statement["Sid"],
                Action=statement["Action"],
                Principal=statement["Principal"]["Service"],
                SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
            )
