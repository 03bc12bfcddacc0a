"""The owner's list of alarms: those of this stack, as CloudWatch states them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError
from moto import mock_aws

from clipmint import aws as clients
from functions.operator.app import handler
from tests.support.executions import answer as aws_answer
from tests.support.gateway import Caller
from tests.support.moto_aws import REGION, hooked

CALL = "before-call.cloudwatch.DescribeAlarms"
AT = datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC)


def made(cloudwatch: Any, name: str, state: str, reason: str, **settings: Any) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Clipmint",
        MetricName="PaidOrphan",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        **settings,
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with CloudWatch alone: the route reads nothing else."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("STACK_NAME", "clipmint")
    with mock_aws():
        clients.forget()
        yield clients.cloudwatch()
    clients.forget()


@pytest.fixture
def call(cloudwatch: Any) -> Caller:
    return Caller(handler, user="back-office", scope="openid clipmint/admin")


def test_alarms_of_this_stack_are_listed_and_those_that_are_on_come_first(
    call: Caller, cloudwatch: Any
) -> None:
    made(cloudwatch, "clipmint-ApiFailing-1AB2C3D4E5F6", "OK", "back to normal")
    made(
        cloudwatch,
        "clipmint-PaidOrphan-3CD4E5F6G7H8",
        "ALARM",
        "Threshold Crossed: 1 datapoint",
        AlarmDescription="A provider bills a generation. No user was charged. Runbook: PaidOrphan",
    )
    made(cloudwatch, "clipmint-LedgerDrift-5EF6G7H8I9J0", "INSUFFICIENT_DATA", "too little")
    # Another stack, an alarm of the owner's, and a name that only begins alike.
    for name in (
        "clipmint-prod-PaidOrphan-7GH8I9J0K1L2",
        "clipmint-mine",
        "clipmint-staging-errors",
        "clipmintPaidOrphan-9IJ0K1L2M3N4",
    ):
        made(cloudwatch, name, "ALARM", "not ours")
    answer = call("GET", "/v1/admin/alarms")
    assert answer.status == 200, answer.body
    assert [(one["name"], one["state"]) for one in answer.body["alarms"]] == [
        ("PaidOrphan", "alarm"),
        ("LedgerDrift", "insufficient_data"),
        ("ApiFailing", "ok"),
    ]
    first = answer.body["alarms"][0]
    assert first == {
        "name": "PaidOrphan",
        "full_name": "clipmint-PaidOrphan-3CD4E5F6G7H8",
        "kind": "metric",
        "description": "A provider bills a generation. No user was charged.",
        "state": "alarm",
        "since": first["since"],
        "reason": "Threshold Crossed: 1 datapoint",
        "runbook": {"entry": "PaidOrphan", "page": "docs/runbook.md#paidorphan"},
    }
    assert first["since"].endswith("Z")
    assert answer.body["alarms"][2]["runbook"] is None


def test_all_pages_and_kinds_are_read_at_each_request(call: Caller, cloudwatch: Any) -> None:
    asked: list[dict[str, Any]] = []

    def page(params: dict[str, Any], **_: Any) -> Any:
        asked.append(params)
        number = len(asked) % 3
        http, _ = aws_answer(200)
        described = {
            "AlarmName": f"clipmint-Alarm{number}-1AB2C3D4E5F6",
            "StateValue": "OK",
            "StateUpdatedTimestamp": AT.replace(year=2032),
            "StateTransitionedTimestamp": AT,
        }
        kind = "MetricAlarms" if number else "CompositeAlarms"
        return http, {kind: [described], **({"NextToken": f"after-{number}"} if number else {})}

    with hooked(cloudwatch, {CALL: page}):
        lists = [call("GET", "/v1/admin/alarms").body["alarms"] for _ in range(2)]
    assert lists[0] == lists[1]
    assert len(asked) == 6
    assert [(one["name"], one["kind"]) for one in lists[0]] == [
        ("Alarm0", "composite"),
        ("Alarm1", "metric"),
        ("Alarm2", "metric"),
    ]
    assert {one["since"] for one in lists[0]} == {"2028-02-29T23:59:30.000Z"}
    assert {(one["description"], one["reason"], one["runbook"]) for one in lists[0]} == {
        ("", None, None)
    }


@pytest.mark.parametrize("code", ["Throttling", "AccessDenied"])
def test_a_refusal_of_cloudwatch_is_not_an_empty_list(
    call: Caller, cloudwatch: Any, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with hooked(cloudwatch, {CALL: lambda **_: aws_answer(400, code)}):
        answer = call("GET", "/v1/admin/alarms")
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "2"
    assert answer.body["error"] == "The alarms cannot be read now"
    assert answer.body["details"].startswith(f"CloudWatch: {code}.")


def test_no_answer_of_cloudwatch_is_not_an_empty_list(call: Caller, cloudwatch: Any) -> None:
    def nothing(**_: Any) -> Any:
        raise ConnectTimeoutError(endpoint_url="https://monitoring.example.com")

    with hooked(cloudwatch, {CALL: nothing}):
        answer = call("GET", "/v1/admin/alarms")
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "example.com" not in str(answer.body)


def test_alarms_are_for_the_owner_alone(call: Caller) -> None:
    assert call("GET", "/v1/admin/alarms", scope="openid").code == "SCOPE_REQUIRED"
