"""Workers are forks that share nothing: neither variables, nor descriptors, nor random numbers."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.emulator.places import Places
from local.running import RunningStack
from local.runtime import bootstrap
from local.stack import Stack, wait_for
from tests.integration.emulator.small_app import act, small_app
from tests.support.processes import is_alive

PATIENCE_SECONDS = 180


def at_once(stack: Stack, wish: dict[str, Any]) -> tuple[Any, Any]:
    """The answers of two workers of one function that run side by side."""
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda each: act(stack, each), [wish] * 2)
    assert one[0] != two[0], "both ran in one process"
    return one, two


def read_of(path: Path) -> bytes:
    """What a file of /proc contains; nothing if its thread or process has ended meanwhile."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children(pid: int) -> list[int]:
    """The processes that any thread of the process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in read_of(task / "children").split()]


def fork_servers(stack: Stack) -> list[int]:
    return [
        pid
        for pid in children(stack.pids["emulator"])
        if b"forkserver.py" in read_of(Path(f"/proc/{pid}/cmdline"))
    ]


def test_two_workers_draw_different_random_numbers(stack: Stack) -> None:
    one, two = at_once(stack, {"do": "draw"})
    assert not set(one) & set(two)


def test_a_worker_holds_no_pipe_and_no_socket_of_another(stack: Stack) -> None:
    (_, one), (_, two) = at_once(stack, {"do": "descriptors"})
    assert one
    assert not set(one) & set(two)
    assert not [name for name in (*one, *two) if name.startswith("socket:")]


def test_a_layer_that_reads_a_variable_when_it_is_imported_reads_its_own_functions(
    stack: Stack,
) -> None:
    wish = {"do": "import", "module": "probe", "name": "DECLARED"}
    assert act(stack, wish) == "yes"
    assert act(stack, wish, "ActElsewhere") == "elsewhere"


def test_a_worker_is_in_its_functions_time_zone(stack: Stack) -> None:
    assert act(stack, {"do": "zone"}) == "+0000"
    assert act(stack, {"do": "zone"}, "ActElsewhere") == "+0530"


def test_a_module_of_the_function_comes_before_an_imported_one_of_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shadowing.py").touch()
    (tmp_path / "json.py").touch()
    for name in ("shadowing", "shadowing.part", "shadowing_not"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    bootstrap.forget_shadowed(str(tmp_path))
    assert "shadowing" not in sys.modules
    assert "shadowing.part" not in sys.modules
    assert "shadowing_not" in sys.modules
    assert "json" in sys.modules


def test_a_fork_server_has_one_thread(stack: Stack) -> None:
    act(stack, {"do": "tell"})
    servers = fork_servers(stack)
    assert servers
    assert {len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in servers} == {1}


def test_killed_fork_servers_are_replaced_and_a_killed_emulator_leaves_no_process() -> None:
    with small_app() as stack:
        before = act(stack, {"do": "sleep", "seconds": 0})
        servers = fork_servers(stack)
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
        # The worker could not be collected any more, so the next call gets another one.
        wait_for(lambda: act(stack, {"do": "sleep", "seconds": 0}) != before, PATIENCE_SECONDS)
        wait_for(lambda: not is_alive(before), PATIENCE_SECONDS)
        assert not set(servers) & set(fork_servers(stack))

        left = [*stack.workers(), *fork_servers(stack)]
        assert len(left) > 1
        os.kill(stack.pids["emulator"], signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, left)), PATIENCE_SECONDS)


def test_a_worker_can_be_forked_from_a_process_that_has_imported_nothing_and_ends_when_idle() -> (
    None
):
    wish = {"do": "import", "module": "probe", "name": "DECLARED"}
    with small_app(preload=False, idle_seconds=0.5) as stack:
        assert act(stack, wish) == "yes"
        assert act(stack, wish, "ActElsewhere") == "elsewhere"
        assert len(fork_servers(stack)) == 1
        before = act(stack, {"do": "sleep", "seconds": 0})
        wait_for(lambda: not stack.workers(), PATIENCE_SECONDS)
        wait_for(lambda: not is_alive(before), PATIENCE_SECONDS)
        assert act(stack, {"do": "sleep", "seconds": 0}) != before


def test_a_worker_that_ends_while_workers_are_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "workers").mkdir()
    for pid in ("101", "102"):
        (tmp_path / "workers" / pid).write_text("clipmint-Act-1")
    read = Path.read_text

    def ends_meanwhile(path: Path, encoding: str | None = None) -> str:
        if path.name == "101":
            path.unlink()
        return read(path, encoding=encoding)

    monkeypatch.setattr(Path, "read_text", ends_meanwhile)
    stack = object.__new__(RunningStack)
    stack.state_dir = tmp_path
    stack.functions = {"Act": "arn:aws:lambda:us-east-1:000000000000:function:clipmint-Act-1"}
    assert stack.workers("Act") == [102]


def test_waiting_calls_get_a_place_in_the_order_in_which_they_came() -> None:
    places, order = Places(1), list[int]()

    def call(number: int) -> None:
        with places:
            order.append(number)

    with places:
        calls = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in calls:
            before = places.waiting
            thread.start()
            while places.waiting == before:
                time.sleep(0.001)
    for thread in calls:
        thread.join(PATIENCE_SECONDS)
    assert order == list(range(8))
