"""The CloudWatch alarms of this stack, for the owner: read from CloudWatch at each request, never
kept."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import aws, clock
from clipmint.api.timestamps import Timestamp
from clipmint.errors import try_again
from clipmint.schemas import Schema
from clipmint.settings import StackSettings
from clipmint.telemetry import logger

State = Literal["alarm", "insufficient_data", "ok"]

_ORDER: tuple[State, ...] = ("alarm", "insufficient_data", "ok")
_KINDS: Mapping[str, Literal["metric", "composite"]] = {
    "MetricAlarms": "metric",
    "CompositeAlarms": "composite",
}
_PAGE = 100
"""The most that CloudWatch returns at once."""
_RUNBOOK = re.compile(r"\s*\bRunbook: (?P<entry>\w+)\s*$")
"""How the descriptions in the template end."""
_RETRY_SECONDS = 2


class RunbookEntry(Schema):
    """The runbook's entry for an alarm. ``page``: with the anchor of the entry."""

    entry: str
    page: str


class Alarm(Schema):
    """``name``: as in the template. ``full_name``: as in CloudWatch. ``since``: when it got its
    state. ``reason``: CloudWatch's own words."""

    name: str
    full_name: str
    kind: Literal["metric", "composite"]
    description: str
    state: State
    since: Timestamp | None
    reason: str | None
    runbook: RunbookEntry | None

    @classmethod
    def of(
        cls, name: str, kind: Literal["metric", "composite"], described: Mapping[str, Any]
    ) -> Self:
        """An alarm from CloudWatch's description of it."""
        # The second changes also without a change of the state.
        since = described.get("StateTransitionedTimestamp") or described.get(
            "StateUpdatedTimestamp"
        )
        description = described.get("AlarmDescription") or ""
        runbook = _RUNBOOK.search(description)
        return cls(
            name=name,
            full_name=described["AlarmName"],
            kind=kind,
            description=_RUNBOOK.sub("", description),
            state=described["StateValue"].lower(),
            since=clock.iso(since) if since else None,
            reason=described.get("StateReason") or None,
            runbook=_entry(runbook["entry"]) if runbook else None,
        )


class AlarmList(Schema):
    """Alarms that are on come first, then those without data; each by name."""

    alarms: list[Alarm]


def read() -> AlarmList:
    """All alarms of this stack, metric alarms and composite ones.

    Raises `TemporarilyUnavailable` if CloudWatch does not answer, throttles or refuses the call.
    """
    try:
        found = list(_alarms_of(StackSettings.read().stack_name))
    except (BotoCoreError, ClientError) as error:
        cause = type(error).__name__
        if isinstance(error, ClientError):
            cause = error.response.get("Error", {}).get("Code", cause)
        logger.warning("alarms could not be read", extra={"cause": cause})
        raise try_again(
            "The alarms cannot be read now",
            details=f"CloudWatch: {cause}. What their states are is not known",
            seconds=_RETRY_SECONDS,
        ) from error
    return AlarmList(alarms=sorted(found, key=lambda one: (_ORDER.index(one.state), one.name)))


def _alarms_of(stack: str) -> Iterator[Alarm]:
    # CloudFormation names them stack-LogicalId-SUFFIX. A prefix alone would also find those of the
    # stack clipmint-test for clipmint.
    own = re.compile(rf"{re.escape(stack)}-([A-Za-z0-9]+)-[A-Z0-9]{{8,}}")
    pages = aws.cloudwatch().get_paginator("describe_alarms")
    for page in pages.paginate(
        AlarmNamePrefix=f"{stack}-",
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        PaginationConfig={"PageSize": _PAGE},
    ):
        for member, kind in _KINDS.items():
            for described in page.get(member, []):
                if named := own.fullmatch(described["AlarmName"]):
                    yield Alarm.of(named[1], kind, described)


def _entry(title: str) -> RunbookEntry:
    return RunbookEntry(entry=title, page=f"docs/runbook.md#{title.lower()}")
