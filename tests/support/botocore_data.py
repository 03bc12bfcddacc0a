"""botocore's descriptions of the services, read once per process.

Each session of boto3 and each of PynamoDB's models reads and parses its files again, up to a
megabyte of JSON for each client. A module of tests that makes a function's clients again then
takes longer for that than for its tests.
"""

from __future__ import annotations

import functools

import botocore.session
import pytest
from botocore.loaders import Loader, create_loader


def read_once(patch: pytest.MonkeyPatch) -> None:
    """Let all sessions of this process share what they read. It is never written."""
    patch.setattr(botocore.session, "create_loader", _shared)


def _shared(search_path: str | None = None) -> Loader:
    loader = _loader(search_path)
    # boto3 adds its own folder for each session.
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)
    return loader


_loader = functools.cache(create_loader)
