"""The whole stack: the real template with its roles enforced, and a simulated fal in a hurry.

One stack per pytest process serves all tests; each test has users of its own, and nobody's account
may be off, at the end of its test or of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from local.stack import Stack
from tests.support.audit import Auditor
from tests.support.backstage import (
    Owner,
    call_off_crashes,
    close_circuits,
    scan,
    until_execution_ended,
)
from tests.support.catalog import MODELS, PRICE
from tests.support.customer import Customer

FAL = {
    "queue_seconds": 0.05,
    "generation_seconds": 0.1,
    # Nobody waits for somebody else's job.
    "concurrency": 40,
    "time_factor": 0.05,
}
LIMITS = {"MaxOpenJobs": "60", "MaxJobsPerHour": "1000"}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack(enforce_iam=True, parameters=LIMITS, settings={"fal": FAL}) as running:
        owner = Owner(running)
        for model in MODELS:
            owner.put_model(**model)
        owner.close()
        yield running


@pytest.fixture(scope="session")
def auditor(stack: Stack) -> Iterator[Auditor]:
    auditor = Auditor(stack)
    yield auditor
    auditor.check_everybody()
    auditor.check_logs()


@pytest.fixture(scope="session")
def owner(stack: Stack) -> Iterator[Owner]:
    owner = Owner(stack)
    yield owner
    owner.close()


@pytest.fixture
def new_customer(
    stack: Stack, owner: Owner, auditor: Auditor
) -> Iterator[Callable[[int], Customer]]:
    """Makes customers with some credits. Their jobs end within the test, and their books add up."""
    customers: list[Customer] = []
    with ExitStack() as open_connections:

        def make(credits_: int) -> Customer:
            customer = open_connections.enter_context(Customer(stack))
            customers.append(customer)
            if credits_:
                assert owner.grant(customer.user_id, credits_).status_code == 200
            return customer

        yield make
        assert stack.planned_crashes() == 0, "a planned crash did not happen"
        users = {customer.user_id for customer in customers}
        for job in scan(stack, "JobsTable"):
            if job["user_id"] in users:
                until_execution_ended(stack, job["job_id"])
        for user in users:
            auditor.check(user)


@pytest.fixture
def ada(new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for ten quick jobs."""
    return new_customer(10 * PRICE)


@pytest.fixture(autouse=True)
def nothing_left_armed(stack: Stack) -> Iterator[None]:
    """Faults and crashes of one test strike in no other."""
    yield
    for simulator in stack.simulators.values():
        simulator.disarm()
    call_off_crashes(stack)
    close_circuits(stack)
