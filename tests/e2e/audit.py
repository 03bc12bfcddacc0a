"""What is true of every user whatever happened: money adds up, jobs match it, files are there.

`Auditor.check` reads the tables themselves, not the API. It remembers every journal it has seen, so
a line that is later missing or different is found too.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

from botocore.exceptions import ClientError

from local.stack import Stack
from tests.e2e.backstage import Item, ledger_items, scan
from tests.e2e.customer import TERMINAL

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}")
_PROMPTS = ("prompt", "promptText", "positivePrompt")
_AVAILABLE = {"grant": 1, "hold": -1, "capture": 0, "release": 1}
_HELD = {"grant": 0, "hold": 1, "capture": -1, "release": -1}


class Auditor:
    """Checks users' books, jobs, files and submissions against each other."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._journals: dict[str, list[Item]] = {}

    def check(self, user_id: str) -> None:
        """All of it for one user. Raises AssertionError."""
        items = ledger_items(self._stack, user_id)
        jobs = [job for job in scan(self._stack, "JobsTable") if job["user_id"] == user_id]
        self._check_user(user_id, items, jobs, self._paid())

    def check_everybody(self) -> None:
        """All of it for all users, and that no job paid twice or leaked a key to the CDN."""
        paid = self._paid()
        by_user: dict[str, list[Item]] = {}
        for item in scan(self._stack, "LedgerTable"):
            if not item["user_id"].startswith("REFERENCE#"):
                by_user.setdefault(item["user_id"], []).append(item)
        jobs = scan(self._stack, "JobsTable")
        assert {job["user_id"] for job in jobs} <= set(by_user)
        for user_id, items in by_user.items():
            own = [job for job in jobs if job["user_id"] == user_id]
            self._check_user(user_id, items, own, paid)
        for simulator in self._stack.simulators.values():
            assert not simulator.media()["authorization_seen"]

    def check_logs(self) -> None:
        """No log line of any function holds what could spend money, open a door or embarrass."""
        secrets = {}
        for simulator in self._stack.simulators.values():
            secrets[simulator.key] = "a provider's key"
            for submission in simulator.submissions():
                secrets[_prompt(submission)] = "a prompt"
                if submission["webhook_url"]:
                    secrets[submission["webhook_url"].rpartition("/")[2]] = "a webhook token"
        for job in scan(self._stack, "JobsTable"):
            secrets[job["prompt"]] = "a prompt"
            if token := job["video"].get("task_token"):
                secrets[token] = "a task token"
        logs = self._stack.boto3("logs")
        lines = 0
        for group in logs.describe_log_groups()["logGroups"]:
            pages = logs.get_paginator("filter_log_events")
            for page in pages.paginate(logGroupName=group["logGroupName"]):
                for event in page["events"]:
                    lines += 1
                    _assert_discreet(event["message"], secrets)
        assert lines > 0, "there was no log to look at"

    def _paid(self) -> Counter[str]:
        """Paid submissions by job, whichever provider took them.

        A webhook URL names its job. A provider without webhooks is known to the job by its task id,
        unless the answer was lost: then the prompt tells, and the job must have been given up.
        """
        jobs = scan(self._stack, "JobsTable")
        by_task = {
            job["video"]["submission"]["request_id"]: job["job_id"]
            for job in jobs
            if job["video"].get("submission", {}).get("request_id")
        }
        given_up = {
            job["prompt"]: job["job_id"] for job in jobs if job.get("failure") == "SUBMIT_UNKNOWN"
        }
        paid = Counter[str]()
        for simulator in self._stack.simulators.values():
            for submission in simulator.submissions():
                if submission["webhook_url"]:
                    paid[submission["webhook_url"].split("/")[5]] += 1
                elif submission["request_id"] in by_task:
                    paid[by_task[submission["request_id"]]] += 1
                else:
                    # KeyError here: paid for, and no job knows what became of it.
                    paid[given_up[_prompt(submission)]] += 1
        return paid

    def _check_user(
        self, user_id: str, items: list[Item], jobs: list[Item], paid: Counter[str]
    ) -> None:
        entries = sorted(
            (item for item in items if item["sk"].startswith("ENTRY#")),
            key=lambda item: item["sequence"],
        )
        account = next((item for item in items if item["sk"] == "ACCOUNT"), None)
        before = self._journals.get(user_id, [])
        assert entries[: len(before)] == before, "a line of the journal was changed or removed"
        self._journals[user_id] = entries
        if account is None:
            assert not entries
            assert not jobs
            return
        resolved = _check_journal(account, entries)
        assert account["open_jobs"] == sum(1 for job in jobs if job["status"] not in TERMINAL)
        held = {entry["job_id"] for entry in entries if entry["kind"] == "hold"}
        assert held == {job["job_id"] for job in jobs}
        for job in jobs:
            assert paid[job["job_id"]] <= 1, f"{job['job_id']} was paid for more than once"
            self._check_job(job, resolved.get(job["job_id"]))

    def _check_job(self, job: Item, resolution: str | None) -> None:
        expected = {"completed": "capture", "failed": "release", "cancelled": "release"}
        assert resolution == expected.get(job["status"]), f"{job['job_id']}: {resolution}"
        assert ("open" in job) == (job["status"] not in TERMINAL)
        if job["status"] == "completed":
            asset = job["video"]["asset"]
            for key in (asset["key"], asset["thumbnail_key"]):
                assert self._exists(asset["bucket"], key) != job.get("deleted", False)
            if not job.get("deleted"):
                self._check_object(asset)

    def _exists(self, bucket: str, key: str) -> bool:
        try:
            self._stack.boto3("s3").head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "404"  # noqa: PT017 (any other is a failure)
            return False
        return True

    def _check_object(self, asset: dict[str, Any]) -> None:
        found = self._stack.boto3("s3").get_object(Bucket=asset["bucket"], Key=asset["key"])
        body = found["Body"].read()
        assert len(body) == asset["size_bytes"]
        assert hashlib.sha256(body).hexdigest() == asset["sha256"]


def _prompt(submission: dict[str, Any]) -> str:
    """What a provider was asked to show; each has its own word for it."""
    asked = submission["input"]
    return str(next(asked[word] for word in _PROMPTS if word in asked))


def _check_journal(account: Item, entries: list[Item]) -> dict[str, str]:
    """The books of one account; how each job's hold was resolved."""
    available = held = 0
    open_holds: dict[tuple[str, str], int] = {}
    resolved: dict[str, str] = {}
    for number, entry in enumerate(entries, start=1):
        assert entry["sequence"] == number, "a line of the journal is missing"
        available += _AVAILABLE[entry["kind"]] * entry["credits"]
        held += _HELD[entry["kind"]] * entry["credits"]
        assert (entry["balance_after"], entry["held_after"]) == (available, held)
        assert entry["credits"] > 0
        assert available >= 0
        if entry["kind"] == "hold":
            hold = (entry["job_id"], entry["stage"])
            assert hold not in open_holds
            assert entry["job_id"] not in resolved
            open_holds[hold] = entry["credits"]
        elif entry["kind"] != "grant":
            # KeyError here: resolved twice, or never held.
            assert open_holds.pop((entry["job_id"], entry["stage"])) == entry["credits"]
            resolved[entry["job_id"]] = entry["kind"]
    totals = Counter[str]()
    for entry in entries:
        totals[entry["kind"]] += entry["credits"]
    assert (account["available"], account["held"]) == (available, held)
    assert account["held"] == sum(open_holds.values())
    assert account["available"] + account["held"] == totals["grant"] - totals["capture"]
    assert account["last_sequence"] == len(entries)
    return resolved


def _assert_discreet(line: str, secrets: dict[str, str]) -> None:
    for secret, what in secrets.items():
        assert secret not in line, f"{what} was logged: {line[:200]}"
    assert not _JWT.search(line), f"somebody's token was logged: {line[:200]}"
