"""Runware's webhooks: unsigned, one call per result, repeated until a 2xx within five seconds.

Any client that knows the URL can call it, so receivers put a secret into it and treat a call only
as a hint. Pauses start at 250 ms and double up to eight seconds, with some jitter. A redirect is
not followed and counts as a failure (assumption). Every attempt is recorded on the submission.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import httpx

from local.runware.responses import Item, ResponseWriter
from local.runware.settings import RunwareSettings
from local.runware.tasks import RunwareTask
from local.simulator.authorities import authorities
from local.simulator.control import SettingsHolder
from local.simulator.faults import Fault

Body = Mapping[str, Any]


class Deliverer:
    """Sends webhooks about finished tasks; pass `deliver` to `Tasks`."""

    def __init__(
        self,
        settings: SettingsHolder[RunwareSettings],
        writer: ResponseWriter,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._writer = writer
        # No proxies and no .netrc: a webhook goes directly to its URL.
        self._client = httpx.AsyncClient(
            transport=network, verify=authorities(), follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def deliver(self, task: RunwareTask) -> None:
        """Deliver with the task's fault. Returns after the last attempt."""
        fault = task.webhook_fault or Fault("none", {})
        if task.webhook_url is None or fault.kind == "webhook_lost":
            return
        calls = self._calls(task)
        match fault.kind:
            case "webhook_late":
                await asyncio.sleep(float(fault.params["seconds"]))
            case "webhook_duplicate":
                calls = calls * int(fault.params["copies"])
            case "webhook_processing":
                await self._send(task, self._form(self._writer.processing(task)), "processing")
            case "webhook_forged":
                for call in calls:
                    await self._send(task, _altered(call, fault.params["members"]), "forged")
                if not fault.params["then_genuine"]:
                    return
        await asyncio.gather(*(self._pursue(task, call) for call in calls))

    def _calls(self, task: RunwareTask) -> list[Body]:
        """One body per result; a failed task has one body."""
        if task.error is None:
            return [self._form(item) for item in self._writer.items(task)]
        failure = self._writer.failure(task)
        if self._settings.now.webhook_form == "wrapped":
            return [{"errors": [failure]}]
        return [failure]

    def _form(self, item: Item) -> Body:
        return {"data": [item]} if self._settings.now.webhook_form == "wrapped" else item

    async def _pursue(self, task: RunwareTask, body: Body) -> None:
        """Send until acknowledged, at most as often as the settings allow."""
        settings = self._settings.now
        pause = settings.webhook_backoff
        for attempt in range(settings.webhook_retries + 1):
            if await self._send(task, body, "genuine"):
                return
            if attempt < settings.webhook_retries:
                swing = 1 + random.uniform(-settings.webhook_jitter, settings.webhook_jitter)
                await asyncio.sleep(pause * swing * settings.time_factor)
                pause = min(pause * 2, settings.webhook_backoff_limit)

    async def _send(self, task: RunwareTask, body: Body, kind: str) -> bool:
        """Make one attempt. Returns whether it was acknowledged."""
        record: dict[str, Any] = {
            "attempt": len(task.deliveries) + 1,
            "kind": kind,
            "sent_at": time.time(),
            "status": None,
            "error": None,
            "acknowledged": False,
        }
        task.deliveries.append(record)
        try:
            answer = await self._client.post(
                task.webhook_url or "", json=body, timeout=self._settings.now.webhook_timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            record["error"] = type(error).__name__
            return False
        else:
            record["status"] = answer.status_code
            record["acknowledged"] = answer.is_success
            return answer.is_success
        finally:
            task.webhook_tried.set()


def _altered(body: Body, members: Body) -> Body:
    """``body`` with other members in its task object, which may be in a list."""
    for name in ("data", "errors"):
        if name in body:
            return {name: [{**item, **members} for item in body[name]]}
    return {**body, **members}
