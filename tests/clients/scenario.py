"""What an app does, with a client that openapi-python-client generated as ``clipmint_client``.

The same as `scenario.ts`: credits, an estimate, an order, polls until the video is there, the
download, the journal, and a replay. Arguments: one JSON object. Output: one JSON object with what
was seen.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from clipmint_client import AuthenticatedClient
from clipmint_client.api.administration import grant_credits
from clipmint_client.api.credits_ import list_entries
from clipmint_client.api.videos import create_video, estimate_video, get_video
from clipmint_client.models import (
    Accepted,
    CreateVideoResponse402,
    Estimate,
    GenerationRequest,
    Granted,
    GrantRequest,
    JobStatus,
    Journal,
    Video,
)

ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


def run(given: dict[str, str]) -> dict[str, Any]:
    """The scenario for a user without credits."""
    shop = AuthenticatedClient(given["api"], token=given["admin"])
    app = AuthenticatedClient(given["api"], token=given["token"])
    order = GenerationRequest(model_id=given["model"], prompt=given["prompt"])
    key = given["key"]

    refused = create_video.sync_detailed(client=app, body=order, idempotency_key=key)
    refusal = refused.parsed
    assert isinstance(refusal, CreateVideoResponse402), refusal

    grant = GrantRequest(user_id=given["user"], amount=100, reference=key)
    granted = grant_credits.sync(client=shop, body=grant)
    assert isinstance(granted, Granted), granted

    estimate = estimate_video.sync(client=app, body=order)
    assert isinstance(estimate, Estimate), estimate

    accepted = create_video.sync(client=app, body=order, idempotency_key=key)
    assert isinstance(accepted, Accepted), accepted

    while True:
        video = get_video.sync(accepted.job_id, client=app)
        assert isinstance(video, Video), video
        if video.status in ENDED:
            break
        time.sleep(0.2)
    if video.video_url:
        Path(given["file"]).write_bytes(httpx.get(video.video_url).content)

    journal = list_entries.sync(client=app)
    assert isinstance(journal, Journal), journal

    again = create_video.sync_detailed(client=app, body=order, idempotency_key=key)
    replay = again.parsed
    assert isinstance(replay, Accepted), replay
    return {
        "refusal": [refused.status_code, refusal.code],
        "granted": granted.available,
        "estimate": estimate.credits_,
        "used": accepted.credits_used,
        "job_id": accepted.job_id,
        "status": video.status,
        "created_at": video.created_at.isoformat(),
        "kinds": [entry.kind for entry in journal.entries],
        "replayed": replay.job_id,
        "replay_header": again.headers.get("X-Idempotent-Replay"),
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
