"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.certificates import Certificates, issue_certificates
from tests.support.inbox import Inbox, listening


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with listening() as box:
        yield box


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue_certificates(tmp_path_factory.mktemp("tls"))
