"""docs/openapi.json is true, and no request breaks the API.

schemathesis makes requests that follow the document, requests that violate it in one place, and
sequences of them; each response has to be one that the document announces. OPENAPI_EXAMPLES=200 in
the environment makes more of them.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from local.running import RunningStack
from tests.e2e.outside.schemathesis_run import Run, run
from tests.support.audit import Auditor
from tests.support.backstage import Owner, jobs_of, until_execution_ended

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "1"))


def flawless(went: Run, *, at_the_right_moment: frozenset[str] = frozenset()) -> None:
    """``at_the_right_moment``: operations that succeed for what other operations have made."""
    print(went)
    assert went.complete
    assert (went.failures, went.errors) == ([], []), went.output
    assert went.tested == went.operations
    # Refused requests alone would prove little.
    served = {operation for operation, status in went.answers if status < 400}
    tried = {operation for operation, _ in went.answers}
    assert tried - served - at_the_right_moment == set(), (
        "nothing that was sent there ever succeeded"
    )


def test_the_api_behaves_as_documented(
    stack: RunningStack, owner: Owner, auditor: Auditor, tmp_path: Path
) -> None:
    users = [f"user-{uuid.uuid4().hex}" for _ in range(2)]
    for user in users:
        assert owner.grant(user, 100_000_000).status_code == 200
    went = run(
        stack.api_url,
        {user: stack.token(user) for user in users},
        tmp_path,
        examples=EXAMPLES,
        peers=True,
        only="^/v1/(?!admin/)",
    )
    # A scene can be deleted until one of the jobs that other operations order renders it.
    moment = frozenset({"DELETE /v1/projects/{project_id}/scenes/{scene_id}"})
    flawless(went, at_the_right_moment=moment)
    assert went.operations == 26
    jobs = [job for user in users for job in jobs_of(stack, user)]
    assert jobs
    for job in jobs:
        until_execution_ended(stack, job["job_id"])
    auditor.check(*users)


DOORS = "^/(functions|api|openai)/"
"""The compatible endpoints."""

AT_THE_RIGHT_MOMENT = frozenset(
    {
        # For a scene or a project, which are made elsewhere.
        "POST /api/video/generate",
        "POST /functions/v1/generate-clips",
        "POST /functions/v1/check-clips-status",
        # For a job that has ended, or has not begun.
        "DELETE /api/video/generate/tasks/{job_id}",
        "DELETE /functions/v1/delete-video-job",
        "POST /functions/v1/delete-video-job",
        "DELETE /openai/v1/videos/{job_id}",
        "GET /openai/v1/videos/{job_id}/content",
    }
)


def test_the_compatible_endpoints_behave_as_documented(
    stack: RunningStack, owner: Owner, auditor: Auditor, tmp_path: Path
) -> None:
    users = [f"user-{uuid.uuid4().hex}" for _ in range(2)]
    for user in users:
        assert owner.grant(user, 100_000_000).status_code == 200
    tokens = {user: stack.token(user) for user in users}
    went = run(stack.api_url, tokens, tmp_path, examples=EXAMPLES, peers=True, only=DOORS)
    flawless(went, at_the_right_moment=AT_THE_RIGHT_MOMENT)
    assert went.operations == 21
    for user in users:
        for job in jobs_of(stack, user):
            until_execution_ended(stack, job["job_id"])
    auditor.check(*users)
