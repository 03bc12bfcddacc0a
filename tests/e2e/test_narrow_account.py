"""A new AWS account: ten Lambda invocations at a time, for all functions together."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.issuer import AUDIENCE
from local.stack import Stack
from tests.support.audit import Auditor
from tests.support.backstage import Owner, jobs_of, until_execution_ended
from tests.support.customer import Customer
from tests.support.progress import activity, until_idle
from tests.support.shared_stack import FAL, UNLIMITED

pytestmark = pytest.mark.slow

SLOTS = 10
CLIPS = 45
CLIP = 16
"""The price of one clip of four seconds."""
SCENE = {
    "visual_prompt": "A paper boat crosses a still lake",
    "first_frame": "https://images.example.com/first.png",
    "last_frame": "https://images.example.com/last.png",
    "duration": 4,
}
LONGEST_SECONDS = 240
"""Some ten times what it takes on an idle computer with two cores."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(
        enforce_iam=True,
        # With a space, as an owner may write the list.
        parameters=UNLIMITED | {"JwtAudience": f"another-app, {AUDIENCE}"},
        settings={"fal": FAL | {"concurrency": CLIPS}},
        account_concurrency=SLOTS,
    ) as running:
        yield running


def patiently(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, int]:
    """The first response that is not 503, and the number of 503s before it."""
    for refused in range(60):
        answer = call()
        if answer.status_code != 503:
            return answer, refused
        # The gateway's own response, which has no Retry-After.
        assert answer.json() == {"message": "Service Unavailable"}
        time.sleep(0.5)
    raise TimeoutError("60 responses of 503")


def throttled(stack: Stack, job_id: str) -> int:
    """How often a task of a job's execution was throttled."""
    return sum(
        event.get("taskFailedEventDetails", {}).get("error") == "Lambda.TooManyRequestsException"
        for event in stack.history(job_id)
    )


def test_many_clips_share_ten_slots_and_all_are_made(stack: Stack) -> None:
    with Customer(stack) as ada:
        owner = Owner(stack)
        granted, _ = patiently(lambda: owner.grant(ada.user_id, CLIPS * CLIP))
        assert granted.status_code == 200
        owner.close()
        made, _ = patiently(lambda: ada.http.post("/v1/projects", json={"scenes": [SCENE] * CLIPS}))
        project = made.json()["project_id"]
        key = uuid.uuid4().hex
        began = time.monotonic()
        ordered, _ = patiently(lambda: ada.post_clips(project, key, model_id="veo-3.1-transition"))
        assert ordered.status_code == 202, ordered.text
        jobs = [clip["job_id"] for clip in ordered.json()["clips"]]
        assert len(jobs) == CLIPS

        def ended() -> dict[str, Any] | None:
            answer, _ = patiently(lambda: ada.http.get(f"/v1/projects/{project}/clips"))
            assert answer.status_code == 200, answer.text
            seen: dict[str, Any] = answer.json()
            return None if seen["pending"] else seen

        def progress() -> object:
            return [activity(stack, job_id) for job_id in jobs]

        seen = until_idle(ended, progress, every=0.5, look=5, what="of the clips")
        seconds = time.monotonic() - began
        assert seen is not None
        assert (seen["completed"], seen["failed"]) == (CLIPS, 0)
        for job_id in jobs:
            until_execution_ended(stack, job_id)
        # The slots were too few, so the retries were needed.
        assert sum(throttled(stack, job_id) for job_id in jobs) > 0
        assert seconds < LONGEST_SECONDS
        assert Counter(job["status"] for job in jobs_of(stack, ada.user_id)) == {"completed": CLIPS}
        Auditor(stack).check(ada.user_id)
