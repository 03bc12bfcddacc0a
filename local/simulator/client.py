"""Start a simulator in a separate process and use its control endpoint.

For the local stack and for tests::

    with start("local.fal", {"generation_seconds": 0.1}) as fal:
        fal.arm("webhook_lost")
        ...
        assert len(fal.submissions()) == 1
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

STOP_SECONDS = 10
"""How long a simulator may take to stop before it is killed."""


class Simulator:
    """A running simulator: its addresses and its control endpoint.

    ``about`` is the line that it printed when ready (see the simulator's ``__main__``). One with a
    certificate needs ``trust``.
    """

    def __init__(self, about: Mapping[str, str], trust: ssl.SSLContext | None = None) -> None:
        self.about = about
        self.url = about["url"]
        self.key = about["key"]
        # Without authorities, because to load them takes 25 ms.
        verify = trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._control = httpx.Client(base_url=about["control_url"], verify=verify, trust_env=False)

    def arm(
        self,
        kind: str,
        *,
        times: int | None = 1,
        endpoint: str | None = None,
        prompt_contains: str | None = None,
        nth: int = 1,
        **params: Any,
    ) -> int:
        """Arm a fault and return its rule's id. Raises ``httpx.HTTPStatusError`` if refused."""
        match = {"endpoint": endpoint, "prompt_contains": prompt_contains, "nth": nth}
        rule = {"match": match, "times": times, "fault": {"kind": kind, **params}}
        return int(self._call("POST", "/faults", rule)["id"])

    def disarm(self, rule_id: int | None = None) -> None:
        """Remove one rule, or all of them. Does nothing if the rule does not exist any more."""
        path = "/faults" if rule_id is None else f"/faults/{rule_id}"
        answer = self._control.delete(path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()

    def disarm_about(self, text: str) -> None:
        """Remove the rules with a text in their ``prompt_contains``."""
        for rule in self.faults():
            if text in (rule["match"]["prompt_contains"] or ""):
                self.disarm(rule["id"])

    def faults(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/faults")["faults"])

    def submissions(self, *, first: int = 0) -> list[dict[str, Any]]:
        """All accepted submissions, in the order of acceptance, without the ``first`` ones."""
        return list(self._call("GET", f"/submissions?first={first}")["submissions"])

    def media(self) -> dict[str, Any]:
        """Files and their GETs. ``authorization_seen`` is True if a GET had an Authorization."""
        return dict(self._call("GET", "/media"))

    def change(self, **settings: Any) -> None:
        """Change settings for everything that happens from now on."""
        self._call("PATCH", "/settings", settings)

    def reset(self) -> None:
        """Forget faults, submissions, files and changed settings."""
        self._call("POST", "/reset")

    def close(self) -> None:
        self._control.close()

    def _call(self, method: str, path: str, document: object = None) -> Any:
        answer = self._control.request(method, path, json=document)
        answer.raise_for_status()
        return answer.json() if answer.content else {}


@contextmanager
def start(
    module: str,
    settings: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
    trust: ssl.SSLContext | None = None,
) -> Iterator[Simulator]:
    """Run ``python -m module`` until the block ends. Raises ``RuntimeError`` if it ends early."""
    chosen = [f"--set={name}={json.dumps(value)}" for name, value in (settings or {}).items()]
    process = subprocess.Popen(
        [sys.executable, "-m", module, *chosen, *arguments], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            ready = process.stdout.readline() if process.stdout else ""
            if not ready:
                raise RuntimeError(f"{module} did not start")
            simulator = Simulator(json.loads(ready), trust)
            try:
                yield simulator
            finally:
                simulator.close()
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
