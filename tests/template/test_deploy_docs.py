"""Commands in the documents exist, and the sums in them are right."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from benchmarks.prices import DOLLARS
from tests.support import documents
from tests.support.documents import PAGES, blocks
from tests.support.reading import ROOT, of_type, written

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
TABLE = DEPLOY.partition("| item | quantity | USD |")[2].partition("\n\n")[0]
COSTS = {
    cells[1].strip(): float(cells[3].strip(" *"))
    for row in TABLE.splitlines()[2:]
    if len(cells := row.split("|")) == 5
}
SWEEPS = 60 * 24 * 30


def code_of(text: str) -> list[str]:
    """Code blocks, and code within a line."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`([^`]+)`", prose)


def calls_of_make(page: Path) -> set[str]:
    """The target and variables of each call of make: ``smoke ENV=dev DRY_RUN=1``."""
    found = set()
    for code in code_of(page.read_text(encoding="utf-8")):
        for call in re.findall(r"\bmake(?: -\w+)?((?: [A-Za-z_]+(?:=\S+)?)+)", code):
            found.add(call.strip())
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_and_variable_exists(page: Path) -> None:
    for call in calls_of_make(page):
        words = re.split(r" +", call.partition(" #")[0])
        names = [word.partition("=")[0] for word in words if "=" in word]
        targets = [word for word in words if "=" not in word]
        assert targets[:1] == [] or targets[0] in TARGETS, call
        assert {name for name in names if f"$({name})" not in MAKEFILE} <= {
            "ADMIN",
            "PYTHON",
        }, call


def test_the_guide_calls_the_targets_of_a_deployment() -> None:
    called = {call.partition(" ")[0] for call in calls_of_make(ROOT / "docs" / "deploy.md")}
    assert called >= {"build", "preflight", "deploy", "smoke", "delete"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_environment_and_stack_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    stacks = {SAMCONFIG[name]["deploy"]["parameters"]["stack_name"] for name in ("dev", "prod")}
    environments = set(re.findall(r"\bENV=([a-z]+)", text))
    assert environments <= {"dev", "prod", "local"}
    assert set(re.findall(r"\bSTACK=([\w-]+)", text)) <= stacks


@pytest.mark.parametrize("text", [DEPLOY, RUNBOOK], ids=["deploy", "runbook"])
def test_outputs_parameters_and_aws_commands_exist(text: str) -> None:
    template = written()
    assert set(re.findall(r"\$\(out (\w+)", text)) <= template["Outputs"].keys()
    kinds = {f"{kind}TableName" for kind in ("Ledger", "Jobs", "Projects", "Idempotency")}
    assert kinds <= template["Outputs"].keys(), "out ${kind}TableName"
    parameters = set(re.findall(r"\b(Restored\w+)=", text))
    assert parameters <= template["Parameters"].keys()
    for service, command in re.findall(
        r"\baws (cognito-idp|dynamodb|secretsmanager|stepfunctions|cloudformation) ([a-z-]+)", text
    ):
        if command == "wait":
            continue
        operation = "".join(part.capitalize() for part in command.split("-"))
        client = boto3.client(service, "us-east-1")
        names = {name.lower() for name in client.meta.service_model.operation_names}
        assert operation.lower() in names, f"{service} {command}"


NOT_RUN = [block for page in PAGES for block in blocks(page) if block.key in documents.NOT_RUN]
IN_PLACE_OF_OTHERS = """
make() { :; }; git() { :; }; curl() { :; }; sam() { :; }
out() { echo placeholder; }; res() { echo placeholder; }; audit() { :; }
aws() { case $1 in configure) ;; *) checked_aws "$@";; esac; }
STACK=clipmint-prod MOMENT=2026-09-01T10:00:00Z USER_ID=u JOB_ID=j PASSWORD=p
AVAILABLE=1 HELD=0 LAST_SEQUENCE=3
export -f aws
cd "$TMPDIR"
"""


def test_every_block_of_commands_is_run_or_has_a_reason_not_to_be() -> None:
    known = {block.key for block in NOT_RUN}
    assert known == documents.NOT_RUN.keys(), "a block is listed that does not exist"
    run: dict[str, set[str] | None] = {
        "README.md": {"A walk with curl"},
        "sign-in.md": {"A back office"},
        "purchases.md": {"Try it"},
        "runbook.md": None,
        "licences.md": None,
    }
    for page in PAGES:
        for block in blocks(page):
            headings = run.get(page.name, set())
            assert block.key in known or headings is None or block.heading in headings, block


def as_version_2(folder: Path) -> Path:
    """A configuration with which the CLI takes a URL as a text, as its version 2 always does."""
    file = folder / "config"
    file.write_text("[default]\ncli_follow_urlparam = false\n", encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_the_arguments_of_commands_that_are_not_run_are_right(
    block: documents.Block, tmp_path: Path, aws_programs: Path
) -> None:
    text = block.text.replace("xargs -rn1 aws", "xargs -rn1 bash -c 'aws \"$@\"' _")
    done = documents.run(
        IN_PLACE_OF_OTHERS + text,
        documents.programs(tmp_path / "bin", aws_programs / "checked_aws"),
        {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": str(as_version_2(tmp_path)),
            "TMPDIR": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_restore_stops_every_function_with_which_users_and_the_owner_move_credits() -> None:
    writers = {
        name
        for name, function in of_type(written()["Resources"], "AWS::Serverless::Function").items()
        if any(event["Type"] == "HttpApi" for event in function.get("Events", {}).values())
        and any("PutItem" in part for part in writes_to_ledger(function))
    }
    assert "GenerateFunction" in writers
    stopped, started = re.findall(r"^for function in (.*); do$", RUNBOOK, re.MULTILINE)
    assert (set(stopped.split()), set(started.split())) == (writers, writers)


def writes_to_ledger(function: dict[str, Any]) -> Iterator[str]:
    """What the statements about the Ledger table allow."""
    for policy in function["Policies"]:
        for statement in policy.get("Statement", ()):
            if "LedgerTable" in str(statement.get("Resource")):
                yield str(statement["Action"])


def test_the_cost_of_an_idle_installation_adds_up() -> None:
    total = COSTS.pop("**total**")
    assert len(COSTS) > 8
    assert total == pytest.approx(sum(COSTS.values()), abs=0.001)
    assert f"(about ${round(total)})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_cost_of_the_alarms_is_that_of_the_runbook() -> None:
    (runbook,) = re.findall(r"alarms on \d+ metrics \$([\d.]+) a month", RUNBOOK)
    assert COSTS["CloudWatch: alarms"] == float(runbook)


@pytest.mark.parametrize(
    ("item", "dollars"),
    [
        ("CloudWatch: metrics", 5 * 0.30),
        ("Secrets Manager: reads", SWEEPS * DOLLARS["secret reads"]),
        (
            "Lambda: the sweep, and the expiry of images",
            SWEEPS * 1.2 * (DOLLARS["Lambda requests"] + 0.1 * 0.5 * DOLLARS["Lambda GB-seconds"]),
        ),
        ("CloudWatch: logs", SWEEPS * 1_500 * DOLLARS["log bytes"]),
        # Five pollers that wait twenty seconds each.
        ("SQS: polling the queue of deliveries", 5 * 3 * 60 * 24 * 30 * DOLLARS["SQS requests"]),
        ("DynamoDB: reads of the sweep", SWEEPS * 3 * DOLLARS["DynamoDB read units"]),
    ],
)
def test_an_item_of_the_cost_follows_from_its_quantity(item: str, dollars: float) -> None:
    assert COSTS[item] == pytest.approx(dollars, abs=0.01)
