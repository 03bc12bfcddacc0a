"""`python -m local up` and `token`: one line when ready, nothing left when stopped or killed.

Tests that only ask a stack ask the one that all tests of a run share.
"""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from local.deploy import ROOT, DeployFailedError
from local.journal import Invocation
from local.running import RunningStack, running_stack, wait_for
from local.stack import Stack
from tests.support.processes import is_alive

PATIENCE_SECONDS = 180


@contextmanager
def up(**variables: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running `python -m local up`, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def user() -> str:
    return f"lifecycle-{uuid.uuid4()}"


def token(stack: RunningStack, *arguments: str) -> str:
    return local("token", "--stack", stack.name, *arguments).stdout.strip()


def balance(stack: RunningStack, bearer: str) -> httpx.Response:
    return httpx.get(
        f"{stack.api_url}/v1/credits", headers={"Authorization": f"Bearer {bearer}"}, timeout=120
    )


def processes(stack: RunningStack) -> list[int]:
    return [*stack.description["pids"].values(), *stack.workers()]


def test_a_stack_shares_nothing_with_another_and_leaves_nothing_when_killed_or_stopped(
    shared_stack: RunningStack, user: str
) -> None:
    with up() as (process, described):
        killed = running_stack(described["stack"])
        shares_nothing(shared_stack, killed, user)
        commands_find_it_by_its_variable(killed)
        left = processes(killed)
        process.kill()
        process.wait(PATIENCE_SECONDS)
        wait_for(lambda: not any(is_alive(pid) for pid in left), 120)
        killed.close()
    with up(FAL_KEY="real-id:real-secret") as (process, described):
        assert not killed.state_dir.exists(), "the next start removes the files of a killed stack"
        stopped = running_stack(described["stack"])
        uses_the_real_provider_and_gives_it_no_webhook(stopped)
        assert balance(stopped, stopped.token(user)).json()["available"] == 0
        left = processes(stopped)
        assert len(left) > 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""  # one line, no more
        wait_for(lambda: not any(is_alive(pid) for pid in left), 120)
        assert not stopped.state_dir.exists()
        stopped.close()


def shares_nothing(one: RunningStack, two: RunningStack, user: str) -> None:
    """Neither accounts nor keys."""
    granted = httpx.post(
        f"{one.api_url}/v1/admin/grants",
        json={"user_id": user, "amount": 7, "reference": user},
        headers=one.bearer("shop", admin=True),
        timeout=120,
    )
    assert granted.status_code in {200, 201}, granted.text
    assert balance(one, one.token(user)).json()["available"] == 7
    assert balance(two, two.token(user)).json()["available"] == 0
    assert balance(two, one.token(user)).status_code == 401


def commands_find_it_by_its_variable(stack: RunningStack) -> None:
    """And print what scripts need."""
    assert local("url", CLIPMINT_STACK=stack.name).stdout == stack.api_url + "\n"
    printed = local("env", CLIPMINT_STACK=stack.name).stdout.splitlines()
    assert f"export AWS_ENDPOINT_URL={stack.aws_endpoint}" in printed
    logged = local("logs", "status", CLIPMINT_STACK=stack.name).stdout
    assert "START RequestId" in logged


def uses_the_real_provider_and_gives_it_no_webhook(stack: RunningStack) -> None:
    """Because of the real key."""
    assert stack.description["providers"]["fal"]["url"] is None
    assert "fal" not in stack.description["pids"]
    submit = stack.boto3("lambda").get_function_configuration(
        FunctionName=stack.functions["SubmitFunction"]
    )
    variables = submit["Environment"]["Variables"]
    assert variables["WEBHOOK_BASE_URL"] == ""
    assert json.loads(variables["PROVIDER_OVERRIDES"])["fal"] == {}
    secret = stack.boto3("secretsmanager").get_secret_value(
        SecretId=stack.description["provider_keys_arn"]
    )
    assert json.loads(secret["SecretString"])["FAL_KEY"] == "real-id:real-secret"


def test_tokens_can_be_wrong_on_purpose(shared_stack: RunningStack, user: str) -> None:
    expired = token(shared_stack, "--user", user, "--expires-in", "-5")
    foreign = token(shared_stack, "--user", user, "--audience", "another-app")
    assert balance(shared_stack, expired).status_code == 401
    assert balance(shared_stack, foreign).status_code == 401


def test_everything_listens_on_loopback_only(shared_stack: RunningStack, user: str) -> None:
    assert balance(shared_stack, shared_stack.token(user)).status_code == 200
    found = {address for pid in processes(shared_stack) for address in listening_addresses(pid)}
    assert found == {"0100007F"}  # 127.0.0.1


def listening_addresses(pid: int) -> list[str]:
    """The local addresses, in hexadecimal, that a process listens on; none if it has ended."""
    inodes = set()
    lines: list[list[str]] = []
    with suppress(FileNotFoundError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                inodes.add(os.readlink(link).removeprefix("socket:[").rstrip("]"))
        for table in ("tcp", "tcp6"):
            text = Path(f"/proc/{pid}/net/{table}").read_text()
            lines += [line.split() for line in text.splitlines()[1:]]
    return [line[1].partition(":")[0] for line in lines if line[3] == "0A" and line[9] in inodes]


def local(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_a_token_is_printed_with_its_lifetime_which_can_be_longer(
    shared_stack: RunningStack, user: str
) -> None:
    for_an_hour = local("token", "--user", user, "--stack", shared_stack.name)
    assert "valid for 1 h, until" in for_an_hour.stderr
    for_a_day = local("token", "--user", user, "--hours", "24", "--stack", shared_stack.name)
    assert "valid for 24 h, until" in for_a_day.stderr
    claims = jwt.decode(for_a_day.stdout.strip(), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert balance(shared_stack, for_a_day.stdout.strip()).status_code == 200


def test_a_token_without_a_stack_explains_how_to_start_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local", "token", "--user", "ada", "--stack", "no-such-stack"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "make up" in done.stderr


def test_a_stack_started_elsewhere_can_be_found_and_asked(
    shared_stack: RunningStack, user: str
) -> None:
    found = running_stack(shared_stack.name)
    assert found.description == shared_stack.description
    assert balance(shared_stack, found.token(user)).status_code == 200

    def answered() -> Invocation | None:
        runs = found.invocations(function="StatusFunction", about=user)
        return runs[-1] if runs and runs[-1].ended else None

    wait_for(answered, 120)
    assert set(found.simulators) == {"fal", "runway", "runware"}
    assert isinstance(found.fal.submissions(), list)
    found.close()


def test_a_deployment_with_malformed_overrides_fails_and_names_the_setting() -> None:
    overrides = {"ProviderOverrides": '{"fal": {"queue_ur": "https://queue.example"}}'}
    stack = Stack(simulate=(), parameters=overrides)
    with pytest.raises(DeployFailedError, match=r"CatalogSeed .*: .*fal\.queue_ur: Extra inputs"):
        stack.start()


def test_a_stack_that_fails_to_deploy_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text(
        "AWSTemplateFormatVersion: '2010-09-09'\n"
        "Resources: {Thing: {Type: AWS::No::Thing, Properties: {}}}\n"
    )
    stack = Stack(template=broken, simulate=())
    with pytest.raises(DeployFailedError, match="Thing"):
        stack.start()
    assert not stack.state_dir.exists()
    assert not any(is_alive(pid) for name, pid in stack.pids.items() if name != "stack")
