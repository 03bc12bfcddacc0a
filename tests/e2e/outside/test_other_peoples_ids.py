"""Another user's ids are treated as unknown, wherever the document has room for an id.

The places are found in docs/openapi.json: a new route with an id is tested here without a change,
and a new kind of id fails until this test names its owner.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.deploy import ROOT
from local.running import RunningStack
from tests.support.backstage import ledger_items, scan
from tests.support.catalog import PRICE
from tests.support.customer import Customer

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
OF_ALL_USERS = {"model_id", "image_model_id"}
"""Ids in the document that belong to no user."""
NAMES = ("job_id", "project_id", "scene_id")
ID = re.compile(r"(_id|Id)s?$")


@dataclass(frozen=True)
class Operation:
    """An operation of the document, with its parameters."""

    method: str
    path: str
    parameters: Mapping[tuple[str, str], Any]
    body: Mapping[str, Any] | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def names(self, where: str) -> list[str]:
        """The names of its parameters in the path, or in the query."""
        return [name for place, name in self.parameters if place == where]

    def send(
        self,
        http: httpx.Client,
        ids: Mapping[str, str],
        *,
        query: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """The request as documented: its example of a body, and a unique key."""
        body = None
        if self.body is not None:
            body = {**self.body.get("examples", [{}])[0], **(members or {})}
        keyed = ("header", "idempotency-key") in self.parameters
        return http.request(
            self.method,
            self.path.format(**ids),
            params=query,
            headers={"Idempotency-Key": uuid.uuid4().hex} if keyed else {},
            json=body,
        )


def operations() -> Iterator[Operation]:
    schemas = DOCUMENT["components"]["schemas"]
    for path, methods in DOCUMENT["paths"].items():
        for method, described in methods.items():
            asked = described.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = asked.get("schema", {}).get("$ref", "").rpartition("/")[2]
            parameters = {
                (p["in"], p["name"]): p["schema"] for p in described.get("parameters", [])
            }
            yield Operation(method.upper(), path, parameters, schemas[name] if name else None)


USERS = [operation for operation in operations() if "/admin/" not in operation.path]
IN_PATHS = [one for one in USERS if set(one.names("path")) - OF_ALL_USERS]
IN_QUERIES = [
    (one, name)
    for one in USERS
    for name in one.names("query")
    if name in {"project_id", "scene_id", "cursor", "after"}
]
OF_ONE = [(one, name) for one in USERS for name in one.names("query") if name == "job_id"]
"""Operations about one job, which is named in the query."""
IN_BODIES = [
    (one, name)
    for one in USERS
    if one.body
    for name in one.body.get("properties", {})
    if ID.search(name) and name not in {*OF_ALL_USERS, "theme_id", "user_id"}
]


@pytest.fixture
def things(stack: RunningStack, ada: Customer) -> dict[str, str]:
    """What Ada has: a project with a scene, and a finished video."""
    made = ada.http.post("/v1/projects", json={"scenes": [{"visual_prompt": ada.word}]}).json()
    return {
        "job_id": ada.finish()["job_id"],
        "project_id": made["project_id"],
        "scene_id": made["scenes"][0]["scene_id"],
    }


@pytest.fixture
def eve(new_customer: Callable[[int], Customer]) -> Customer:
    return new_customer(10 * PRICE)


def belongings(stack: RunningStack, customer: Customer) -> list[Any]:
    """Every record of a user."""
    tables = [scan(stack, table) for table in ("JobsTable", "ProjectsTable")]
    own = [item for table in tables for item in table if item["user_id"] == customer.user_id]
    return [*sorted(own, key=str), *ledger_items(stack, customer.user_id)]


def status_and_body(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, {k: v for k, v in answer.json().items() if k != "timestamp"}


def test_all_ids_in_the_document_are_tested() -> None:
    # Three kinds of ids; a fourth must be added here.
    named = {name for one in USERS for name in one.names("path")}
    assert named == {*NAMES, "model_id"}
    assert len(IN_PATHS) >= 14
    assert {name for _, name in IN_QUERIES} == {"project_id", "scene_id", "cursor", "after"}
    assert {name for _, name in OF_ONE} == {"job_id"}
    assert {name for _, name in IN_BODIES} == {
        *("project_id", "projectId", "scene_id", "scene_ids", "job_id")
    }


def test_another_users_id_in_a_path_is_treated_as_unknown(
    stack: RunningStack, ada: Customer, eve: Customer, things: dict[str, str]
) -> None:
    before = belongings(stack, ada), belongings(stack, eve)
    for operation in IN_PATHS:
        nothing = {name: str(uuid.uuid4()) for name in NAMES}
        answer = operation.send(eve.http, things)
        assert answer.status_code == 404, f"{operation}: {answer.text}"
        # Not even the messages differ.
        assert status_and_body(answer) == status_and_body(operation.send(eve.http, nothing)), str(
            operation
        )
    assert (belongings(stack, ada), belongings(stack, eve)) == before
    # To their owner they are all there; what deletes comes last, and the innermost first.
    for operation in sorted(
        IN_PATHS, key=lambda one: (one.method == "DELETE", -len(one.names("path")))
    ):
        answer = operation.send(ada.http, things)
        assert answer.status_code != 404, f"{operation}: {answer.text}"


def test_another_users_id_in_a_query_finds_nothing(
    stack: RunningStack, ada: Customer, eve: Customer, things: dict[str, str]
) -> None:
    another = ada.finish()["job_id"]
    assert ada.http.post("/v1/projects", json={}).status_code == 201
    for operation, name in IN_QUERIES:
        value = things["job_id"] if name == "after" else things.get(name)
        if name == "cursor":
            page = operation.send(ada.http, things, query={"limit": "1"}).json()
            value = page["cursor"]
            assert value, f"{operation} has one page only"
        assert value
        answer = operation.send(eve.http, things, query={name: value})
        expected = {404} if name == "after" else {200, 400}
        assert answer.status_code in expected, f"{operation}: {answer.text}"
        hers = [*things.values(), another, ada.user_id, ada.word]
        assert [word for word in hers if word in answer.text] == [], f"{operation}: {answer.text}"


def test_another_users_id_as_a_querys_subject_is_treated_as_unknown(
    ada: Customer, eve: Customer, things: dict[str, str]
) -> None:
    for operation, name in OF_ONE:
        answer = operation.send(eve.http, things, query={name: things[name]})
        assert answer.status_code == 404, f"{operation}: {answer.text}"
        unknown = operation.send(eve.http, things, query={name: str(uuid.uuid4())})
        assert status_and_body(answer) == status_and_body(unknown), str(operation)


def test_another_users_id_in_a_body_is_treated_as_unknown(
    stack: RunningStack, ada: Customer, eve: Customer, things: dict[str, str]
) -> None:
    mine = eve.http.post("/v1/projects", json={"scenes": [{"visual_prompt": "mine"}]}).json()
    hers = {**things, "project_id": mine["project_id"], "scene_id": mine["scenes"][0]["scene_id"]}
    before = belongings(stack, ada), belongings(stack, eve)
    for operation, name in IN_BODIES:
        kind = name.replace("Id", "_id").removesuffix("s")
        theirs, nobodys = things[kind], str(uuid.uuid4())

        def ask(value: str, operation: Operation = operation, name: str = name) -> httpx.Response:
            sent: Any = [value] if name.endswith("s") else value
            return operation.send(eve.http, hers, members={name: sent})

        answer = ask(theirs)
        assert answer.status_code == 404, f"{operation} {name}: {answer.text}"
        text = json.dumps(status_and_body(ask(nobodys))).replace(nobodys, theirs)
        assert json.dumps(status_and_body(answer)) == text, f"{operation} {name}"
    assert (belongings(stack, ada), belongings(stack, eve)) == before
