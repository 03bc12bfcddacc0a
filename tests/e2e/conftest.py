"""The whole stack: the real template with its roles enforced, and three simulated providers.

Nearly all tests of a run share one stack, in parallel and in any order
(`tests.support.shared_stack`). So each test has users of its own; faults, crashes and counts name
them or their jobs. A test that has to change more than that, such as a provider's settings, is
marked ``alone``: it uses another stack, which no other test uses at the same time, and leaves it as
it was.

No user's account may be off, at the end of its test or of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.running import RunningStack
from tests.support.audit import Auditor
from tests.support.backstage import Owner, close_circuits, jobs_of, until_execution_ended
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.shared_stack import ALONE, SHARED, alone


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("alone") is not None:
        metafunc.parametrize(
            "shared_stack", [ALONE], indirect=True, ids=[pytest.HIDDEN_PARAM], scope="session"
        )


@pytest.fixture(scope="session")
def stack(shared_stack: RunningStack) -> RunningStack:
    return shared_stack


@pytest.fixture(scope="session")
def auditor(stack: RunningStack) -> Iterator[Auditor]:
    auditor = Auditor(stack)
    yield auditor
    # Once more, when this process leaves the stack: later changes are the owner's audit's.
    auditor.check_again()


@pytest.fixture(scope="session")
def owner(stack: RunningStack) -> Iterator[Owner]:
    owner = Owner(stack)
    yield owner
    owner.close()


@pytest.fixture(autouse=True)
def undisturbed(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[None]:
    """A test marked ``alone`` has its stack to itself, starting before its other fixtures."""
    name = SHARED if request.node.get_closest_marker("alone") is None else ALONE
    with ExitStack() as held:
        if name == ALONE:
            held.enter_context(alone(shared_folder / ALONE))
        if "shared_stack" in request.fixturenames:
            # Otherwise a test that is alone would change the stack of the others.
            found = request.getfixturevalue("shared_stack").name
            assert found == (shared_folder / name / "name").read_text(encoding="utf-8")
        yield


@pytest.fixture
def no_failure_counted(
    request: pytest.FixtureRequest, undisturbed: None, stack: RunningStack
) -> Iterator[None]:
    """For a test that is alone and makes a provider fail: failures in a row open the provider's
    circuit, so for a minute the jobs of other tests would wait.
    """
    assert request.node.get_closest_marker("alone"), "it would disturb the jobs of other tests"
    stack.kill_workers("SubmitFunction")  # each counts in its memory
    yield
    close_circuits(stack)
    stack.kill_workers("SubmitFunction")


@pytest.fixture
def new_customer(
    stack: RunningStack, owner: Owner, auditor: Auditor
) -> Iterator[Callable[[int], Customer]]:
    """Makes customers with some credits. Their jobs end within the test, and their accounts add up.

    Afterwards no fault and no crash is armed for them any more.
    """
    customers: list[Customer] = []
    with ExitStack() as open_connections:

        def make(credits_: int) -> Customer:
            customer = open_connections.enter_context(Customer(stack))
            customers.append(customer)
            if credits_:
                assert owner.grant(customer.user_id, credits_).status_code == 200
            return customer

        yield make
        left = [customer for customer in customers if customer.planned_crashes()]
        for customer in customers:
            customer.withdraw()
        assert not left, "a planned crash did not happen"
        for customer in customers:
            for job in jobs_of(stack, customer.user_id):
                until_execution_ended(stack, job["job_id"])
        auditor.check(*(customer.user_id for customer in customers))


@pytest.fixture
def ada(new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for ten quick jobs."""
    return new_customer(10 * PRICE)
