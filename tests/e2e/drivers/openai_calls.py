"""Drive the official openai package: make calls and print what it returns or raises, as JSON.

Runs in the interpreter of `.envs/openai`, which holds that package and nothing of ours. Stdin is
``{"base_url", "api_key", "calls": [[method, arguments…]]}``. The video of the first call that made
one can be named ``first``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from openai import APIStatusError, OpenAI  # type: ignore[import-not-found]

made: list[str] = []


def call(client: Any, method: str, *arguments: Any) -> dict[str, Any]:
    ids: list[Any] = [made[0] if argument == "first" else argument for argument in arguments]
    videos = client.videos
    if method in {"create", "create_and_poll"}:
        files = {name: Path(path) for name, path in (ids[1] if len(ids) > 1 else {}).items()}
        video = getattr(videos, method)(**ids[0], **files)
        made.append(video.id)
        result: dict[str, Any] = video.model_dump()
        return result
    if method == "list_all":
        return {"ids": [video.id for video in videos.list(**ids[0])]}  # it reads all pages
    if method == "download":
        content = videos.download_content(ids[0], **ids[1])
        content.write_to_file(ids[2])
        return {"bytes": len(content.content)}
    if method == "remix":
        return dict(videos.remix(ids[0], **ids[1]).model_dump())
    return dict(getattr(videos, method)(*ids).model_dump())


def answer(client: Any, wish: list[Any]) -> dict[str, Any]:
    try:
        return call(client, *wish)
    except APIStatusError as error:
        return {
            "error": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "type": error.type,
        }


given = json.load(sys.stdin)
# Everything but address and key is as the package comes.
client = OpenAI(base_url=given["base_url"], api_key=given["api_key"])
print(json.dumps([answer(client, wish) for wish in given["calls"]]))
