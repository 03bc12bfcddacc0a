"""Anything in any order, answered as the model requires: a sample here, more in ``make proof``."""

from __future__ import annotations

import pytest

from tests.proof.model import Model
from tests.proof.stateful import try_anything
from tests.support import moto_aws

aws_clients = moto_aws.aws_clients


def test_every_answer_is_the_one_that_must_be_given(aws_clients: moto_aws.Clients) -> None:
    answers = try_anything(aws_clients, examples=5, steps=30)
    assert answers.total() > 100


@pytest.mark.slow
def test_a_model_that_expects_something_else_is_contradicted(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "delete", lambda *_: (204,))
    with pytest.raises(AssertionError):
        try_anything(aws_clients, examples=20, steps=30, shrink=False)
