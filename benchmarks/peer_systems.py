"""The systems that `benchmarks.peers` compares, each used as its documentation describes.

Clipmint on the local stack, the proxy of LiteLLM as a process of its own, and fal-client inside the
caller. All of them send to the same simulated fal. A caller polls five times a second, and tries a
download up to three times, because both are safe to repeat.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from local.deploy import ROOT
from local.processes import allocation
from local.simulator.client import Simulator
from local.stack import Stack, wait_for

ENDPOINT = "fal-ai/veo3.1"
SETTINGS = {"duration": "4s", "resolution": "720p", "aspect_ratio": "16:9"}
CREDITS = 10
POLL_SECONDS = 0.2
ENDED = frozenset({"completed", "failed", "cancelled"})
TRIES = 3
"""Of a download."""
TIMEOUT_SECONDS = 5.0
"""After which LiteLLM and fal-client give a request to fal up; Clipmint has its own limits."""
PATIENCE_SECONDS = 240.0
START_SECONDS = 600.0
"""Only a LiteLLM that hangs takes so long: its imports need up to a minute of processor time."""
PROXY = ROOT / ".envs" / "peers" / "bin" / "litellm"

MODEL = {
    "model_id": "peers",
    "name": "Peers",
    "description": "The model of the comparison.",
    "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9"], "duration": [4]},
    "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
    "price": {"kind": "fixed", "credits": CREDITS},
    "routes": [{"provider": "fal", "endpoint": ENDPOINT}],
    "poll_seconds": [1, 2],
}


@dataclass(frozen=True)
class Received:
    """What a caller sees in the end: a status, and the file if there is one.

    ``status`` is the system's own word, or the error that it returned. ``credits`` states what the
    caller pays, if the system has accounts. ``again`` reads the file once more, as a caller does on
    a later day.
    """

    status: str
    file: bytes = b""
    credits: str = ""
    again: Callable[[], bytes] = bytes


class System(Protocol):
    """One of the systems."""

    name: str

    def order(self, prompt: str, *, times: int = 1) -> Received:
        """Order a video, and wait until it is there or has failed. The caller sends the order
        ``times`` times, and follows the last response.
        """
        ...


def _download(get: Callable[[], httpx.Response]) -> bytes:
    """The file, or nothing if no try succeeds."""
    for _ in range(TRIES):
        try:
            return get().raise_for_status().content
        except httpx.HTTPError:
            time.sleep(POLL_SECONDS)
    return b""


def _until_ended(read: Callable[[], httpx.Response]) -> dict[str, Any]:
    """The video once it has ended, or after `PATIENCE_SECONDS`. Errors are polled again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    video: dict[str, Any] = {"status": "unknown"}
    while time.monotonic() < deadline:
        answer = read()
        if answer.is_success:
            video = answer.json()
            if video["status"] in ENDED:
                break
        time.sleep(POLL_SECONDS)
    return video


class Clipmint:
    """One user of the local stack."""

    name = "Clipmint"

    def __init__(self, stack: Stack) -> None:
        self._user = f"peers-{uuid.uuid4().hex}"
        self._http = httpx.Client(
            base_url=stack.api_url, headers=stack.bearer(self._user), timeout=60, trust_env=False
        )
        owner = stack.bearer("bench", admin=True)
        self._http.put(
            "/v1/admin/models/peers", json=MODEL, headers=owner, timeout=60
        ).raise_for_status()
        self._http.post(
            "/v1/admin/grants",
            json={"user_id": self._user, "amount": 1_000_000, "reference": self._user},
            headers=owner,
        ).raise_for_status()

    def order(self, prompt: str, *, times: int = 1) -> Received:
        body = {"model_id": MODEL["model_id"], "prompt": prompt}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        for _ in range(times):
            answer = self._http.post("/v1/videos", json=body, headers=headers)
        if not answer.is_success:
            return Received(f"HTTP {answer.status_code}")
        path = f"/v1/videos/{answer.json()['job_id']}"
        video = _until_ended(lambda: self._http.get(path))
        if video["status"] not in ENDED:
            return Received(f"still {video['status']}", credits=f"{video['credits_used']} held")
        paid = f"{video['credits_used']} charged"
        if video["status"] != "completed":
            return Received(f"{video['status']}: {video['error_code']}", credits=paid)

        def read() -> bytes:
            url = self._http.get(path).json()["video_url"]
            return _download(lambda: httpx.get(url, trust_env=False))

        return Received("completed", read(), paid, read)


class LiteLLM:
    """A caller of the proxy's OpenAI-compatible video routes."""

    name = "LiteLLM"

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )

    def order(self, prompt: str, *, times: int = 1) -> Received:
        for _ in range(times):
            answer = self._http.post(
                "/v1/videos", json={"model": "peers", "prompt": prompt, **SETTINGS}
            )
        if not answer.is_success:
            return Received(f"HTTP {answer.status_code}")
        path = f"/v1/videos/{answer.json()['id']}"
        video = _until_ended(lambda: self._http.get(path))
        if video["status"] != "completed":
            return Received(str(video["status"]))

        def read() -> bytes:
            return _download(lambda: self._http.get(f"{path}/content"))

        return Received("completed", read(), again=read)


class FalClient:
    """A caller of fal's own client for Python."""

    name = "fal-client"

    def __init__(self, simulator: Simulator) -> None:
        # The package has a setting for the host, but none for plain HTTP.
        # Not at the top: it reads its host when it is imported, and tests import it with another.
        fal_client = importlib.import_module("fal_client")
        self._errors = (httpx.HTTPError, fal_client.FalClientError, ValueError)
        module: Any = importlib.import_module("fal_client.client")
        module.QUEUE_URL_FORMAT = f"{simulator.url}/"
        self._client = fal_client.SyncClient(simulator.key, default_timeout=TIMEOUT_SECONDS)

    def order(self, prompt: str, *, times: int = 1) -> Received:
        arguments = {"prompt": prompt, **SETTINGS}
        try:
            for _ in range(times - 1):
                self._client.submit(ENDPOINT, arguments)
            # No client_timeout: it would also turn the package's retries off.
            result = self._client.subscribe(ENDPOINT, arguments, interval=POLL_SECONDS)
        except self._errors as error:
            return Received(type(error).__name__)
        url = result["video"]["url"]

        def read() -> bytes:
            return _download(lambda: httpx.get(url, trust_env=False))

        return Received("completed", read(), again=read)


@contextmanager
def litellm_before_fal(simulator: Simulator) -> Iterator[LiteLLM]:
    """The proxy with one model of the simulated fal."""
    model = {
        "model": f"fal_ai/{ENDPOINT}",
        "api_base": simulator.url,
        "api_key": simulator.key,
        "timeout": TIMEOUT_SECONDS,
    }
    with litellm_proxy("peers", model) as (url, key):
        yield LiteLLM(url, key)


@contextmanager
def litellm_proxy(name: str, parameters: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The proxy, with its defaults, one model, and no database: its URL and its key.

    ``parameters`` are the ``litellm_params`` of the model. Raises RuntimeError if it ends, and
    TimeoutError if it is not ready after `START_SECONDS`.
    """
    key = f"sk-{uuid.uuid4().hex}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="clipmint-peers-") as folder:
        config = Path(folder, "config.yaml")
        config.write_text(
            json.dumps({"model_list": [{"model_name": name, "litellm_params": dict(parameters)}]})
        )
        environment = {
            "PATH": f"{PROXY.parent}{os.pathsep}{os.defpath}",
            **allocation(),
            "HOME": folder,
            "LITELLM_MASTER_KEY": key,
            # Its list of prices comes with the package, not from the network.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        command = [str(PROXY), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--telemetry", "False"], env=environment, stdout=log, stderr=log
            )
        try:
            # Polls are cheap beside the certificates that each new client loads.
            with httpx.Client(base_url=url, trust_env=False) as http:
                wait_for(lambda: _is_ready(http, process), START_SECONDS, every=0.3)
            yield url, key
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(http: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"LiteLLM ended with {process.returncode}")
    try:
        return http.get("/health/readiness").is_success
    except httpx.HTTPError:
        return False
