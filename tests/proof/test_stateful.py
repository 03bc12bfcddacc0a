"""Anything in any order, answered as the model says: a sample here, more in ``make proof``."""

from __future__ import annotations

from pathlib import Path

from hypothesis.stateful import run_state_machine_as_test

from tests.integration import moto_aws
from tests.proof.stateful import Anything, settings_for
from tests.unit.mp4 import write_mp4

aws_clients = moto_aws.aws_clients


def test_every_answer_is_the_one_that_must_be_given(
    aws_clients: moto_aws.Clients, tmp_path: Path
) -> None:
    Anything.clients = aws_clients
    Anything.video = write_mp4(tmp_path / "video.mp4", seconds=0.5)
    run_state_machine_as_test(Anything, settings=settings_for(examples=6, steps=30))
