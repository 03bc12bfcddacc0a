"""Checks what the API does not show: objects, state transitions, requests to the provider.

It reads S3, the history of Step Functions, the journal of AWS calls that the local stack keeps, and
the simulated provider's own log. An app has no access to any of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from local.demo.checks import Checks
from local.demo.screen import Screen
from local.journal import Call
from local.stack import Stack, wait_for

PATH_OF_STAGE = ["Submit", "Migrate", "NextStage"]
PATH_OF_POLLED_STAGE = ["Submit", "Track", "Migrate", "NextStage"]
# A failed stage returns to Submit, which retries only a failure that another image can avoid, and
# passes every other failure to Settle.
PATH_OF_FAILURE = ["Submit", "Submit", "Settle"]
PATH_OF_POLLED_FAILURE = ["Submit", "Track", "Submit", "Settle"]
END_PATIENCE_SECONDS = 10
POLL_ONLY = "runway"
"""The provider that has no webhooks."""

_reader = TypeDeserializer()


def is_any_real(stack: Stack) -> bool:
    """Whether a provider is real. Its webhooks cannot reach this machine, so the stack sends no
    provider, real or simulated, a webhook URL."""
    return any(provider.control_url is None for provider in stack.providers.values())


class Inspector:
    """Reads a stack, prints what it did and checks it."""

    def __init__(self, stack: Stack, screen: Screen, checks: Checks) -> None:
        self._stack = stack
        self._screen = screen
        self._checks = checks
        self._names = _short_names(stack)

    def objects_of(self, job_id: str) -> dict[str, dict[str, Any]]:
        """The objects of a job in the videos bucket: S3's own HEAD of each, by file name."""
        s3, bucket = self._stack.boto3("s3"), self._stack.buckets["VideosBucket"]
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        keys = [each["Key"] for each in listed if f"/{job_id}/" in each["Key"]]
        return {
            key.rpartition("/")[2]: s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            for key in keys
        }

    def show(self, job_id: str, name: str, polls: int) -> None:
        """The states one job went through, and every AWS call made for it."""
        self._await_end(job_id)
        self._screen.heading(f"Behind the scenes of {name}")
        transitions = self._stack.transitions(job_id)
        self._screen.say(f"{len(transitions)} state transitions: {' → '.join(transitions)}")
        self._screen.gap()
        runs = self._stack.invocations(about=job_id)
        # Requests for the user's journal mention the job too. Only requests for the job are polls.
        path = f"/v1/videos/{job_id}"
        reads = [run for run in runs if run.event.get("rawPath") == path]
        seen: set[str] = set()
        rows: list[tuple[str, str]] = []
        for run in runs:
            if run.function == "StatusFunction":
                continue
            short = run.function.removesuffix("Function").lower()
            again = " again" if short in seen else ""
            seen.add(short)
            rows.append((short + again, self._describe(run.calls)))
        calls = [call for run in reads for call in run.calls]
        rows.append((f"status, {polls} polls", self._describe(calls)))
        self._screen.table(("function", "AWS calls"), rows)
        self._checks.equal(f"{name}: AWS calls of {polls} polls", len(calls), polls)

    def check(self, job_id: str, name: str, provider: str, *, completed: bool) -> None:
        """Check one execution, with the expected states, and one submission per stage, to this
        provider, which is paid only if there is a video."""
        stages = self.stages(job_id)
        status = self._await_end(job_id)
        self._checks.equal(f"{name}: execution", status, "SUCCEEDED")
        way = self._stack.transitions(job_id)
        polled = provider == POLL_ONLY or is_any_real(self._stack)
        if polled:
            # Without webhooks Track is entered once per poll. The number of polls is not checked.
            way = [state for state, _ in groupby(way)]
        path = PATH_OF_POLLED_STAGE if polled else PATH_OF_STAGE
        failure = PATH_OF_POLLED_FAILURE if polled else PATH_OF_FAILURE
        expected = [*path * len(stages), "Settle"] if completed else failure
        self._checks.equal(f"{name}: state transitions", way, expected)
        paid = self.paid(job_id)
        expected_payees = [provider] * len(stages) if provider in self._stack.simulators else []
        payees = [payee for payee, _ in paid]
        self._checks.equal(f"{name}: submissions to the providers", payees, expected_payees)
        for _, submission in paid:
            self._checks.equal(f"{name}: paid to the provider", submission["billed"], completed)
            # On a busy computer a webhook may time out. It has no status then, and is retried.
            taken = [sent["status"] for sent in submission["deliveries"] if sent["status"]]
            self._checks.equal(f"{name}: webhook answers", taken, [] if polled else [200])
        for simulator in self._stack.simulators.values():
            leaked = simulator.media()["authorization_seen"]
            self._checks.that(not leaked, f"{name}: the provider's key was sent to its CDN")

    def paid(self, job_id: str) -> list[tuple[str, dict[str, Any]]]:
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

    def stages(self, job_id: str) -> list[dict[str, Any]]:
        """The job's stages as stored, with provider, submission and earlier refusals."""
        item = self._stack.boto3("dynamodb").get_item(
            TableName=self._stack.tables["JobsTable"], Key={"job_id": {"S": job_id}}
        )["Item"]
        return [_reader.deserialize(item[name]) for name in ("image", "video") if name in item]

    def aws_calls(self, job_id: str) -> int:
        """The number of AWS calls made for a job, without those of the app's polls."""
        runs = self._stack.invocations(about=job_id)
        return sum(len(run.calls) for run in runs if run.function != "StatusFunction")

    def transitions(self, job_id: str) -> list[str]:
        """The states a job's execution has entered, to its end."""
        self._await_end(job_id)
        return self._stack.transitions(job_id)

    def span(self, job_id: str) -> tuple[datetime, datetime]:
        """When a job's execution began and ended."""
        self._await_end(job_id)
        steps, arn = self._stack.boto3("stepfunctions"), self._stack.execution_arn(job_id)
        found = steps.describe_execution(executionArn=arn)
        return found["startDate"], found["stopDate"]

    def _await_end(self, job_id: str) -> str:
        """The execution's final status. The execution ends a moment after its job."""
        steps, arn = self._stack.boto3("stepfunctions"), self._stack.execution_arn(job_id)

        def ended() -> str | None:
            status: str = steps.describe_execution(executionArn=arn)["status"]
            return None if status == "RUNNING" else status

        return str(wait_for(ended, END_PATIENCE_SECONDS))

    def _describe(self, calls: Iterable[Call]) -> str:
        parts = []
        lines = [f"{call.operation} {self._about(call)}".strip() for call in calls]
        for line, alike in groupby(lines):
            count = len(list(alike))
            parts.append(f"{line} x{count}" if count > 1 else line)
        return ", ".join(parts)

    def _about(self, call: Call) -> str:
        """The resources of a call, by their names in the template."""
        parts = call.resource.split(",")
        return "+".join(self._names.get(part, part.rpartition(":")[2]) for part in parts)


def count_repeats(states: Sequence[str]) -> str:
    """The states as text, with a count for repeated ones: ``Submit → Track x3 → …``."""
    runs = [(state, len(list(alike))) for state, alike in groupby(states)]
    return " → ".join(f"{state} x{count}" if count > 1 else state for state, count in runs)


def _short_names(stack: Stack) -> dict[str, str]:
    named = {actual: name.removesuffix("Table") for name, actual in stack.tables.items()}
    named |= {actual: name.removesuffix("Bucket") for name, actual in stack.buckets.items()}
    return named | {stack.outputs["ProviderKeysArn"]: "ProviderKeys"}
