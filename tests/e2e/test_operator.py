"""The owner finds a user's job by any id, sees what happened, and acts on it, through the whole
stack with its roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.running import RunningStack
from tests.support.backstage import job_item, until_execution_ended, until_tracked
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.plain_http import PLAIN
from tests.support.progress import until
from tests.support.reading import of_type, written


@pytest.fixture
def ops(stack: RunningStack) -> Iterator[httpx.Client]:
    """Calls with the admin scope."""
    with httpx.Client(
        base_url=stack.api_url,
        headers=stack.bearer("ops", admin=True),
        timeout=60,
        trust_env=False,
        verify=PLAIN,
    ) as client:
        yield client


def read(ops: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = ops.get(f"/v1/admin/{path}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_failed_job_is_found_by_the_providers_id_and_gets_goodwill_once(
    stack: RunningStack, ada: Customer, ops: httpx.Client
) -> None:
    stack.fal.arm("moderation", prompt_contains=ada.word)
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "failed"
    until_execution_ended(stack, job_id)
    request_id = job_item(stack, job_id)["video"]["submission"]["request_id"]

    # The entry under the provider's id is written when the stream is read.
    def listed() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = read(ops, "jobs", q=request_id)["jobs"]
        return rows

    [row] = until(stack, job_id, listed) or []
    assert (row["job_id"], row["user_id"], row["failure_code"]) == (
        job_id,
        ada.user_id,
        "CONTENT_POLICY",
    )
    job = read(ops, f"jobs/{job_id}")
    assert job["charge"] == {"held": 0, "captured": 0, "released": PRICE, "goodwill": 0}
    happened = [step["what"] for step in job["timeline"]]
    assert happened[0] == "ordered"
    assert {"held", "execution started", "state entered", "released", "failed"} <= {*happened}
    before = ada.credits()["available"]
    goodwill = {"user_id": ada.user_id, "amount": 3, "job_id": job_id, "reason": "It failed"}
    answers = [ops.post("/v1/admin/grants", json=goodwill) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert [one.json()["replayed"] for one in answers] == [False, True]
    assert ada.credits()["available"] == before + 3
    entry = ada.entries()[-1]
    assert (entry["job_id"], entry["reason"]) == (job_id, "It failed")
    actions = read(ops, "audit")["actions"]
    ours = [one for one in actions if one["details"].get("job_id") == job_id]
    assert [(one["by"], one["what"], one["state"]) for one in ours] == [
        ("ops", "POST /v1/admin/grants", "done")
    ] * 2


def test_lists_users_and_providers_are_read(ada: Customer, ops: httpx.Client) -> None:
    job_id = ada.finish()["job_id"]
    rows = read(ops, "jobs", user_id=ada.user_id, status="completed", model="quick-t2v")["jobs"]
    assert [row["job_id"] for row in rows] == [job_id]
    assert read(ops, "jobs", limit=1)["jobs"]
    assert read(ops, "jobs", status="completed", provider="fal", limit=1)["jobs"]
    user = read(ops, f"users/{ada.user_id}")
    assert user["credits"]["available"] == ada.credits()["available"]
    kinds = [one["kind"] for one in read(ops, f"users/{ada.user_id}/entries")["entries"]]
    assert kinds[0] == "capture"
    assert read(ops, f"users/{ada.user_id}/projects")["projects"] == []
    providers = {one["provider"]: one for one in read(ops, "providers")["providers"]}
    assert "quick-t2v" in providers["fal"]["models"]
    assert read(ops, "models")["models"]
    assert read(ops, "packs")["packs"] is not None
    alarms = {one["name"]: one for one in read(ops, "alarms")["alarms"]}
    assert alarms.keys() == of_type(written()["Resources"], "AWS::CloudWatch::Alarm").keys()
    assert alarms["LedgerDrift"]["state"] == "ok"
    assert alarms["ProvidersFailing"]["state"] == "insufficient_data"  # on metric math
    for path in ("jobs", f"jobs/{job_id}", f"users/{ada.user_id}", "providers", "audit", "alarms"):
        assert ada.http.get(f"/v1/admin/{path}").status_code == 403


def test_the_owner_acts_on_a_running_job(
    stack: RunningStack, ada: Customer, ops: httpx.Client
) -> None:
    stack.fal.arm("slow_generation", seconds=2, prompt_contains=ada.word)
    job_id = ada.order()
    until_tracked(stack, job_id)
    why = {"reason": "The user asked"}

    def act(action: str) -> httpx.Response:
        return ops.post(f"/v1/admin/jobs/{job_id}/{action}", json=why)

    refetched, settled = act("refetch"), act("settle")
    assert (refetched.status_code, refetched.json()["code"]) == (409, "NOTHING_TO_FETCH")
    assert (settled.status_code, settled.json()["result"]) == (200, "waiting")
    assert [row["job_id"] for row in read(ops, "jobs", q=job_id)["jobs"]] == [job_id]
    cancelled = act("cancel")
    assert cancelled.status_code in {200, 409}, cancelled.text
    ada.until_ended(job_id)


def test_a_file_is_fetched_again_when_its_host_delivers(
    stack: RunningStack, ada: Customer, ops: httpx.Client
) -> None:
    stack.fal.arm("media_error", prompt_contains=ada.word, times=2)
    job_id = ada.order()

    def refetched() -> bool:
        answer = ops.post(f"/v1/admin/jobs/{job_id}/refetch", json={"reason": "The CDN is back"})
        return answer.status_code == 200 or ada.video(job_id)["status"] == "completed"

    until(stack, job_id, refetched)
    assert ada.until_ended(job_id)["status"] == "completed"
