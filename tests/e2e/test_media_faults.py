"""The provider's file truncated, gone, expired, or no video: a file that exists is stored in the
end.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.running import RunningStack
from tests.support.backstage import (
    assert_counted,
    execution,
    job_item,
)
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.progress import until

TOO_LARGE = 2 * 1024**3 + 1


@contextmanager
def short_pauses(stack: RunningStack) -> Iterator[None]:
    """The same state machine for executions that begin in the block, without waits that grow.

    A file that is no video is fetched five times over two and a half minutes before it is given up.
    One test at a time changes it; for the jobs of others it makes no difference.
    """
    states = stack.boto3("stepfunctions")
    machine = {"stateMachineArn": stack.state_machine_arn}
    with (stack.state_dir / "definition.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = states.describe_state_machine(**machine)["definition"]
        hasty = json.loads(kept)
        for retrier in hasty["States"]["Migrate"]["Retry"]:
            if retrier["MaxAttempts"] > 0:
                retrier.update(IntervalSeconds=1, BackoffRate=1.0)
        states.update_state_machine(**machine, definition=json.dumps(hasty))
        try:
            yield
        finally:
            states.update_state_machine(**machine, definition=kept)


def order_hastily(stack: RunningStack, customer: Customer) -> str:
    with short_pauses(stack):
        job_id = customer.order(model_id="patient-t2v")
        # An execution reads its definition when it begins.
        until(stack, job_id, lambda: execution(stack, job_id) and stack.transitions(job_id))
    return job_id


def gets(stack: RunningStack, job_id: str) -> list[Any]:
    """The faults that struck the GETs of a job's file, None for each that went well."""
    url = job_item(stack, job_id)["video"]["outcome"]["media_url"]
    name = url.rpartition("/")[2]
    (file,) = [f for f in stack.fal.media()["files"] if f["url"].endswith(f"/{name}")]
    return [get["fault"] for get in file["gets"]]


def runs_of_migrate(stack: RunningStack, job_id: str) -> int:
    """How often Migrate ran for a job."""
    return len(stack.invocations(function="MigrateFunction", about=job_id))


@pytest.mark.parametrize("kind", ["media_truncated", "media_reset", "media_refused", "media_error"])
def test_a_file_that_breaks_off_is_fetched_again(
    stack: RunningStack, ada: Customer, kind: str
) -> None:
    stack.fal.arm(kind, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert gets(stack, job_id) == [kind, None]
    assert ada.kinds() == ["grant", "hold", "capture"]


def test_a_slow_file_arrives_whole(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("media_slow", bytes_per_second=100_000, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert gets(stack, job_id) == ["media_slow"]


@pytest.mark.parametrize("kind", ["media_missing", "media_expired"])
def test_a_url_that_no_longer_works_is_replaced_by_a_fresh_one(
    stack: RunningStack, ada: Customer, kind: str
) -> None:
    stack.fal.arm(kind, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert_counted(stack, "MigrateFunction", "MediaUrlExpired", about=job_id, provider="fal")
    assert runs_of_migrate(stack, job_id) == 1, "found within one run, without a retry"


@pytest.mark.parametrize(
    ("kind", "params"), [("media_garbage", {}), ("media_oversized", {"bytes": TOO_LARGE})]
)
def test_a_file_that_is_no_video_of_ours_is_refunded_in_the_end(
    stack: RunningStack, ada: Customer, kind: str, params: dict[str, Any]
) -> None:
    stack.fal.arm(kind, times=None, prompt_contains=ada.word, **params)
    job_id = order_hastily(stack, ada)
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", "MEDIA_INVALID")
    assert ended["error_message"] == "The generated file was not a playable video."
    assert gets(stack, job_id) == [kind] * 5
    assert ada.kinds() == ["grant", "hold", "release"]
    assert ada.credits() == {"available": 10 * PRICE, "held": 0}
    left = stack.boto3("s3").list_objects_v2(
        Bucket=stack.buckets["VideosBucket"], Prefix=f"videos/u-{ada.user_id}/"
    )
    assert left["KeyCount"] == 0, "nothing that does not play is kept"


def test_a_download_damaged_once_succeeds_on_retry(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("media_garbage", prompt_contains=ada.word)
    job_id = order_hastily(stack, ada)
    ended = ada.until_ended(job_id)
    assert ended["status"] == "completed"
    assert httpx.get(ended["video_url"], trust_env=False).content[4:8] == b"ftyp"
    assert gets(stack, job_id) == ["media_garbage", None]


def test_a_redirect_to_a_foreign_host_is_never_followed(stack: RunningStack, ada: Customer) -> None:
    # It may be a new host of the provider: Migrate retries for a day, and the owner has an alarm.
    stack.fal.arm(
        "media_redirect",
        location="https://example.com/a.mp4",
        times=2,
        prompt_contains=ada.word,
    )
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert_counted(stack, "MigrateFunction", "MediaHostNotListed", 2, about=job_id)
    assert ada.kinds() == ["grant", "hold", "capture"]
