"""What schemathesis must check in every response, in addition to its own checks.

It loads this file by its path, in its own process.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from pathlib import Path
from typing import Any, TextIO

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response

INSIDES = re.compile(
    r"Traceback|File \"|\.py\b|Error:|Exception|botocore|pydantic|boto3|dynamodb|arn:aws|/var/task"
    r"|errors\.pydantic\.dev|ConditionalCheckFailed|ValidationError",
    re.IGNORECASE,
)
"""Internal names that no response may contain."""

BEYOND_A_SCHEMA = re.compile(
    # An integer with a fraction of zero is an integer to a JSON schema, and not to us.
    r"^[\w.]+: Input should be a valid integer$"
    # What the parts of a model require of each other.
    r"|^(body|(parameters|routes|price)[\w.]*): Value error, "
    # A schema counts characters, and its patterns cannot name all invisible ones.
    r"|^[\w.]+: Value error, must contain a visible character$"
    r"|^user_id: Value error, at most 1024 bytes$"
)
ANSWERS = Path(os.environ["ANSWERS"])
"""A line per answer, of status and operation."""


_requests = itertools.count()


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Give most requests that would start something a unique key: generated keys repeat."""
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        number = next(_requests)
        if "idempotency-key" in case.headers and number % 4:
            case.headers["idempotency-key"] = f"request-{number}"


@schemathesis.check
def is_written_down(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Lets the test see how far the requests came."""
    _answers().write(f"{response.status_code} {case.operation.label}\n")


@functools.cache
def _answers() -> TextIO:
    """The file, which is opened once: that takes as long as a check of a response."""
    return ANSWERS.open("a", encoding="utf-8", buffering=1)


@schemathesis.check
def nothing_of_the_insides(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Neither body nor headers of an error reveal its internal cause."""
    if response.status_code < 400:
        return
    answered = [response.text, *(value for values in response.headers.values() for value in values)]
    found = INSIDES.search("\n".join(answered))
    # A response may repeat what was sent, as in: there is no such model.
    if found and found[0] not in repr((case.body, case.path_parameters, case.query)):
        raise AssertionError(f"an error names {found[0]!r}")


@schemathesis.check
def what_follows_the_document_is_valid(
    ctx: CheckContext, response: Response, case: Case[Any]
) -> None:
    """A request that follows the document may be refused for its meaning, never for its form."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if response.status_code != 400:
        return
    answered = response.json()
    if answered["error"] != "The request is not valid":
        return
    problems = answered["details"].split("; ")
    if not all(BEYOND_A_SCHEMA.match(problem) for problem in problems):
        raise AssertionError(f"the document allows it, we do not: {answered['details']}")
