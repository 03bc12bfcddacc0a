"""`python -m local up` and `token`: one line when ready, nothing left when stopped or killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from local.deploy import ROOT, DeployFailedError
from local.running import running_stack, wait_for
from local.stack import Stack

PATIENCE_SECONDS = 180


@contextmanager
def up(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running `python -m local up`, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
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


@pytest.fixture(scope="module")
def asked() -> Iterator[dict[str, Any]]:
    """A stack that tests ask and do not change: what it printed."""
    with up("--name", "asked") as (_, described):
        yield described


def token(stack: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "local", "token", "--stack", stack, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


def balance(stack: dict[str, Any], bearer: str) -> httpx.Response:
    return httpx.get(
        f"{stack['api_url']}/v1/credits", headers={"Authorization": f"Bearer {bearer}"}, timeout=30
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def workers(stack: dict[str, Any]) -> list[int]:
    return [int(mark.name) for mark in (Path(stack["state_dir"]) / "workers").iterdir()]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_stack_leaves_no_process_and_no_file(stop: signal.Signals) -> None:
    with up() as (process, stack):
        assert balance(stack, token(stack["stack"], "--user", "ada")).json()["available"] == 0
        pids = [*stack["pids"].values(), *workers(stack)]
        assert len(pids) > 3
        process.send_signal(stop)
        assert process.wait(PATIENCE_SECONDS) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""  # one line, no more
        wait_for(lambda: not any(is_alive(pid) for pid in pids), 120)
        assert not Path(stack["state_dir"]).exists()


def test_a_killed_stack_takes_its_processes_along_and_the_next_removes_its_files() -> None:
    with up() as (process, stack):
        balance(stack, token(stack["stack"], "--user", "ada"))
        pids = [*stack["pids"].values(), *workers(stack)]
        process.kill()
        process.wait(PATIENCE_SECONDS)
        wait_for(lambda: not any(is_alive(pid) for pid in pids), 120)
    with up():
        assert not Path(stack["state_dir"]).exists()


def test_two_stacks_run_side_by_side_and_share_nothing() -> None:
    with up() as (_, one), up() as (_, two):
        for_one = token(one["stack"], "--user", "ada", "--admin")
        grant = {"user_id": "ada", "amount": 7, "reference": "side-by-side"}
        granted = httpx.post(
            f"{one['api_url']}/v1/admin/grants",
            json=grant,
            headers={"Authorization": f"Bearer {for_one}"},
            timeout=120,
        )
        assert granted.status_code in {200, 201}, granted.text
        assert balance(one, for_one).json()["available"] == 7
        assert balance(two, token(two["stack"], "--user", "ada")).json()["available"] == 0
        assert balance(two, for_one).status_code == 401


def test_tokens_can_be_wrong_on_purpose(asked: dict[str, Any]) -> None:
    expired = token("asked", "--user", "ada", "--expires-in", "-5")
    foreign = token("asked", "--user", "ada", "--audience", "another-app")
    assert balance(asked, expired).status_code == 401
    assert balance(asked, foreign).status_code == 401


def test_everything_listens_on_loopback_only(asked: dict[str, Any]) -> None:
    assert balance(asked, token("asked", "--user", "ada")).status_code == 200
    for pid in [*asked["pids"].values(), *workers(asked)]:
        assert set(listening_addresses(pid)) <= {"0100007F"}  # 127.0.0.1


def listening_addresses(pid: int) -> list[str]:
    """The local addresses, in hexadecimal, that a process listens on."""
    inodes = {
        os.readlink(link).removeprefix("socket:[").rstrip("]")
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and os.readlink(link).startswith("socket:")
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
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


def test_commands_find_a_stack_by_its_variable_and_print_what_scripts_need(
    asked: dict[str, Any],
) -> None:
    assert local("url", CLIPMINT_STACK="asked").stdout == asked["api_url"] + "\n"
    printed = local("env", CLIPMINT_STACK="asked").stdout.splitlines()
    assert f"export AWS_ENDPOINT_URL={asked['aws_endpoint']}" in printed
    balance(asked, token("asked", "--user", "ada"))
    logged = local("logs", "status", CLIPMINT_STACK="asked").stdout
    assert "START RequestId" in logged


def test_a_token_is_printed_with_its_lifetime_which_can_be_longer(
    asked: dict[str, Any],
) -> None:
    for_an_hour = local("token", "--user", "ada", "--stack", "asked")
    assert "valid for 1 h, until" in for_an_hour.stderr
    for_a_day = local("token", "--user", "ada", "--hours", "24", "--stack", "asked")
    assert "valid for 24 h, until" in for_a_day.stderr
    claims = jwt.decode(for_a_day.stdout.strip(), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert balance(asked, for_a_day.stdout.strip()).status_code == 200


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


def test_a_real_key_uses_the_real_provider_and_gives_it_no_webhook() -> None:
    with Stack(keys={"FAL_KEY": "real-id:real-secret"}) as stack:
        assert stack.providers["fal"].url is None
        assert "fal" not in stack.pids
        name = stack.functions["SubmitFunction"]
        submit = stack.boto3("lambda").get_function_configuration(FunctionName=name)
        variables = submit["Environment"]["Variables"]
        assert variables["WEBHOOK_BASE_URL"] == ""
        assert json.loads(variables["PROVIDER_OVERRIDES"]) == {"fal": {}}
        secret = stack.boto3("secretsmanager").get_secret_value(
            SecretId=stack.description["provider_keys_arn"]
        )
        assert json.loads(secret["SecretString"])["FAL_KEY"] == "real-id:real-secret"


def test_a_stack_started_elsewhere_can_be_found_and_asked(asked: dict[str, Any]) -> None:
    found = running_stack("asked")
    assert found.description == asked
    assert balance(asked, found.token("ada")).status_code == 200
    assert found.invocations(function="StatusFunction")[-1].ended
    assert set(found.simulators) == {"fal", "runway", "runware"}
    assert found.fal.submissions() == []
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
