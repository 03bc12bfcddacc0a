"""Drive runware-sdk 1.x: run one scenario and print what the client made of it, as JSON.

Runs in the interpreter of `.envs/runware`, which holds that package and nothing of ours. Reads one
JSON object from stdin: ``{"rest", "ws", "key", "transport", "calls": [[method, parameters], …]}``.
Prints a list with one ``{"result"}`` or ``{"error"}`` per call, and the progress told on the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from runware import RunOptions, Runware, RunwareError  # type: ignore[import-not-found]


async def call(client: Any, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    progress: list[Any] = []
    told: list[Any] = []
    options = RunOptions(
        on_progress=lambda item: progress.append(item.get("progress")),
        on_result=lambda item: told.append(item.get("status")),
    )
    try:
        result = await getattr(client, method)(parameters, options)
    except RunwareError as error:
        names = ("code", "retryable", "parameter", "message", "status_code", "task_uuid")
        return {"error": {name: getattr(error, name) for name in names}, "told": told}
    return {"result": result, "progress": progress, "told": told}


async def main() -> None:
    wish = json.load(sys.stdin)
    # Everything but the addresses is as the package comes, with shorter pauses between retries.
    async with Runware(
        api_key=wish["key"],
        transport=wish["transport"],
        http_base_url=wish["rest"],
        ws_base_url=wish["ws"],
        retry_delay=50,
        max_retries=wish.get("max_retries", 3),
    ) as client:
        if wish.get("together"):
            said = await asyncio.gather(*(call(client, *one) for one in wish["calls"]))
        else:
            said = [await call(client, *one) for one in wish["calls"]]
    json.dump(said, sys.stdout)


try:
    asyncio.run(main())
except RunwareError as error:  # raised while connecting
    json.dump([{"error": {"code": error.code, "message": error.message}}], sys.stdout)
