"""An update and a roll-back while jobs run: none is lost, none is made or charged twice."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.deploy import DeployFailedError
from local.stack import Stack
from tests.support.audit import Auditor
from tests.support.backstage import Owner, jobs_of, submissions, until_execution_ended
from tests.support.catalog import MODELS, PRICE
from tests.support.customer import TERMINAL, Customer
from tests.support.progress import until_idle
from tests.support.releases import (
    THIS,
    Release,
    broken_release,
    other_release,
    previous_release,
)
from tests.support.shared_stack import FAL, UNLIMITED

pytestmark = pytest.mark.slow

CUSTOMERS = 3
MOST_JOBS = 60
"""Of each customer. There is no such load on AWS; it keeps two cores busy."""
EXPECTED = frozenset({200, 202})
BETWEEN_SECONDS = 4.0
"""How long each release serves orders before the next update."""


class Load:
    """Customers that order one video after the other, and look at each until it has ended."""

    def __init__(self, customers: list[Customer]) -> None:
        self.statuses: Counter[int] = Counter()
        self.accepted: list[str] = []
        self.errors: list[str] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._order_and_look, args=(customer,))
            for customer in customers
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def go_on(self) -> None:
        """Wait for some seconds, and for as many more orders as there are customers."""
        before = len(self.accepted)
        time.sleep(BETWEEN_SECONDS)
        until_idle(
            lambda: self.errors or len(self.accepted) >= before + CUSTOMERS,
            lambda: len(self.accepted),
            idle_seconds=300,
            what="of the customers",
        )

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _order_and_look(self, customer: Customer) -> None:
        for _ in range(MOST_JOBS):
            if self._stopped.is_set():
                return
            try:
                self._one_job(customer)
            except (httpx.HTTPError, KeyError, AssertionError) as error:
                self.errors.append(repr(error))
                return

    def _one_job(self, customer: Customer) -> None:
        key = uuid.uuid4().hex
        answer = self._answered(lambda: customer.post(key))
        job_id = answer.json()["job_id"]
        with self._lock:
            self.accepted.append(job_id)
        while not self._stopped.is_set():
            seen = self._answered(lambda: customer.http.get(f"/v1/videos/{job_id}"))
            if seen.json()["status"] in TERMINAL:
                return
            time.sleep(0.2)

    def _answered(self, call: Any) -> httpx.Response:
        """The response of a request, which an app repeats after 5xx."""
        for _ in range(100):
            answer: httpx.Response = call()
            with self._lock:
                self.statuses[answer.status_code] += 1
            if answer.status_code < 500:
                return answer
            time.sleep(0.3)
        raise AssertionError("100 responses of 5xx")


@contextmanager
def stack_of(release: Release) -> Iterator[Stack]:
    with Stack(
        template=release.template,
        layers=release.layers,
        enforce_iam=True,
        parameters=UNLIMITED,
        settings={"fal": FAL | {"generation_seconds": 1.0}},
    ) as stack:
        owner = Owner(stack)
        for model in MODELS:
            owner.put_model(**model)
        owner.close()
        yield stack


def logged_errors(stack: Stack) -> list[str]:
    """What the functions that serve users logged of the errors that they did not expect."""
    lines = [line for name in ("GenerateFunction", "StatusFunction") for line in stack.logs(name)]
    return [line for line in map(str, lines) if "Traceback" in line]


@contextmanager
def load_on(stack: Stack, accepted: frozenset[int] = EXPECTED) -> Iterator[Load]:
    """Orders until the block ends; then waits for every job and checks them all.

    Fails if a response has another status than those in ``accepted``. A request that got a 5xx is
    repeated in any case.
    """
    owner = Owner(stack)
    with ExitStack() as opened:
        customers = [opened.enter_context(Customer(stack)) for _ in range(CUSTOMERS)]
        for customer in customers:
            assert owner.grant(customer.user_id, MOST_JOBS * PRICE).status_code == 200
        owner.close()
        load = Load(customers)
        load.start()
        try:
            load.go_on()
            yield load
            time.sleep(BETWEEN_SECONDS)
        finally:
            load.stop()
        assert load.errors == []
        assert EXPECTED <= set(load.statuses) <= accepted, logged_errors(stack)

        def jobs() -> list[dict[str, Any]]:
            return [job for one in customers for job in jobs_of(stack, one.user_id)]

        def ended() -> bool:
            return all(job["status"] in TERMINAL for job in jobs())

        until_idle(ended, lambda: [job["updated_at"] for job in jobs()], what="of the jobs")
        for job_id in load.accepted:
            until_execution_ended(stack, job_id)
            assert len(submissions(stack, job_id)) == 1
        found = {job["job_id"]: job.get("failure") or job["status"] for job in jobs()}
        assert found == dict.fromkeys(load.accepted, "completed")
        Auditor(stack).check(*(customer.user_id for customer in customers))


def deploy(stack: Stack, release: Release) -> None:
    stack.update(template=release.template, layers=release.layers)


def versions(stack: Stack) -> dict[str, str]:
    """The version behind the alias of each function that is invoked through it."""
    found = {}
    for name, alias in stack.functions.items():
        if name == "SeedFunction":
            continue
        function, _, qualifier = alias.rpartition(":")
        answer = stack.boto3("lambda").get_alias(FunctionName=function, Name=qualifier)
        found[name] = answer["FunctionVersion"]
    return found


def test_an_update_a_failed_one_and_a_roll_back_under_load(tmp_path: Path) -> None:
    other, broken = other_release(tmp_path / "other"), broken_release(tmp_path / "broken")
    with stack_of(other) as stack:
        first = versions(stack)
        with load_on(stack) as load:
            deploy(stack, THIS)
            second = versions(stack)
            assert {name for name in first if second[name] == first[name]} == set()
            load.go_on()
            # Changes all functions; then its last resource fails, and CloudFormation changes them
            # back.
            with pytest.raises(DeployFailedError, match="UPDATE_ROLLBACK"):
                deploy(stack, broken)
            load.go_on()
            deploy(stack, other)
        assert len(load.accepted) >= 3 * CUSTOMERS


def test_an_update_from_the_previous_release_and_back_under_load(tmp_path: Path) -> None:
    previous = previous_release(tmp_path)
    if previous is None:
        pytest.skip("the history of this clone does not contain the previous release")
    # Functions without aliases are changed in two steps, first their layers and then their code. A
    # request between the two can fail, on AWS as here; the next release begins with aliases.
    accepted = EXPECTED if previous.has_aliases else EXPECTED | {500}
    with stack_of(previous) as stack, load_on(stack, accepted) as load:
        deploy(stack, THIS)
        load.go_on()
        # Executions that began with aliases wait while a release without them is deployed, so their
        # customers order nothing.
        deploy(stack, previous)
        time.sleep(BETWEEN_SECONDS)
        deploy(stack, THIS)
    assert len(load.accepted) >= 2 * CUSTOMERS
