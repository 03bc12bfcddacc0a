"""Streams and the queue of deliveries: nothing is left out, and no endpoint stands in the way."""

from __future__ import annotations

from typing import Any

import pytest

from clipmint.events import posting, queue
from clipmint.usage import counting
from tests.support.reading import deployed, of_type

STREAMS = {"JobsEvents": "JobsTable", "LedgerEvents": "LedgerTable"}
KEPT_SECONDS = 86_400
"""How long DynamoDB keeps the records of a stream."""

RESTORED = {
    f"Restored{kind}": f"arn:aws:dynamodb:eu-west-1:123456789012:table/{kind}-restored"
    for kind in ("Ledger", "Jobs", "Endpoints")
}
OF_RESTORED = {
    f"Restored{kind}Stream": f"{RESTORED[f'Restored{kind}']}/stream/2026-11-20T10:00:00.000"
    for kind in ("Ledger", "Jobs")
}


def mappings(**parameters: str) -> dict[str, dict[str, Any]]:
    return of_type(deployed(**parameters)["Resources"], "AWS::Lambda::EventSourceMapping")


@pytest.mark.parametrize(("name", "table"), STREAMS.items())
def test_a_record_of_a_stream_is_retried_until_just_before_it_is_gone(
    name: str, table: str
) -> None:
    mapping = mappings()[name]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": [table, "StreamArn"]}
    assert mapping["FunctionName"] == {"Ref": "EventsFunctionAliaslive"}
    # What was committed before the mapping worked is an event, too.
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == -1
    # The owner has an hour between the alarm and the end of the record.
    assert mapping["MaximumRecordAgeInSeconds"] == KEPT_SECONDS - 3_600
    destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == {"Fn::GetAtt": ["EventsDeadLetters", "Arn"]}
    declared = of_type(deployed()["Resources"], "AWS::DynamoDB::Table")[table]
    assert declared["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_usage_reads_the_same_stream_beside_events_and_counts_a_batch_at_once() -> None:
    mapping = mappings()["JobsUsage"]
    assert mapping["FunctionName"] == {"Ref": "UsageFunctionAliaslive"}
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    # One batch is one transaction, so a batch that fails half-way is not possible.
    assert mapping["BatchSize"] <= counting.FACTS_PER_TRANSACTION
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == -1
    # DynamoDB's documentation allows two readers of a shard at the same time.
    readers = [
        one
        for one in mappings().values()
        if one["EventSourceArn"] == {"Fn::GetAtt": ["JobsTable", "StreamArn"]}
    ]
    assert len(readers) == 2


def test_only_a_threshold_makes_each_change_of_an_account_pass() -> None:
    for low_credits, expected in (("0", 1), ("50", 2)):
        mapping = mappings(LowCredits=low_credits)["LedgerEvents"]
        assert len(mapping["FilterCriteria"]["Filters"]) == expected


def test_a_restored_table_is_read_by_its_own_stream_or_not_at_all() -> None:
    assert mappings(**RESTORED).keys() == {"DeliveryAttempts"}
    found = mappings(**RESTORED, **OF_RESTORED)
    for name, kind in (("JobsEvents", "Jobs"), ("JobsUsage", "Jobs"), ("LedgerEvents", "Ledger")):
        assert found[name]["EventSourceArn"] == {"Ref": f"Restored{kind}Stream"}


def test_a_slow_endpoint_delays_no_other_and_uses_up_no_concurrency() -> None:
    mapping = mappings()["DeliveryAttempts"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["Deliveries", "Arn"]}
    # One message each time: nothing waits behind a slow endpoint in a batch. The messages of an
    # endpoint are a group of their own (`queue.send`), so SQS prefers those of others.
    assert mapping["BatchSize"] == 1
    # A new account may run ten functions at a time.
    assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 5


def test_an_attempt_ends_before_its_function_and_its_message_comes_later() -> None:
    resources = deployed()["Resources"]
    timeout = of_type(resources, "AWS::Lambda::Function")["DeliverFunction"]["Timeout"]
    assert timeout >= posting.SECONDS + 10
    deliveries = of_type(resources, "AWS::SQS::Queue")["Deliveries"]
    # As Lambda's documentation asks for.
    assert deliveries["VisibilityTimeout"] >= 6 * timeout
    assert deliveries["MessageRetentionPeriod"] > queue.LONGEST_DELAY_SECONDS
    redrive = deliveries["RedrivePolicy"]
    assert redrive["maxReceiveCount"] >= 5
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeliveriesDeadLetters", "Arn"]}
    assert "FifoQueue" not in deliveries
