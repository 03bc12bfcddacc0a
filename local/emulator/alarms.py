"""CloudWatch alarms: those on one metric are evaluated when they are read.

Upstream rejects an alarm that has `Metrics`, and with it the whole stack, and it evaluates no alarm
on a metric that a function prints in its log. Here DescribeAlarms first evaluates each alarm on one
metric, from the log lines in the embedded metric format and from the metrics that upstream records.

The state is that of the periods that end now. AWS evaluates every minute, and waits some minutes
for late data. Alarms on metric math, and on metrics that nothing here records, have the state
`INSUFFICIENT_DATA`, unless SetAlarmState sets another.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ministack.services import cloudwatch, cloudwatch_logs
from ministack.services.cloudformation import provisioners

from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

RECORDED_OF_AWS = {
    ("AWS/Lambda", name) for name in ("Invocations", "Errors", "Throttles", "Duration")
}
"""What upstream records of AWS's own metrics."""
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
NOT_EVALUATED = "The local stack does not evaluate this alarm: "


class Point(NamedTuple):
    """One value of a metric; ``at`` is in epoch seconds."""

    at: float
    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float


def printed(since: float, names: set[str]) -> Iterator[Point]:
    """What functions have printed of these metrics in the embedded metric format."""
    named = re.compile("|".join(f'"{re.escape(name)}"' for name in sorted(names)))
    for group in list(cloudwatch_logs._log_groups.values()):
        for stream in list(group.get("streams", {}).values()):
            for event in list(stream.get("events", [])):
                line = event["message"]
                if event["timestamp"] >= since * 1000 and '"_aws"' in line and named.search(line):
                    yield from points_of(line, event["timestamp"] / 1000)


def points_of(line: str, at: float) -> Iterator[Point]:
    """The values in a log line, none if it is not in the embedded metric format."""
    try:
        members = json.loads(line)
        for directive in members["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                values = members[metric["Name"]]
                for names in directive["Dimensions"]:
                    dimensions = {name: str(members[name]) for name in names}
                    for value in values if isinstance(values, list) else [values]:
                        yield Point(at, directive["Namespace"], metric["Name"], dimensions, value)
    except (ValueError, LookupError, TypeError):
        return


def recorded(since: float) -> Iterator[Point]:
    """What upstream has recorded itself. AWS/Lambda has each value also without a dimension."""
    for (namespace, name, _), points in list(cloudwatch._metrics.items()):
        for point in list(points):
            if point["Timestamp"] >= since and "Value" in point:
                at, value = point["Timestamp"], point["Value"]
                yield Point(at, namespace, name, point["Dimensions"], value)
                if namespace == "AWS/Lambda":
                    yield Point(at, namespace, name, {}, value)


def why_not(alarm: Mapping[str, Any]) -> str:
    """Why an alarm is not evaluated here; empty if it is."""
    if "Metrics" in alarm:
        return "it is on metric math."
    metric = (alarm["Namespace"], alarm["MetricName"])
    if metric[0].startswith("AWS/") and metric not in RECORDED_OF_AWS:
        return f"nothing here records {metric[0]} {metric[1]}."
    if alarm["ComparisonOperator"] not in COMPARISONS or alarm.get("ExtendedStatistic"):
        return "its statistic or its comparison is not implemented."
    return ""


def state_of(alarm: Mapping[str, Any], points: list[Point], now: float) -> tuple[str, str]:
    """The state of an alarm on one metric, and its reason."""
    period, periods = int(alarm["Period"]), int(alarm["EvaluationPeriods"])
    wanted = int(alarm.get("DatapointsToAlarm") or periods)
    dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}
    found: list[list[float]] = [[] for _ in range(periods)]
    for point in points:
        age = int((now - point.at) // period)
        if 0 <= age < periods and (point.namespace, point.name, point.dimensions) == (
            alarm["Namespace"],
            alarm["MetricName"],
            dimensions,
        ):
            found[age].append(point.value)
    breaching = [
        _breaches(alarm, values, now - age * period) for age, values in enumerate(found, start=1)
    ]
    values = [_statistic(alarm["Statistic"], one) for one in found if one]
    said = (
        f"{breaching.count(True)} of the last {periods} datapoints {values} breach the threshold"
        f" ({float(alarm['Threshold'])}): {alarm['ComparisonOperator']}."
    )
    if breaching.count(True) >= wanted:
        return "ALARM", f"Threshold Crossed: {said}"
    if breaching.count(False) > periods - wanted:
        return "OK", f"Threshold not crossed: {said}"
    return "INSUFFICIENT_DATA", f"Insufficient Data: {said}"


def _breaches(alarm: Mapping[str, Any], values: list[float], began: float) -> bool | None:
    """Whether the values of a period breach the threshold; None if that is not known."""
    if not values:
        missing = {"breaching": True, "notBreaching": False}.get(alarm["TreatMissingData"])
        # Before the alarm existed, nothing was missing.
        return None if missing and began < alarm["AlarmConfigurationUpdatedTimestamp"] else missing
    compared = COMPARISONS[alarm["ComparisonOperator"]]
    return compared(_statistic(alarm["Statistic"], values), float(alarm["Threshold"]))


def _statistic(name: str, values: list[float]) -> float:
    return {
        "Sum": sum(values),
        "SampleCount": len(values),
        "Average": sum(values) / len(values),
        "Minimum": min(values),
        "Maximum": max(values),
    }[name]


def evaluate_all(now: float) -> None:
    """Give each alarm on one metric its present state."""
    alarms = list(cloudwatch._alarms.values())
    evaluated = [alarm for alarm in alarms if not why_not(alarm)]
    longest = max(
        (int(one["Period"]) * int(one["EvaluationPeriods"]) for one in evaluated), default=0
    )
    names = {one["MetricName"] for one in evaluated}
    points = [*printed(now - longest, names), *recorded(now - longest)] if evaluated else []
    for alarm in alarms:
        if reason := why_not(alarm):
            if alarm["StateValue"] == "INSUFFICIENT_DATA":
                alarm["StateReason"] = NOT_EVALUATED + reason
            continue
        state, alarm["StateReason"] = state_of(alarm, points, now)
        if state != alarm["StateValue"]:
            alarm["StateValue"] = state
            alarm["StateUpdatedTimestamp"] = alarm["StateTransitionedTimestamp"] = int(now)
            cloudwatch._evaluate_parent_alarms(alarm)


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings

    @corrects(provisioners, "_cw_metric_alarm_record", digest="4565fcede1eb")
    def alarm_record(
        original: Callable[[str, dict[str, Any]], dict[str, Any]],
        name: str,
        properties: dict[str, Any],
    ) -> dict[str, Any]:
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        stand_in = {"MetricName": "math", "Namespace": "math", **properties}
        del stand_in["Metrics"]
        record = {**original(name, stand_in), "Metrics": metrics}
        for member in ("MetricName", "Namespace", "Statistic", "Period"):
            del record[member]
        return record

    @corrects(cloudwatch, "_describe_alarms", digest="ab8f092ff9ae")
    def describe_alarms(original: Callable[..., Any], *request: Any) -> Any:
        evaluate_all(time.time())
        return original(*request)
