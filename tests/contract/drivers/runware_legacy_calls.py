"""Drive runware 0.5: run scenarios and print what the client made of each, as JSON.

Runs in the interpreter of `.envs/runware-legacy`, which holds that package and nothing of ours.
Each line of stdin is a JSON object, ``{"ws", "key", "calls": [[method, parameters], …]}``, and is
answered with a line, a list with one ``{"result"}`` or ``{"error"}`` per call.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, is_dataclass
from typing import Any

from runware import (  # type: ignore[import-not-found]
    IFrameImage,
    IGoogleProviderSettings,
    IImageInference,
    IVideoInference,
    Runware,
)
from runware.utils import RunwareAPIError  # type: ignore[import-not-found]

REQUESTS = {"videoInference": IVideoInference, "imageInference": IImageInference}


def request(method: str, parameters: dict[str, Any]) -> Any:
    if "frameImages" in parameters:
        parameters["frameImages"] = [IFrameImage(**one) for one in parameters["frameImages"]]
    if google := parameters.pop("google", None):
        parameters["providerSettings"] = IGoogleProviderSettings(**google)
    return REQUESTS[method](**parameters)


async def call(client: Any, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        if method in REQUESTS:
            result = await getattr(client, method)(request(method, parameters))
        else:
            result = await getattr(client, method)(**parameters)
    except RunwareAPIError as error:
        return {"error": error.error_data}
    except ConnectionError as error:
        return {"error": {"connection": str(error)}}
    several = result if isinstance(result, list) else [result]
    return {
        "result": [
            asdict(one) if is_dataclass(one) and not isinstance(one, type) else one
            for one in several
        ]
    }


async def scenario(wish: dict[str, Any]) -> list[dict[str, Any]]:
    client = Runware(api_key=wish["key"], url=wish["ws"])
    said = [await call(client, *one) for one in wish["calls"]]
    await client.disconnect()
    return said


for line in sys.stdin:
    print(json.dumps(asyncio.run(scenario(json.loads(line))), default=str), flush=True)
