"""Which side an error response blames: the caller or the service."""

from __future__ import annotations

from pydantic import BaseModel

from clipmint.api import http_api
from tests.support.gateway import Context, answer_of, event


class Answer(BaseModel):
    number: int


def test_an_answer_that_is_not_as_documented_is_our_fault_and_not_the_callers() -> None:
    app = http_api.resolver()

    @app.get("/v1/credits")
    def broken() -> Answer:
        return {"number": "many"}  # type: ignore[return-value]

    answer = answer_of(http_api.resolve(app, event("GET", "/v1/credits"), Context()))
    assert (answer.status, answer.code) == (500, "INTERNAL")
    assert "many" not in str(answer.body)


def test_a_parameter_that_is_not_as_documented_is_the_callers_fault() -> None:
    app = http_api.resolver()

    @app.get("/v1/credits")
    def count(limit: int) -> Answer:
        return Answer(number=limit)

    asked = event("GET", "/v1/credits", query={"limit": "many"})
    answer = answer_of(http_api.resolve(app, asked, Context()))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "limit" in answer.body["details"]
