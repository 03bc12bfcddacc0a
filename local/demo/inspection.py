"""What the API does not show: objects, state transitions, requests to the provider.

It reads S3, the history of Step Functions, the journal of AWS calls that the local stack keeps, and
the simulated provider's own log. An app has no access to any of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from local.journal import Call
from local.stack import Stack, wait_for

END_PATIENCE_SECONDS = 60

_reader = TypeDeserializer()


class Inspector:
    """Reads a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def objects(self, job_id: str) -> dict[str, dict[str, Any]]:
        """The objects of a job in the videos bucket: S3's own HEAD of each, by file name."""
        s3, bucket = self._stack.boto3("s3"), self._stack.buckets["VideosBucket"]
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {
            key.rpartition("/")[2]: s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            for key in keys
            if f"/{job_id}/" in key
        }

    def stages(self, job_id: str) -> list[dict[str, Any]]:
        """The job's stages as stored, with provider, submission and earlier refusals."""
        item = self._stack.boto3("dynamodb").get_item(
            TableName=self._stack.tables["JobsTable"], Key={"job_id": {"S": job_id}}
        )["Item"]
        return [_reader.deserialize(item[name]) for name in ("image", "video") if name in item]

    def submissions(self, job_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The submissions that the simulated providers accepted for a job, by provider.

        A submission belongs to the job if the job records its request id, or if its webhook URL
        contains the job's id.
        """
        recorded = {stage["submission"].get("request_id") for stage in self.stages(job_id)}
        return [
            (name, submission)
            for name, simulator in self._stack.simulators.items()
            for submission in simulator.submissions()
            if submission["request_id"] in recorded
            or f"/{job_id}/" in (submission["webhook_url"] or "")
        ]

    def execution(self, job_id: str) -> dict[str, Any]:
        """A job's execution as Step Functions describes it. It ends a moment after its job."""
        steps, arn = self._stack.boto3("stepfunctions"), self._stack.execution_arn(job_id)

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = steps.describe_execution(executionArn=arn)
            return None if found["status"] == "RUNNING" else found

        return wait_for(ended, END_PATIENCE_SECONDS) or {}

    def states(self, job_id: str) -> list[str]:
        """The states that a job's execution has entered, to its end."""
        self.execution(job_id)
        return self._stack.transitions(job_id)

    def aws_calls(self, job_id: str) -> tuple[list[tuple[str, list[Call]]], list[Call]]:
        """The AWS calls for a job: those of each invocation, by function, and those of the polls.

        Requests for the user's journal mention the job too. Only requests for the job are polls.
        """
        runs, path = self._stack.invocations(about=job_id), f"/v1/videos/{job_id}"
        polls = [call for run in runs if run.event.get("rawPath") == path for call in run.calls]
        others = [(run.function, run.calls) for run in runs if run.function != "StatusFunction"]
        return others, polls


def counted(words: Sequence[str], separator: str = " → ") -> str:
    """The words as text, with a count for repeated ones: ``Submit → Track x3 → …``."""
    runs = [(word, len(list(alike))) for word, alike in groupby(words)]
    return separator.join(f"{word} x{count}" if count > 1 else word for word, count in runs)
