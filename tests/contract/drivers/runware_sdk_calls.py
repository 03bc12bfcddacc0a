"""Drive runware-sdk 1.x over REST: run scenarios and print what the client made of each, as JSON.

Runs in the interpreter of `.envs/runware`, which holds that package and nothing of ours. Each line
of stdin is a JSON object, ``{"rest", "key", "calls": [[method, parameters]]}``, and is answered
with a line: a list with one ``{"result"}`` or ``{"error"}`` per call, and the progress reported on
the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from runware import RunOptions, Runware, RunwareError  # type: ignore[import-not-found]


async def call(client: Any, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    progress: list[Any] = []
    options = RunOptions(on_progress=lambda item: progress.append(item.get("progress")))
    try:
        result = await getattr(client, method)(parameters, options)
    except RunwareError as error:
        names = ("code", "retryable", "parameter", "message", "status_code", "task_uuid")
        return {"error": {name: getattr(error, name) for name in names}}
    return {"result": result, "progress": progress}


async def scenario(wish: dict[str, Any]) -> list[dict[str, Any]]:
    # Everything but the addresses is as the package comes, with shorter pauses between retries.
    async with Runware(
        api_key=wish["key"],
        transport="rest",
        http_base_url=wish["rest"],
        retry_delay=50,
        max_retries=wish.get("max_retries", 3),
    ) as client:
        if wish.get("together"):
            return await asyncio.gather(*(call(client, *one) for one in wish["calls"]))
        return [await call(client, *one) for one in wish["calls"]]


for line in sys.stdin:
    print(json.dumps(asyncio.run(scenario(json.loads(line)))), flush=True)
