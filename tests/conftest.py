"""The run as a whole: its date, who owns the stack that tests share, and its audit when all have
ended."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import aws_cli, botocore_data, certificate_store, garbage
from tests.support.shared_stack import SharedStack, attach

if TYPE_CHECKING:
    from local.running import RunningStack

pytest_plugins = ["tests.support.shifted_date"]

# On a busy machine an example takes seconds.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

_OWNED = pytest.StashKey[SharedStack]()
_FOLDER = "clipmint_shared_stack"


def pytest_configure(config: pytest.Config) -> None:
    garbage.collect_seldom()
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    botocore_data.read_once(patch)
    certificate_store.load_once(patch)
    if not hasattr(config, "workerinput"):
        config.stash[_OWNED] = SharedStack()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with garbage.loading():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the shared stack for themselves first, others that use it last, both in
    random order: then few processes wait for each other. Tests of the console run one after
    another, because a browser and its stack are started for them, and stopped after them. So do
    those of the emulator, because each process that runs some of them starts up to three emulators.
    Of the others the slow ones come first, so that none of them begins when all else has ended.
    """
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, bool]:
    fixtures = getattr(item, "fixturenames", ())
    if "browser" in fixtures:
        place = 1
    elif "shared_stack" in fixtures:
        place = 0 if item.get_closest_marker("alone") else 4
    else:
        place = 3 if item.path.parent.name == "emulator" else 2
    return place, item.get_closest_marker("slow") is None


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
def shared_stack(shared_folder: Path) -> Iterator[RunningStack]:
    """The stack of this run. What a test changes of it must concern the test's own users only."""
    stack = attach(shared_folder)
    yield stack
    stack.close()


@pytest.fixture(scope="session")
def aws_programs() -> Iterator[Path]:
    """A folder with the programs `aws` and `checked_aws`."""
    with aws_cli.loaded() as folder:
        yield folder
