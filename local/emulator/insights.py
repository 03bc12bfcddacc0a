"""CloudWatch Logs Insights: queries over the fields of JSON log lines.

Upstream ignores what it does not understand: a filter on a field of ours keeps every line, and
`stats` counts nothing. Here a query has the commands `fields`, `filter`, `stats`, `sort` and
`limit`, and any other text is a malformed query, as on AWS. Members of a JSON line are fields, with
dots for members of members. As on AWS, a result has no field that its line does not have.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.services import cloudwatch_logs

from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

Record = Mapping[str, Any]
Condition = Callable[[Record], bool]
MOST_ROWS = 10_000
TOKEN = re.compile(
    r"""\s*(?:(?P<regex>/(?:\\.|[^/])+/)|"(?P<double>[^"]*)"|'(?P<single>[^']*)'"""
    r"""|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<word>@?[A-Za-z_][\w.]*|`[^`]+`)"""
    r"""|(?P<sign>>=|<=|!=|[=<>()\[\],|*]))"""
)
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}


class MalformedQueryError(ValueError):
    """The query is not one that is understood."""


class Query:
    """A query, parsed. Raises `MalformedQueryError`."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._fields: list[str] = ["@timestamp", "@message"]
        self._groups: list[str] | None = None
        self._counts: list[tuple[str, str]] = []
        self._filters: list[Condition] = []
        self._sorts: list[tuple[str, bool]] = []
        self._limit = MOST_ROWS
        self._command()
        while self._accept("|"):
            self._command()
        if self._tokens:
            raise MalformedQueryError(f"unexpected {self._tokens[0][1]!r}")

    def rows(self, records: list[Record]) -> list[dict[str, Any]]:
        """The results of this query over records, each with the fields of one row."""
        kept = [record for record in records if all(wanted(record) for wanted in self._filters)]
        rows = (
            [{name: one[name] for name in [*self._fields, "@ptr"] if name in one} for one in kept]
            if self._groups is None
            else self._counted(kept, self._groups)
        )
        for field, descending in reversed(self._sorts):
            source = kept if self._groups is None else rows
            order = sorted(
                range(len(rows)), key=lambda i: _rank(source[i].get(field)), reverse=descending
            )
            rows, kept = [rows[i] for i in order], [source[i] for i in order]
        return rows[: self._limit]

    def _counted(self, records: list[Record], groups: list[str]) -> list[dict[str, Any]]:
        counted: dict[tuple[str, ...], dict[str, Any]] = {}
        for record in records:
            known = {name: record[name] for name in groups if name in record}
            row = counted.setdefault(tuple(str(known.get(name)) for name in groups), known)
            for name, of in self._counts:
                row[name] = row.get(name, 0) + (not of or of in record)
        return list(counted.values())

    def _command(self) -> None:
        command = self._word().lower()
        if command in {"fields", "display"}:
            self._fields = self._words()
        elif command == "filter":
            self._filters.append(self._either())
        elif command == "stats":
            self._counts = [self._count()]
            while self._accept(","):
                self._counts.append(self._count())
            self._groups = self._words() if self._accept("by") else []
        elif command == "sort":
            field = self._word()
            descending = self._accept("desc")
            self._accept("asc")
            self._sorts.append((field, descending))
        elif command == "limit":
            self._limit = int(self._literal())
        else:
            raise MalformedQueryError(f"unknown command {command!r}")

    def _count(self) -> tuple[str, str]:
        """The name of a count, and the field that is counted (empty: all rows)."""
        if self._word().lower() != "count":
            raise MalformedQueryError("only count is implemented")
        self._expect("(")
        of = "" if self._accept("*") or self._next_is(")") else self._word()
        self._expect(")")
        shown = f"count({of or '*'})" if of else "count()"
        return (self._word() if self._accept("as") else shown), of

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return lambda record: any(part(record) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._accept("and"):
            parts.append(self._one())
        return lambda record: all(part(record) for part in parts)

    def _one(self) -> Condition:
        if self._accept("("):
            inner = self._either()
            self._expect(")")
            return inner
        if self._accept("not"):
            negated = self._one()
            return lambda record: not negated(record)
        field = self._word()
        if field.lower() == "ispresent":
            self._expect("(")
            wanted = self._word()
            self._expect(")")
            return lambda record: wanted in record
        if self._accept("in"):
            self._expect("[")
            values = [self._literal()]
            while self._accept(","):
                values.append(self._literal())
            self._expect("]")
            return lambda record: field in record and str(record[field]) in map(str, values)
        if self._accept("like"):
            kind, text = self._next()
            pattern = re.compile(text[1:-1] if kind == "regex" else re.escape(text))
            return lambda record: pattern.search(str(record.get(field, ""))) is not None
        kind, sign = self._next()
        if sign not in COMPARISONS or kind != "sign":
            raise MalformedQueryError(f"no comparison: {sign!r}")
        value = self._literal()
        return lambda record: field in record and _compared(record[field], sign, value)

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise MalformedQueryError("the query ends too early")
        return self._tokens.pop(0)

    def _next_is(self, text: str) -> bool:
        return bool(self._tokens) and self._tokens[0][1].lower() == text

    def _accept(self, text: str) -> bool:
        if self._next_is(text) and self._tokens[0][0] in {"word", "sign"}:
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise MalformedQueryError(f"{text!r} is missing")

    def _word(self) -> str:
        kind, text = self._next()
        if kind != "word":
            raise MalformedQueryError(f"not a name: {text!r}")
        return text

    def _words(self) -> list[str]:
        words = [self._word()]
        while self._accept(","):
            words.append(self._word())
        return words

    def _literal(self) -> str:
        kind, text = self._next()
        if kind not in {"double", "single", "number"}:
            raise MalformedQueryError(f"not a value: {text!r}")
        return text


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position, text = 0, text.strip()
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise MalformedQueryError(f"not understood: {text[position : position + 20]!r}")
        position = found.end()
        yield found.lastgroup, found[found.lastgroup].strip("`")


def _compared(found: Any, sign: str, value: str) -> bool:
    try:
        return COMPARISONS[sign](float(found), float(value))
    except (TypeError, ValueError):
        return COMPARISONS[sign](_text(found), value)


def _rank(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (0, 0, "")
    return (1, value, "") if isinstance(value, int | float) else (2, 0, str(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def fields_of(line: str) -> dict[str, Any]:
    """The fields that Insights discovers in a line: the members of its JSON, if it is JSON."""
    try:
        document = json.loads(line)
    except ValueError:
        return {}
    return dict(_flat("", document)) if isinstance(document, dict) else {}


def _flat(before: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{before}.{name}" if before else name, inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(f"{before}.{index}", inner)
    elif value is not None:
        yield before, value


def records_of(group: str, stored: Mapping[str, Any]) -> Iterator[Record]:
    """The log events of a group as records with all their fields."""
    for stream, about in stored.get("streams", {}).items():
        for event in about.get("events", []):
            at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            yield fields_of(event["message"]) | {
                "@timestamp": f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}",
                "@message": event["message"],
                "@logStream": stream,
                "@log": f"000000000000:{group}",
                "@ptr": event.get("eventId", f"{stream}-{event['timestamp']}"),
            }


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings

    @corrects(cloudwatch_logs, "_start_query", digest="41514449fa97")
    def start_query(original: Callable[[Any], Any], data: dict[str, Any]) -> Any:
        response = original(data)
        if response[0] != 200:
            return response  # no group, or one that does not exist
        try:
            query = Query(data["queryString"])
        except MalformedQueryError as error:
            return cloudwatch_logs.error_response_json("MalformedQueryException", str(error), 400)
        began, until = data["startTime"], data["endTime"]
        records = [
            record
            for group in cloudwatch_logs._resolve_query_log_groups(data)
            for record in records_of(group, cloudwatch_logs._log_groups[group])
            if began <= int(_epoch(record)) <= until  # the end of the range is inclusive
        ]
        rows = query.rows(sorted(records, key=_epoch))
        query_id = json.loads(response[2])["queryId"]
        cloudwatch_logs._queries[query_id]["results"] = [
            [{"field": name, "value": _text(value)} for name, value in row.items()] for row in rows
        ]
        return response


def _epoch(record: Record) -> float:
    at = datetime.strptime(record["@timestamp"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    return at.timestamp()
