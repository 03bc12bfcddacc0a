"""The settings of one emulator: a JSON document in the first line of its standard input."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """All settings of the emulator; it reads no environment variable of the host.

    `port` serves the AWS APIs, `api_port` the deployed HTTP API at its root, as an execute-api host
    name would, and `cdn_port` the deployed distribution at its root, as its own domain would: all
    on 127.0.0.1. `descriptors` are three sockets that are bound to these ports and inherited from
    the parent, if there are any. They keep other processes from taking the ports.

    `worker_cap` is the largest number of Lambda workers, `workers_each` that of one function (on
    two cores, three or four make twenty jobs at once no faster, and take more memory). A worker
    that is idle for `idle_seconds` ends. This is longer than a client's poll interval, so that the
    next poll finds a warm worker, and short enough that an unused stack soon needs little memory.
    With `preload` a worker is forked from a process that has imported its layers; without, from one
    that has imported nothing, so that its memory is that of a function on AWS. A worker has
    `start_seconds` to import its handler (AWS gives 10; a laptop may be busier).

    `account_concurrency` is the account's limit of concurrent executions: an invocation beyond it
    is throttled. AWS gives an account 1,000, and a new account 10.

    `transformed` is a folder that outlives the emulator, for templates that the SAM transform has
    expanded; without it each start expands them again.
    """

    port: int
    api_port: int
    cdn_port: int
    state: str
    handler_python: str
    worker_cap: int = 24
    workers_each: int = 2
    idle_seconds: float = 30.0
    preload: bool = True
    enforce_iam: bool = False
    start_seconds: float = 60.0
    account_concurrency: int = 1_000
    transformed: str = ""
    descriptors: tuple[int, ...] = ()

    @property
    def binds(self) -> list[str]:
        """The addresses to listen on, in hypercorn's format."""
        if self.descriptors:
            return [f"fd://{descriptor}" for descriptor in self.descriptors]
        return [f"127.0.0.1:{port}" for port in (self.port, self.api_port, self.cdn_port)]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def journal(self) -> Path:
        return Path(self.state) / "journal.jsonl"

    @property
    def requests(self) -> Path:
        return Path(self.state) / "requests.jsonl"

    @property
    def crashes(self) -> Path:
        return Path(self.state) / "crashes"

    @property
    def workers(self) -> Path:
        return Path(self.state) / "workers"

    @property
    def code(self) -> Path:
        return Path(self.state) / "code"

    @property
    def temporary(self) -> Path:
        return Path(self.state) / "tmp"

    def make_folders(self) -> None:
        for folder in (self.crashes, self.workers, self.code, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        return cls(**json.loads(text))
