"""The run as a whole: its date, its order, who owns the stacks that tests share, and their audit
when all tests have ended."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import aws_cli, botocore_data, certificate_store, garbage
from tests.support.shared_stack import SHARED, SharedStacks, attach

if TYPE_CHECKING:
    from local.running import RunningStack

pytest_plugins = ["tests.support.shifted_date"]

# On a busy machine an example takes seconds.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

_OWNED = pytest.StashKey[SharedStacks]()
_FOLDER = "clipmint_shared_stacks"


def pytest_configure(config: pytest.Config) -> None:
    garbage.collect_seldom()
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    botocore_data.read_once(patch)
    certificate_store.load_once(patch)
    if not hasattr(config, "workerinput"):
        config.stash[_OWNED] = SharedStacks()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with garbage.loading():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """pytest-xdist gives each process an equal part of the tests, and a process that has run its
    part takes over from the end of another. So what should run in one process, one test after
    another, begins a part: tests marked ``alone``, which wait for each other; tests of the emulator
    and of the console, because each process that runs some of them starts emulators or a browser;
    then slow tests, module by module, so that none of them begins when all else has ended. (If few
    tests are run, some of these fall into the next part, and may wait for each other.) The other
    tests are in random order, and those that wait for a stack are among those that do not.
    """
    processes = int(getattr(config, "workerinput", {}).get("workercount", 1))
    first: dict[str, list[pytest.Item]] = {kind: [] for kind in ("alone", "emulator", "browser")}
    others: list[pytest.Item] = []
    for item in items:
        kind = _kind(item)
        (first.setdefault(kind, []) if kind else others).append(item)
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for number, tests in enumerate(first.values()):
        parts[number % processes] += tests
    size = -(-len(items) // processes)
    for part in parts:
        more = max(0, size - len(part))
        part.extend(others[:more])
        del others[:more]
    items[:] = [item for part in parts for item in part]


def _kind(item: pytest.Item) -> str:
    """What an item runs with, one after another; empty if it does not matter."""
    if "browser" in getattr(item, "fixturenames", ()):
        return "browser"
    if item.get_closest_marker("alone"):
        return "alone"
    if item.get_closest_marker("slow"):
        return str(item.path)
    return "emulator" if item.path.parent.name == "emulator" else ""


def pytest_collection_finish() -> None:
    garbage.keep("the tests")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist, in the controller: a worker is about to start."""
    node.workerinput[_FOLDER] = str(node.config.stash[_OWNED].folder)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    # Imported here: pytest loads the module as a plugin first.
    from tests.support.shifted_date import at_the_real_date

    owned = session.config.stash.get(_OWNED, None)
    if owned is None:
        return
    try:
        # A run that was interrupted leaves jobs that have not ended.
        with at_the_real_date(session.config):
            found = None if exitstatus == pytest.ExitCode.INTERRUPTED else owned.audit()
    finally:
        owned.stop()
    if found:
        report = pytest.TestReport(
            nodeid="tests/e2e::audit_of_all_users_and_logs_at_the_end",
            location=("tests/e2e", None, "audit of all users and logs at the end"),
            keywords={},
            outcome="failed",
            longrepr=found,
            when="teardown",
        )
        session.config.hook.pytest_runtest_logreport(report=report)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    if (owned := config.stash.get(_OWNED, None)) is not None:
        owned.stop()


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """Where the test processes of this run meet (see `tests.support.shared_stack`)."""
    if (owned := pytestconfig.stash.get(_OWNED, None)) is not None:
        return owned.folder
    return Path(pytestconfig.workerinput[_FOLDER])  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def shared_stack(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[RunningStack]:
    """The stack of this run. What a test changes of it must concern the test's own users only. A
    test marked ``alone`` gets another one.
    """
    stack = attach(shared_folder / getattr(request, "param", SHARED))
    yield stack
    stack.close()


@pytest.fixture(scope="session")
def aws_programs() -> Iterator[Path]:
    """A folder with the programs `aws` and `checked_aws`."""
    with aws_cli.loaded() as folder:
        yield folder
