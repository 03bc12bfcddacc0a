"""Python's garbage collector, for a process that loads much and keeps it.

By default it walks over all modules, schemas and AWS models again and again, which took a seventh
of the CPU time of the tests.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_seldom() -> None:
    """Collect after 20,000 new objects, not after 700."""
    gc.set_threshold(20_000, 10, 10)


@contextmanager
def loading() -> Iterator[None]:
    """Collect nothing meanwhile: what is loaded stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@functools.cache
def keep(what: str) -> None:
    """Exclude what is loaded now from later collections; for each ``what`` only the first time."""
    # What is garbage by now would never be freed, and its warnings never be seen.
    gc.collect()
    gc.freeze()
