"""What is true of every user in every case: money adds up, jobs match it, files are there.

`Auditor.check` reads the tables and buckets themselves, not the API, and passes them to
`tests.support.invariants`. It remembers what it has seen, so it also finds a journal entry that is
later missing or different.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from local.running import RunningStack
from tests.support.backstage import Item, ledger_items, scan
from tests.support.invariants import Snapshot, left_behind, stages_of, tries_of, violations

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}")
# What makes a URL, or the form of an upload, a key.
_PRESIGNED = re.compile(r"X-Amz-(Signature|Credential|Security-Token)\W{1,6}\w{16}", re.IGNORECASE)
_TELLING = 10
_OF_USERS = ("ACCOUNT", "ENTRY#")
_NO_JOB = ("", "")
_SCENE_PROMPTS = ("image_prompt", "visual_prompt")
_PROMPTS = ("prompt", "promptText", "positivePrompt")


class Auditor:
    """Checks users' credits, jobs, files and submissions against each other."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self._before: dict[str, Snapshot] = {}
        self._digests: dict[tuple[str, str, str], str] = {}

    def check(self, *user_ids: str) -> None:
        """All checks for these users. Raises AssertionError."""
        self._check(user_ids, self._paid())

    def check_again(self) -> None:
        """All checks for every user checked before: nothing of theirs has changed since."""
        self.check(*self._before)

    def check_all(self) -> None:
        """All checks for all users, and that no job paid twice or leaked a key to the CDN.

        No job may be in progress: its submission might not be on its record yet.
        """
        accounts = scan(self._stack, "LedgerTable")
        users = {item["user_id"] for item in accounts if item["sk"].startswith(_OF_USERS)}
        assert {job["user_id"] for job in scan(self._stack, "JobsTable")} <= users
        paid = self._paid()
        assert not paid[_NO_JOB], "a provider was paid, and no job knows what became of it"
        self._check(sorted(users), paid)
        for simulator in self._stack.simulators.values():
            assert not simulator.media()["authorization_seen"]

    def _check(self, user_ids: Collection[str], paid: Counter[tuple[str, str]]) -> None:
        if not user_ids:
            return
        jobs = _by_user(scan(self._stack, "JobsTable"))
        projects = _by_user(scan(self._stack, "ProjectsTable"))
        files = list(self._files())
        found: list[str] = []
        for user_id in user_ids:
            items = ledger_items(self._stack, user_id)
            own = {job["job_id"] for job in jobs[user_id]}
            now = Snapshot(
                user_id=user_id,
                account=next((item for item in items if item["sk"] == "ACCOUNT"), None),
                entries=[item for item in items if item["sk"].startswith("ENTRY#")],
                jobs=jobs[user_id],
                objects={
                    (bucket, key): self._sha256(bucket, key, etag)
                    for bucket, key, etag in files
                    if own & set(key.split("/"))
                },
                paid={key: times for key, times in paid.items() if key[0] in own},
                projects=projects[user_id],
            )
            found += [*violations(now, self._before.get(user_id)), *left_behind(now)]
            self._before[user_id] = now
        assert not found, "\n".join(found)

    def check_all_logs(self) -> None:
        """No log line of any function contains a credential or personal data."""
        self.check_logs(self._secrets())

    def check_logs(self, secrets: Mapping[str, str]) -> None:
        """No log line holds one of these secrets (what each is), any token or any presigned URL."""
        logs = self._stack.boto3("logs")
        lines = 0
        for group in logs.describe_log_groups()["logGroups"]:
            pages = logs.get_paginator("filter_log_events")
            for page in pages.paginate(logGroupName=group["logGroupName"]):
                for event in page["events"]:
                    lines += 1
                    _assert_discreet(event["message"], secrets)
        assert lines > 0, "there was no log to look at"

    def _secrets(self) -> dict[str, str]:
        """What no log may contain: the text, and its description."""
        found = [*self._secrets_of_providers(), *self._secrets_of_jobs()]
        for item in scan(self._stack, "ProjectsTable"):
            found += [(item.get(name), "a scene's prompt") for name in _SCENE_PROMPTS]
        # A prompt may be a single letter, which is in every line. Secrets are long.
        return {secret: what for secret, what in found if secret and len(secret) >= _TELLING}

    def _secrets_of_providers(self) -> Iterator[tuple[str | None, str]]:
        for simulator in self._stack.simulators.values():
            for part in simulator.key.split(":"):
                yield part, "a provider's key"
            for submission in simulator.submissions():
                yield _prompt(submission), "a prompt"
                yield (submission["webhook_url"] or "").rpartition("/")[2], "a webhook token"

    def _secrets_of_jobs(self) -> Iterator[tuple[str | None, str]]:
        for job in scan(self._stack, "JobsTable"):
            for stage in stages_of(job).values():
                yield _asked(job, stage), "a prompt"
                yield stage.get("task_token"), "a task token"
                yield (stage.get("submission") or {}).get("webhook_token"), "a webhook token"

    def _paid(self) -> Counter[tuple[str, str]]:
        """Paid submissions by job and stage, all tries of it, whichever provider took them.

        A webhook URL names its job. A provider without webhooks is known to the job by its task id,
        unless the answer was lost: then the prompt identifies the job, which must have been given
        up. `_NOBODY` stands for a submission that no job knows: its job is in progress, or it is
        lost.
        """
        jobs = scan(self._stack, "JobsTable")
        stages = [(job, *named) for job in jobs for named in stages_of(job).items()]
        by_task = {
            one["request_id"]: (job["job_id"], name)
            for job, name, stage in stages
            for one in tries_of(stage)
            if one.get("request_id")
        }
        given_up = {
            _asked(job, stage): (job["job_id"], name)
            for job, name, stage in stages
            if job.get("failure") == "SUBMIT_UNKNOWN"
        }
        paid = Counter[tuple[str, str]]()
        for simulator in self._stack.simulators.values():
            for submission in simulator.submissions():
                if submission["webhook_url"]:
                    *_, job_id, stage, _token = submission["webhook_url"].split("/")
                    paid[job_id, stage] += 1
                elif submission["request_id"] in by_task:
                    paid[by_task[submission["request_id"]]] += 1
                else:
                    paid[given_up.get(_prompt(submission), _NO_JOB)] += 1
        return paid

    def _files(self) -> Iterator[tuple[str, str, str]]:
        """Bucket, key and ETag of every object."""
        pages = self._stack.boto3("s3").get_paginator("list_objects_v2")
        for bucket in self._stack.buckets.values():
            for page in pages.paginate(Bucket=bucket):
                for found in page.get("Contents", []):
                    yield bucket, found["Key"], found["ETag"]

    def _sha256(self, bucket: str, key: str, etag: str) -> str:
        if (bucket, key, etag) not in self._digests:
            body = self._stack.boto3("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            self._digests[bucket, key, etag] = hashlib.sha256(body).hexdigest()
        return self._digests[bucket, key, etag]


def _by_user(items: Iterable[Item]) -> defaultdict[str, list[Item]]:
    found: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[item["user_id"]].append(item)
    return found


def _asked(job: Item, stage: Mapping[str, Any]) -> str:
    """The text that a stage must show; an image has its own prompt."""
    order = json.loads(stage["picture"]) if stage.get("picture") else job
    return str(order["prompt"])


def _prompt(submission: dict[str, Any]) -> str:
    """The prompt that a provider received; each provider names it differently."""
    asked = submission["input"]
    return str(next(asked[word] for word in _PROMPTS if word in asked))


def _assert_discreet(line: str, secrets: Mapping[str, str]) -> None:
    for secret, what in secrets.items():
        assert secret not in line, f"{what} was logged: {line[:200]}"
    assert not _JWT.search(line), f"somebody's token was logged: {line[:200]}"
    assert not _PRESIGNED.search(line), f"a presigned URL was logged: {line[:200]}"
