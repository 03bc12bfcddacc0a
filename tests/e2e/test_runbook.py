"""Every command of docs/runbook.md, pasted into a shell, against the local stack."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from local.running import RunningStack
from tests.support import documents
from tests.support.backstage import until_execution_ended, until_tracked
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.documents import ROOT, blocks, programs, run

RUNBOOK = list(blocks(ROOT / "docs" / "runbook.md"))
FIRST_LINE, FUNCTIONS, *RECIPES = RUNBOOK
RUN = [block for block in RECIPES if block.key not in documents.NOT_RUN]

pytestmark = pytest.mark.slow


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, aws_programs: Path) -> Path:
    return programs(tmp_path_factory.mktemp("path") / "bin", aws_programs / "aws")


@pytest.fixture(scope="module")
def environment(stack: RunningStack, path: Path) -> str:
    """What `eval "$(make -s env)"` evaluates. It is the same each time."""
    printed = run("make -s env", path, {"CLIPMINT_STACK": stack.name})
    assert printed.returncode == 0, printed.stderr
    return printed.stdout


@pytest.fixture
def shell(environment: str, path: Path) -> Run:
    """Runs commands after the two blocks at the top of the page."""

    def paste(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return run(f"{environment}\n{FUNCTIONS.text}\n{script}", path, variables)

    return paste


@pytest.fixture
def failed(stack: RunningStack, ada: Customer) -> Mapping[str, str]:
    """What the recipes are about: a user, a failed job, and its execution."""
    stack.fal.arm("moderation", prompt_contains=ada.word)
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "failed"
    until_execution_ended(stack, job_id)
    arn = stack.execution_arn(job_id)
    found = {"USER_ID": ada.user_id, "JOB_ID": job_id, "EXECUTION_ARN": arn}
    return found | {"api": stack.api_url, "admin": stack.token("ops", admin=True)}


def test_every_recipe_runs_as_printed(
    shell: Run, stack: RunningStack, failed: Mapping[str, str]
) -> None:
    # A second version of the keys, with the same value, so that there is a previous one.
    secrets, keys = stack.boto3("secretsmanager"), stack.description["provider_keys_arn"]
    value = secrets.get_secret_value(SecretId=keys)["SecretString"]
    secrets.put_secret_value(SecretId=keys, SecretString=value)
    wrong = {}
    for block in RUN:
        done = shell(block.text, **failed)
        if done.returncode != 0 or "rror" in done.stderr:
            wrong[str(block)] = done.stdout + done.stderr
    assert wrong == {}
    assert len(RUN) > 20


def test_every_function_of_a_query_has_a_log_group(shell: Run) -> None:
    names = (
        "generate status cancel projects webhooks admin operator actions submit track migrate "
        "settle sweep expire"
    )
    done = shell(f"logs '{names}' 'fields @timestamp | limit 1'")
    assert done.returncode == 0, done.stderr


def recipe(heading: str, number: int = 1) -> str:
    (found,) = [one for one in RECIPES if (one.heading, one.number) == (heading, number)]
    return found.text


def test_a_failed_job_is_found_by_its_reason_and_by_its_user(
    shell: Run, failed: Mapping[str, str]
) -> None:
    job_id = failed["JOB_ID"]
    by_reason = shell(recipe("Find a job", 1), **failed).stdout.splitlines()
    (line,) = [line for line in by_reason if job_id in line]
    assert f"job_id={job_id}  failure=CONTENT_POLICY  provider=fal" in line
    by_user = shell(recipe("Find a job", 2), **failed).stdout.splitlines()
    assert [line.split()[:2] for line in by_user] == [[job_id, "failed"]]
    about = shell(recipe("Find a job", 3), **failed).stdout
    assert '"S": "CONTENT_POLICY"' in about
    assert "ExecutionSucceeded" in about
    assert "message=job ended" in about


def test_a_job_is_found_over_the_api(shell: Run, failed: Mapping[str, str]) -> None:
    found = shell(recipe("Where is my video, where are my credits?"), **failed).stdout
    assert f'{{"jobs":[{{"job_id":"{failed["JOB_ID"]}"' in found
    assert '"failure_code":"CONTENT_POLICY"' in found
    assert '"timeline":[' in found


def test_failures_are_counted_by_their_reason(shell: Run, failed: Mapping[str, str]) -> None:
    counted = shell(recipe("ProvidersFailing"), **failed).stdout
    assert "failure=CONTENT_POLICY  provider=fal  jobs=" in counted


def test_the_audit_of_an_account_returns_its_drift(shell: Run, failed: Mapping[str, str]) -> None:
    assert '{"drift": 0}' in shell('audit "$USER_ID"', **failed).stdout


def test_an_exception_of_a_function_is_found(shell: Run, stack: RunningStack) -> None:
    stack.boto3("lambda").invoke(FunctionName=stack.functions["SettleFunction"], Payload=b"{}")
    found = shell(recipe("SettleFailing")).stdout
    assert "errorType=KeyError  errorMessage='job_id'" in found


def test_a_stopped_execution_ends_its_job(shell: Run, stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("stuck", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    done = shell(recipe("OldestOpenHold", 2), JOB_ID=job_id)
    assert done.returncode == 0, done.stderr
    assert ada.until_ended(job_id)["status"] == "failed"
    assert ada.credits()["held"] == 0


def test_an_account_is_corrected_on_the_condition_that_it_is_unchanged(
    shell: Run, stack: RunningStack, ada: Customer
) -> None:
    key = {"user_id": {"S": ada.user_id}, "sk": {"S": "ACCOUNT"}}
    table = stack.tables["LedgerTable"]
    found = stack.boto3("dynamodb").get_item(TableName=table, Key=key)["Item"]
    values = {"USER_ID": ada.user_id, "AVAILABLE": found["available"]["N"], "HELD": "0"}
    stale = shell(recipe("LedgerDrift", 2), **values, LAST_SEQUENCE="99")
    assert "ConditionalCheckFailedException" in stale.stderr
    done = shell(recipe("LedgerDrift", 2), **values, LAST_SEQUENCE=found["last_sequence"]["N"])
    assert done.returncode == 0, done.stderr
    assert ada.credits() == {"available": 10 * PRICE, "held": 0}
