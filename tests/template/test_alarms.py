"""Metrics, alarms, dashboard and runbook name the same things.

What the code can emit is `clipmint.telemetry`'s list. That each place emits a metric of the list,
with its dimensions, is read from the source.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from clipmint import telemetry
from clipmint.execution.sweeping import DEADLINE_GRACE, START_GRACE
from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.registry import KEY_NAMES
from clipmint.telemetry import Metric
from tests.support.reading import DEFINITION, ROOT, of_type, written

METRICS = {name: found for name, found in vars(telemetry).items() if isinstance(found, Metric)}
BY_NAME = {metric.name: metric for metric in METRICS.values()}
SERVICE = {"Name": "service", "Value": {"Ref": "AWS::StackName"}}
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ENTRIES = RUNBOOK.partition("\n# Other procedures\n")[0]
SWEEP_SECONDS = 60
TAKEN_ELSEWHERE = {"AWS/SQS", "AWS/States", "AWS/ApiGateway", "AWS/Lambda"}


@dataclass(frozen=True)
class Drawn:
    """A metric as an alarm or a widget names it."""

    where: str
    namespace: str
    name: str
    dimensions: frozenset[str]


def alarms() -> dict[str, dict[str, Any]]:
    return of_type(written()["Resources"], "AWS::CloudWatch::Alarm")


def watched(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics an alarm looks at, each as CloudWatch's Metric."""
    if "Metrics" not in alarm:
        return [alarm]
    return [part["MetricStat"]["Metric"] for part in alarm["Metrics"] if "MetricStat" in part]


def of_alarms() -> Iterator[Drawn]:
    for name, alarm in alarms().items():
        for metric in watched(alarm):
            dimensions = frozenset(item["Name"] for item in metric.get("Dimensions", []))
            yield Drawn(name, metric["Namespace"], metric["MetricName"], dimensions)


def widgets() -> list[dict[str, Any]]:
    """The dashboard's body, its references left in place."""
    (dashboard,) = of_type(written()["Resources"], "AWS::CloudWatch::Dashboard").values()
    body = json.loads(dashboard["DashboardBody"]["Fn::Sub"])
    found: list[dict[str, Any]] = body["widgets"]
    return found


_SEARCH = re.compile(
    r"SEARCH\('\{Clipmint,(?P<dimensions>[\w,]+)\} service=\"\$\{AWS::StackName\}\""
    r" MetricName=\(?(?P<names>\"\w+\"(?: OR \"\w+\")*)\)?', '(?P<stat>\w+)', 300\)"
)


def of_dashboard() -> Iterator[Drawn]:
    for widget in widgets():
        for metric in widget["properties"].get("metrics", []):
            title = widget["properties"]["title"]
            if isinstance(metric[0], dict):
                found = _SEARCH.fullmatch(metric[0]["expression"])
                assert found, metric
                dimensions = frozenset(found["dimensions"].split(","))
                for name in re.findall(r"\w+", found["names"].replace(" OR ", " ")):
                    yield Drawn(title, "Clipmint", name, dimensions)
            else:
                namespace, name, *rest = [part for part in metric if isinstance(part, str)]
                assert len(rest) == 2, metric
                yield Drawn(title, namespace, name, frozenset(rest[::2]))


def sent() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Where the code emits which metric with which dimensions."""
    for folder in ("shared/clipmint", "functions"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = str(path.relative_to(ROOT))
            if where == "shared/clipmint/telemetry.py":
                continue
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                    yield from _sent_by(call, call.func.id, where)


def _sent_by(
    call: ast.Call, function: str, where: str
) -> Iterator[tuple[str, str, frozenset[str]]]:
    dimensions = frozenset(keyword.arg for keyword in call.keywords if keyword.arg)
    if function == "emit":
        (values,) = call.args
        assert isinstance(values, ast.Dict), f"{where}: emit is given a dict as it is"
        names = values.keys
    elif function == "count":
        names = [call.args[0]]
    else:
        return
    for name in names:
        if isinstance(name, ast.Subscript):  # a table of metrics that differ only in their names
            assert isinstance(name.value, ast.Name)
            yield where, name.value.id, dimensions
        else:
            assert isinstance(name, ast.Name), f"{where}: a metric of telemetry's list"
            yield where, name.id, dimensions


def test_every_metric_is_sent_with_its_own_dimensions() -> None:
    from functions.webhooks.app import RESULTS

    found = set()
    for where, name, dimensions in sent():
        metrics = list(RESULTS.values()) if name == "RESULTS" else [METRICS[name]]
        for metric in metrics:
            assert set(metric.dimensions) == dimensions, f"{where}: {metric.name}"
            found.add(metric.name)
    assert found == BY_NAME.keys()
    assert len(BY_NAME) == len(METRICS)


def test_no_dimension_has_an_unlimited_number_of_values() -> None:
    few = {"provider", "outcome", "status", "reason", "store", "to"}
    assert {name for metric in BY_NAME.values() for name in metric.dimensions} <= few


@pytest.mark.parametrize(
    "drawn", [*of_alarms(), *of_dashboard()], ids=lambda drawn: str(drawn.name)
)
def test_alarms_and_widgets_read_metrics_as_they_are_emitted(drawn: Drawn) -> None:
    if drawn.namespace in TAKEN_ELSEWHERE:
        return
    assert drawn.namespace == "Clipmint"
    # Powertools adds its service; an alarm on fewer or other dimensions would never see data.
    assert drawn.dimensions == {*BY_NAME[drawn.name].dimensions, "service"}, drawn.where


def test_every_metric_is_on_the_dashboard() -> None:
    assert {drawn.name for drawn in of_dashboard() if drawn.namespace == "Clipmint"} == set(BY_NAME)


def test_an_alarm_belongs_to_this_stack_and_notifies_the_topic() -> None:
    for name, alarm in alarms().items():
        assert alarm["AlarmActions"] == [{"Ref": "Alarms"}], name
        # Missing data is an alarm for one of them alone: the sweep always emits a metric.
        silence = "breaching" if name == "SweepSilent" else "notBreaching"
        assert alarm["TreatMissingData"] == silence
        for metric in watched(alarm):
            if metric["Namespace"] == "Clipmint":
                assert SERVICE in metric["Dimensions"], name


def test_an_alarm_filters_by_reasons_that_exist() -> None:
    from clipmint.errors import WebhookNotProven

    reasons = {
        metric["MetricName"]: {
            item["Value"] for item in metric.get("Dimensions", []) if item["Name"] == "reason"
        }
        for alarm in alarms().values()
        for metric in watched(alarm)
    }
    assert reasons["WebhookRejected"] == {WebhookNotProven.code}
    assert reasons["JobFailed"] <= {code.value for code in FailureCode}


def test_metric_math_names_existing_metrics() -> None:
    for name, alarm in alarms().items():
        parts = {part["Id"]: part for part in alarm.get("Metrics", [])}
        returned = [part for part in parts.values() if part.get("ReturnData", True)]
        assert len(returned) == ("Metrics" in alarm), name
        for part in parts.values():
            words = set(re.findall(r"[a-z]\w*", part.get("Expression", "")))
            assert words <= parts.keys(), name


@pytest.mark.parametrize("provider", sorted(KEY_NAMES))
def test_every_provider_is_watched(provider: str) -> None:
    refused = alarms()[f"{provider.capitalize()}AccountRefused"]
    assert refused["MetricName"] == telemetry.OWNER_ACCOUNT_REFUSED.name
    assert {"Name": "provider", "Value": provider} in refused["Dimensions"]
    assert KEY_NAMES[provider] in refused["AlarmDescription"]
    failing = [
        item["Value"]
        for metric in watched(alarms()["ProvidersFailing"])
        for item in metric["Dimensions"]
        if item["Name"] == "provider"
    ]
    assert failing.count(provider) == 2, "errors and answers"


def test_thresholds_follow_from_what_the_code_promises() -> None:
    ended_by = DEADLINE_GRACE.total_seconds() + SWEEP_SECONDS
    assert ended_by < alarms()["HoldOverdue"]["Threshold"] <= ended_by + 3 * SWEEP_SECONDS
    # One execution is all of a job, however many stages it has and however long each may take.
    longest = yaml.safe_load(DEFINITION.read_text())["TimeoutSeconds"]
    started_by = START_GRACE.total_seconds() + SWEEP_SECONDS
    oldest = alarms()["OldestOpenHold"]["Threshold"]
    assert longest + started_by < oldest <= longest + started_by + 3 * SWEEP_SECONDS
    drift = alarms()["LedgerDrift"]
    assert drift["Period"] * drift["EvaluationPeriods"] == 86_400, "until it is audited again"


# ── Runbook ──────────────────────────────────────────────────────────────────────────────────────


def entries() -> dict[str, str]:
    _, *parts = re.split(r"^## ", ENTRIES, flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def test_every_alarm_has_an_entry_and_every_entry_an_alarm() -> None:
    documented = {
        title: set(re.findall(r"`(\w+)`", text.strip().partition("\n")[0]))
        for title, text in entries().items()
    }
    by_description: dict[str, set[str]] = {}
    for name, alarm in alarms().items():
        description = " ".join(alarm["AlarmDescription"].split())
        by_description.setdefault(description.rpartition("Runbook: ")[2], set()).add(name)
    assert documented == by_description


@pytest.mark.parametrize("title", entries())
def test_an_entry_has_meaning_effect_check_fix_and_end(
    title: str,
) -> None:
    text = entries()[title]
    parts = ["**Meaning", "**Effect on users", "**Check", "**Fix", "**Resolved when"]
    found = [text.index(f"\n{part}") for part in parts]
    assert found == sorted(found)
    assert "```sh\n" in text[found[2] : found[3]], "something to type"


def test_what_the_runbook_asks_for_is_there() -> None:
    template = written()
    assert set(re.findall(r"\$\(out (\w+)", RUNBOOK)) <= template["Outputs"].keys()
    made_by_sam = {"SweepFunctionEveryMinute"}
    assert set(re.findall(r"\$\(res (\w+)", RUNBOOK)) <= template["Resources"].keys() | made_by_sam
    groups = " ".join(re.findall(r'^logs "([\w ]+)"', RUNBOOK, re.MULTILINE)).split()
    assert set(groups) <= {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert "`ProviderOverrides`" in RUNBOOK
    assert "ProviderOverrides" in template["Parameters"]


def test_the_runbook_counts_the_alarms_it_gives_a_price_for() -> None:
    metrics = sum(len(watched(alarm)) for alarm in alarms().values())
    assert f"{len(alarms())} alarms on {metrics} metrics ${metrics / 10:.2f} a month" in RUNBOOK


def test_lines_the_runbook_looks_for_are_logged() -> None:
    files = [path for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py")]
    source = "".join(path.read_text() for path in files)
    lines = set(re.findall(r'message = "([^"]+)"', RUNBOOK))
    for listed in re.findall(r"message in \[([^\]]+)\]", RUNBOOK):
        lines |= set(re.findall(r'"([^"]+)"', listed))
    assert len(lines) >= 8
    assert {line for line in lines if f'"{line}"' not in source} == set()
