"""What a running stack does, as lines for people: one per request, one per transition of a job.

    14:03:12  POST /v1/videos  202  84 ms
    14:03:12  job 3f2a91c0  veo-3.1: fal makes the video
    14:03:16  job 3f2a91c0  veo-3.1: completed, 6 credits

The requests are those that the emulated API Gateway answered, so they include those that it
rejected itself. A job is read when a function that was called for it has done something. Several
changes that happen within `EVERY_SECONDS` are one line.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from boto3.dynamodb.types import TypeDeserializer

from local.running import REQUESTS, RunningStack, function_name

EVERY_SECONDS = 0.25
JOB = re.compile(r'job_id\\*":\s*\\*"([0-9a-f-]{36})|/webhooks/\w+/([0-9a-f-]{36})')
"""A job's id in an event or a result, also where JSON contains JSON as text."""
FILES = {"image": "image", "video": "video"}
"""What each stage makes, in the order of the stages."""
SECRET_PATH = "/webhooks/"  # noqa: S105 - the rest of such a path is a secret
UNFINISHED = {
    "sending": "{provider} gets the order of the {file}",
    "refused": "{provider} did not accept the {file}",
    "unknown": "{provider} gave no answer about the {file}",
    "sent": "{provider} makes the {file}",
}


class Lines:
    """A file of JSON lines that grows. Each `read` returns what was added since the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Any]:
        """The new lines, parsed. A line that is still being written comes with the next call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [json.loads(line) for line in complete.splitlines()]


class Activity:
    """Calls `show` with each line, in a thread, until it is closed."""

    def __init__(self, stack: RunningStack, show: Callable[[str], None]) -> None:
        self._stack = stack
        self._show = show
        self._requests = Lines(stack.state_dir / REQUESTS)
        self._journal = Lines(stack.state_dir / "journal.jsonl")
        self._about: dict[str, set[str]] = {}
        self._open: dict[str, str] = {}
        self._sweep = function_name(stack.functions["SweepFunction"])
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="activity", daemon=True)

    def __enter__(self) -> Self:
        self._journal.read()  # what the deployment itself did
        self._requests.read()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._closing.wait(EVERY_SECONDS):
            for line in self.news():
                self._show(line)

    def news(self) -> Iterator[str]:
        """The lines about what has happened since the last call."""
        requests = self._requests.read()
        jobs = list(dict.fromkeys(self._jobs_in(self._journal.read())))
        for request in requests:
            yield f"{_time(request['at'])}  {request_line(request)}"
        for job_id in jobs:
            yield from self._transition(job_id)

    def _jobs_in(self, lines: list[dict[str, Any]]) -> Iterator[str]:
        """The ids of the jobs that these lines of the journal are about."""
        for line in lines:
            about = self._about.setdefault(line["request_id"], set())
            for first, second in JOB.findall(json.dumps([line.get("event"), line.get("result")])):
                about.add(first or second)
            yield from sorted(about)
            if line["kind"] == "end":
                del self._about[line["request_id"]]
                if line["function"] == self._sweep:
                    yield from list(self._open)  # it names no job in its result

    def _transition(self, job_id: str) -> Iterator[str]:
        found = self._stack.boto3("dynamodb").get_item(
            TableName=self._stack.tables["JobsTable"],
            Key={"job_id": {"S": job_id}},
            ConsistentRead=True,
        )
        if "Item" not in found:
            return
        read = TypeDeserializer().deserialize
        item = {name: read(value) for name, value in found["Item"].items()}
        state = job_state(item)
        if "open" in item:
            changed, self._open[job_id] = self._open.get(job_id) != state, state
        else:
            # An ended job is reported once; later requests that read it change nothing.
            changed = self._open.pop(job_id, None) is not None
        if changed:
            yield f"{_time()}  job {job_id[:8]}  {item['model_id']}: {state}"


def request_line(request: Mapping[str, Any]) -> str:
    """A request to the API: method, path, status and milliseconds."""
    path = request["path"]
    if path.startswith(SECRET_PATH):
        path = "/".join([*path.split("/")[:3], "…"])
    return f"{request['method']} {path}  {request['status']}  {request['milliseconds']:.0f} ms"


def job_state(item: Mapping[str, Any]) -> str:
    """What a job does, or how it has ended, from its item in the Jobs table."""
    stages = [(name, item[name]) for name in FILES if name in item]
    if "open" not in item:
        used = sum(int(stage["credits"]) for _, stage in stages if "asset" in stage)
        why = f" ({item['failure']})" if item["status"] == "failed" else ""
        return f"{item['status']}{why}, {used} credits"
    for name, stage in stages:
        if "asset" in stage:
            continue
        if "outcome" in stage:
            stored = "media_url" in stage["outcome"]
            return f"the {FILES[name]} is being stored" if stored else "being settled"
        if "submission" not in stage:
            return f"waiting to send the {FILES[name]}"
        words = UNFINISHED[stage["submission"]["state"]]
        return words.format(provider=stage["provider"], file=FILES[name])
    return "being settled"


def _time(at: float | None = None) -> str:
    moment = datetime.now().astimezone() if at is None else datetime.fromtimestamp(at).astimezone()
    return f"{moment:%H:%M:%S}"
