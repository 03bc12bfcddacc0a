"""Has the official runware-sdk send wishes over REST; runs in the SDK's own environment.

Reads ``{"url", "key", "wishes": [{"slug", "params"}]}`` from standard input. Each wish goes through
``client.run``, unchanged; the model is named by its slug, so the model's id and the task's type are
the SDK's. Prints one JSON list: per wish, what its parameters violate of the type that the SDK
publishes for the model (an empty list for none).
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Literal, NotRequired, get_args, get_origin, get_type_hints

import aiohttp  # type: ignore[import-not-found]
from aiohttp.abc import AbstractResolver  # type: ignore[import-not-found]
from runware import Runware  # type: ignore[import-not-found]
from runware.types import task_map  # type: ignore[import-not-found]
from runware.types.sdk import RuntimeDependencies  # type: ignore[import-not-found]


class NoNames(AbstractResolver):  # type: ignore[misc]
    """Resolves nothing: the SDK must use the registry it ships, not fetch today's."""

    async def resolve(self, host: str, *_: Any, **__: Any) -> Any:
        raise OSError(f"{host}: no network in tests")

    async def close(self) -> None:
        """There is nothing to close."""


def published_type(slug: str) -> dict[str, Any]:
    """Member name to type, as the SDK publishes them for a model."""
    (air,) = (air for air, entry in task_map.models.items() if entry.id == slug)
    for name, kind in vars(task_map).items():
        if name.endswith("Params"):
            hints = get_type_hints(kind, include_extras=True)
            if hints.get("model") == Literal[air]:
                return hints
    raise LookupError(slug)


def violations(slug: str, params: dict[str, Any]) -> list[str]:
    """What the parameters of a wish violate of the model's published type."""
    stated = {**params, "model": slug, "taskType": "", "taskUUID": ""}  # the SDK sets these itself
    found = []
    for name, kind in published_type(slug).items():
        optional = get_origin(kind) is NotRequired
        if name not in stated:
            found += [] if optional else [f"{name} is missing"]
        elif name in params:
            plain = get_args(kind)[0] if optional else kind
            literal = get_origin(plain) is Literal
            fits = (
                params[name] in get_args(plain)
                if literal
                else type(params[name]) is (get_origin(plain) or plain)
            )
            found += [] if fits else [f"{name} is no {plain}"]
    return found + [f"{name} is not known" for name in params if name not in published_type(slug)]


async def main() -> None:
    given = json.load(sys.stdin)
    verdicts = []
    connector = aiohttp.TCPConnector(resolver=NoNames())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        Runware(
            api_key=given["key"],
            transport="rest",
            http_base_url=given["url"],
            max_retries=0,
            dependencies=RuntimeDependencies(session=session),
        ) as client,
    ):
        for wish in given["wishes"]:
            params = dict(wish["params"])
            task_id = params.pop("taskUUID")
            await client.run({**params, "model": wish["slug"], "taskUUID": task_id})
            verdicts.append(violations(wish["slug"], params))
    json.dump(verdicts, sys.stdout)


asyncio.run(main())
