"""The route with which the owner reads usage: what jobs cost, earned, and how often they failed."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BeforeValidator

from clipmint.api import http_api
from clipmint.api.usage_responses import Usage, UsageFigures, UsageGroup
from clipmint.errors import InvalidRequest, ScopeRequired
from clipmint.settings import UsageSettings
from clipmint.usage import reports
from clipmint.usage.reports import Grouping

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


def _day(value: Any) -> Any:
    """A date as it is written here. Without this a number would be one, too."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII) is None:
        raise ValueError("a date such as 2026-11-28")
    return value


Day = Annotated[date, BeforeValidator(_day)]


@router.get(
    "/v1/admin/usage",
    summary="What jobs earned, and how often they failed",
    description=(
        "Of the jobs that ended on these days, in UTC, both included; at most 92 days. A job counts"
        " on the day on which it ended, about a minute later. An orphan counts on the day on which"
        " it was found."
    ),
    responses=http_api.answers(Usage, InvalidRequest, ScopeRequired),
)
def get_usage(
    first: Annotated[
        Day, Query(alias="from", description="The first day", examples=["2026-03-01"])
    ],
    last: Annotated[Day, Query(alias="to", description="The last day", examples=["2026-03-07"])],
    group_by: Annotated[
        Grouping, Query(description="What the jobs of a group have in common")
    ] = Grouping.DAY,
) -> Usage:
    return answer(first, last, group_by)


def answer(first: date, last: date, group_by: Grouping) -> Usage:
    """The usage of these days. Raises `InvalidRequest`."""
    value = UsageSettings.read().credit_usd
    found = reports.report(first, last, group_by)
    return Usage(
        first=first,
        last=last,
        group_by=group_by,
        groups=[UsageGroup.of(each, value, key=key) for key, each in found.groups.items()],
        groups_left_out=found.left_out,
        totals=UsageFigures.of(found.totals, value),
    )
