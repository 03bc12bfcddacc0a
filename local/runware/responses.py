"""The parts of Runware's responses about a task: the acknowledgement, its items, its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.runware.generation import encoded
from local.runware.tasks import PROCESSING, SUCCESS, Result, RunwareTask
from local.simulator.media import MediaFile

Item = dict[str, Any]


class ResponseWriter:
    """Builds the JSON of tasks; ``url_of`` returns the valid URL of a file."""

    def __init__(self, url_of: Callable[[MediaFile], str]) -> None:
        self._url_of = url_of

    def acknowledgement(self, task: RunwareTask) -> Item:
        return {"taskType": task.spec.kind, "taskUUID": task.request_id}

    def items(self, task: RunwareTask, *, status: bool = False) -> list[Item]:
        """The finished items of a task so far, each with a ``status`` if that is requested."""
        return [self._item(task, result, status=status) for result in task.results]

    def processing(self, task: RunwareTask) -> Item:
        return {**self.acknowledgement(task), "status": PROCESSING, "progress": task.progress}

    def failure(self, task: RunwareTask) -> Item:
        """The error of a failed task, as an element of ``errors``."""
        if task.error is None:
            raise ValueError("only a failed task has an error")
        return {"status": "error", **task.error.as_json(task.spec.kind, task.request_id)}

    def failed_item(self, task: RunwareTask) -> Item:
        """The same as an element of ``data``, as in newer responses."""
        error = self.failure(task)
        kept = ("code", "message", "parameter", "documentation")
        detail = {name: error[name] for name in kept if name in error}
        return {**self.acknowledgement(task), "status": "error", "error": detail}

    def _item(self, task: RunwareTask, result: Result, *, status: bool) -> Item:
        spec = task.spec
        document = self.acknowledgement(task)
        if status:
            document["status"] = SUCCESS
        document[f"{spec.media}UUID"] = result.result_id
        if result.file is not None:
            document[f"{spec.media}URL"] = result.gone or self._url_of(result.file)
        if "base64Data" in spec.output_types:
            document[f"{spec.media}Base64Data"] = encoded(result)
        if "dataURI" in spec.output_types:
            document[f"{spec.media}DataURI"] = (
                f"data:{result.content_type};base64,{encoded(result)}"
            )
        document["seed"] = result.seed
        if task.input.get("includeCost"):
            document["cost"] = spec.usd
        if task.input.get("safety", {}).get("checkContent"):
            document["NSFWContent"] = False
        return document
