"""Jobs, and accounts with credits, as the tests of functions and stores start with them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from clipmint import clock
from clipmint.catalog.costs import Cost
from clipmint.catalog.model import Settings
from clipmint.catalog.route import Route
from clipmint.credits import grants, holds, ledger
from clipmint.credits.account import Account, Entry, Limits
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, Refusal, Stage, SubmissionState

LISTED = Cost(3_200_000, "USD", "list", 3_200_000)
"""The list price of the jobs of these tests: eight seconds of Veo 3.1 with sound."""

TOKEN = "the-token"
ROUTES = {
    "fal": Route(provider="fal", endpoint="fal-ai/veo3.1"),
    "runway": Route(provider="runway", endpoint="veo3.1"),
    "runware": Route(provider="runware", endpoint="google:3@2"),
}
"""The same model at each provider, in the order jobs of these tests try them."""


def journal(user_id: str) -> list[Entry]:
    """A user's journal, oldest first."""
    return ledger.entries_of(user_id, limit=100, before=None).entries[::-1]


def assert_adds_up(user_id: str) -> Account:
    """The account, after a check that its journal adds up to it."""
    account = ledger.account_of(user_id)
    owned = held = 0
    for number, entry in enumerate(journal(user_id), start=1):
        owned += _OWNED.get(entry.kind, 0) * entry.credits
        held += {"hold": 1, "release": -1, "capture": -1}.get(entry.kind, 0) * entry.credits
        after = entry.balance_after + entry.held_after - entry.debt_after
        assert (entry.sequence, after, entry.held_after) == (number, owned, held)
    assert (account.available + account.held - account.debt, account.held) == (owned, held)
    assert min(account.available, account.purchased, held, account.debt) >= 0
    return account


_OWNED = {"grant": 1, "capture": -1, "expire": -1, "clawback": -1, "adjust": 1}


def new_job(
    user_id: str = "user-1",
    *,
    job_id: str | None = None,
    credits_: int = 32,
    created_at: datetime | None = None,
    deadline_in: int = 1_800,
    providers: Sequence[str] = ("fal",),
    **changes: Any,
) -> Job:
    """A pending job of ``veo-3.1``, made by the first of these providers; not yet recorded."""
    routes = tuple(ROUTES[name] for name in providers)
    first = routes[0]
    now = created_at or clock.from_iso(clock.iso(clock.now()))
    values: dict[str, Any] = {
        "job_id": job_id or str(uuid.uuid4()),
        "user_id": user_id,
        "status": JobStatus.PENDING,
        "model_id": "veo-3.1",
        "model_name": "Veo 3.1",
        "prompt": "a fox in the snow",
        "settings": Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        "fingerprint": "f" * 64,
        "stages": (
            Stage(
                "video",
                routes,
                first.provider,
                first.endpoint,
                credits_,
                poll_seconds=(90, 30, 30, 60),
                deadline_seconds=1_800,
            ),
        ),
        "deadline": clock.epoch(now + timedelta(seconds=deadline_in)),
        "created_at": now,
        "updated_at": now,
    }
    return Job(**(values | changes))


def open_job(user_id: str = "user-1", **changes: Any) -> Job:
    """A job as generate leaves it: recorded, its credits held (granted first if need be)."""
    job = new_job(user_id, **changes)
    if ledger.account_of(user_id).available < job.credits:
        grants.grant(user_id, job.credits, f"grant-for-{job.job_id}")
    return holds.hold_and_record([job], Limits(open_jobs=1_000, jobs_per_hour=1_000))[0]


def as_stored(job: Job) -> Job:
    """The job as it stands now."""
    now = job_store.get(job.job_id)
    assert now
    return now


def stage_of(job: Job) -> Stage:
    """Its first stage as it stands now."""
    return as_stored(job).stages[0]


def state_of(job: Job) -> SubmissionState | None:
    """The state of that stage's submission now."""
    submission = stage_of(job).submission
    return submission.state if submission else None


def task_id_of(token: str) -> str:
    """The task id that belongs to a webhook token here."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, token))


TASK_ID = task_id_of(TOKEN)


def begin_sending(job: Job, token: str = TOKEN, *, provider: str = "fal") -> Job:
    """The job after an attempt that crashed during its call of the provider."""
    task_id = task_id_of(token)
    route = ROUTES[provider]
    return job_store.mark_sending(job.job_id, "video", route, task_id=task_id, webhook_token=token)


def refuse(job: Job, token: str = TOKEN, *, provider: str = "fal", reason: str = "BUSY") -> Job:
    """The job once the submission of that token has been refused."""
    refusal = Refusal(provider, reason, clock.now())
    return job_store.mark_refused(job.job_id, "video", task_id_of(token), refusal)
