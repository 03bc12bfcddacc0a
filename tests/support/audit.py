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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from clipmint.media.storage import generated_prefix, job_prefix
from local.running import RunningStack
from tests.support.backstage import Item, jobs_of, ledger_items, projects_of, scan
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
        self._submitted = defaultdict[str, list[dict[str, Any]]](list)

    def check(self, *user_ids: str) -> None:
        """All checks for these users, by what is stored under their ids. Raises AssertionError.

        Each test ends with this, so it does not read what other users have. `check_again` and
        `check_all` read everything.
        """
        jobs = [job for user_id in user_ids for job in jobs_of(self._stack, user_id)]
        projects = [one for user_id in user_ids for one in projects_of(self._stack, user_id)]
        prefixes = [
            prefix(job["user_id"], job["job_id"])
            for job in jobs
            for prefix in (job_prefix, generated_prefix)
        ]
        self._check(user_ids, jobs, projects, self._paid(jobs), self._files(prefixes))

    def check_again(self) -> None:
        """All checks for every user checked before: nothing of theirs has changed since."""
        if self._before:
            self._check_with_all(list(self._before))

    def check_all(self) -> None:
        """All checks for all users, and that no job paid twice or leaked a key to the CDN.

        No job may be in progress: its submission might not be on its record yet.
        """
        accounts = scan(self._stack, "LedgerTable")
        users = {item["user_id"] for item in accounts if item["sk"].startswith(_OF_USERS)}
        jobs, paid = self._check_with_all(sorted(users))
        assert {job["user_id"] for job in jobs} <= users
        assert not paid[_NO_JOB], "a provider was paid, and no job knows what became of it"
        for simulator in self._stack.simulators.values():
            assert not simulator.media()["authorization_seen"]

    def _check_with_all(
        self, user_ids: Sequence[str]
    ) -> tuple[list[Item], Counter[tuple[str, str]]]:
        """All checks for these users, by whole tables and buckets. Returns all jobs, and what was
        paid for.
        """
        jobs, projects = (scan(self._stack, table) for table in ("JobsTable", "ProjectsTable"))
        paid = self._paid(jobs)
        self._check(user_ids, jobs, projects, paid, self._files([""]))
        return jobs, paid

    def _check(
        self,
        user_ids: Sequence[str],
        all_jobs: Iterable[Item],
        all_projects: Iterable[Item],
        paid: Counter[tuple[str, str]],
        all_files: Iterable[tuple[str, str, str]],
    ) -> None:
        jobs, projects, files = _by_user(all_jobs), _by_user(all_projects), list(all_files)
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

    def _paid(self, jobs: Iterable[Item]) -> Counter[tuple[str, str]]:
        """Paid submissions by job and stage, all tries of it, whichever provider took them.

        A webhook URL names its job. A provider without webhooks is known to the job by its task id,
        unless the answer was lost: then the prompt identifies the job, which must have been given
        up. `_NO_JOB` stands for a submission that none of these jobs knows: its job is in progress,
        or it is lost.
        """
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
        for name, simulator in self._stack.simulators.items():
            # What is read of a submission never changes, so each is fetched once.
            submitted = self._submitted[name]
            submitted += simulator.submissions(first=len(submitted))
            for submission in submitted:
                if submission["webhook_url"]:
                    *_, job_id, stage, _token = submission["webhook_url"].split("/")
                    paid[job_id, stage] += 1
                elif submission["request_id"] in by_task:
                    paid[by_task[submission["request_id"]]] += 1
                else:
                    paid[given_up.get(_prompt(submission), _NO_JOB)] += 1
        return paid

    def _files(self, prefixes: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Bucket, key and ETag of every object whose key begins with one of these."""
        pages = self._stack.boto3("s3").get_paginator("list_objects_v2")
        for bucket, prefix in product(self._stack.buckets.values(), prefixes):
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
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
