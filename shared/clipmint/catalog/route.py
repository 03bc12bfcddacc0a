"""A route of a model: a provider, its endpoint, and the body of a request as data.

A route may state no body if its endpoint is one that this code has always known
(`clipmint.catalog.known_endpoints`): the models and jobs of earlier versions have such routes.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from clipmint.catalog import templates
from clipmint.catalog.list_prices import ListPrice
from clipmint.catalog.templates import Unfit, Value
from clipmint.schemas import StrictSchema

Kind: TypeAlias = Literal["text", "image", "frames"]
"""What a generation starts from: text alone, a first image, or a first and a last image."""

Endpoint = Annotated[str, StringConstraints(min_length=1, max_length=128)]
MAX_IGNORED = 32
Names = Annotated[
    list[Annotated[str, StringConstraints(max_length=32)]], Field(max_length=MAX_IGNORED)
]
Members = dict[str, JsonValue]

SAFE_ENDPOINT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*(/[A-Za-z0-9_][A-Za-z0-9_.:@-]*)*$")
"""An endpoint becomes a part of a URL that carries the owner's key."""

SafeEndpoint = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=SAFE_ENDPOINT.pattern)
]


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_day)]

MAX_BODY_CHARACTERS = 8_000
"""Of all bodies of a route as JSON: a job keeps the body that it was ordered with."""


def kind_of(image_url: str | None, last_image_url: str | None) -> Kind:
    """What an order with these images starts from."""
    if last_image_url is not None:
        return "frames"
    return "text" if image_url is None else "image"


class _Part(StrictSchema):
    ignores: Names = Field(
        default_factory=list,
        exclude_if=lambda names: not names,
        description="Parameters that this body may leave unused",
    )


class Case(_Part):
    """How the request differs for orders that start from one kind of input. ``body`` has the
    members that are added to the route's or replace them."""

    endpoint: SafeEndpoint | None = Field(None, exclude_if=lambda endpoint: endpoint is None)
    body: Members = Field(default_factory=dict, exclude_if=lambda body: not body)


class Route(_Part):
    """A provider's endpoint that runs a model's generations.

    ``body`` is a template, see `clipmint.catalog.templates`. ``cases`` are the kinds of input that
    the route takes, each with the endpoint and the members that only it has. Without cases, the
    endpoint and the body are the same for all. ``list_price`` is what the provider asks for a
    generation, for the owner's records where the provider reports no cost. From the day
    ``retires_on`` (UTC) the route takes no new orders; jobs that have it continue.
    """

    provider: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    endpoint: Endpoint
    body: Members | None = Field(None, exclude_if=lambda body: body is None)
    cases: dict[Kind, Case] = Field(default_factory=dict, exclude_if=lambda cases: not cases)
    list_price: ListPrice | None = Field(None, exclude_if=lambda price: price is None)
    retires_on: Day | None = Field(None, exclude_if=lambda day: day is None)

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if self.body is None and self.cases:
            raise ValueError("cases: a route with cases needs a body, which may be empty")
        wrong = [
            *templates.problems(self.body or {}),
            *(
                f"cases.{kind}.{problem}"
                for kind, case in self.cases.items()
                for problem in templates.problems(case.body)
            ),
            *(
                f"cases.{kind}.ignores: more than {MAX_IGNORED} with those of the route"
                for kind, case in self.cases.items()
                if len(self._ignored(case)) > MAX_IGNORED
            ),
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        if self.body is not None and len(self.model_dump_json()) > MAX_BODY_CHARACTERS:
            raise ValueError(f"body: more than {MAX_BODY_CHARACTERS} characters of JSON")
        return self

    def is_retired(self, today: str) -> bool:
        """Whether it takes no new orders on this day (``2026-11-29``)."""
        return self.retires_on is not None and self.retires_on <= today

    def only(self, kind: Kind) -> "Route":
        """The route for orders of one kind, as a job keeps it: without the cases of the others, and
        without the notes of its list price.

        A route without a body of its own stays as it is.

        Raises
        ------
        Unfit
            The route takes no such orders.
        """
        price = self.list_price and self.list_price.without_notes()
        if not self.cases:
            kept = {"list_price": price, "retires_on": None}
            return self.model_copy(update=kept) if price or self.retires_on else self
        case = self.cases.get(kind)
        if case is None:
            takes = ", ".join(self.cases)
            raise Unfit(f"{self.endpoint} takes {takes}, not {kind}", by_user=True)
        return Route(
            provider=self.provider,
            endpoint=case.endpoint or self.endpoint,
            body={**(self.body or {}), **case.body},
            ignores=self._ignored(case),
            list_price=price,
        )

    def for_settings(self, settings: Mapping[str, Value]) -> "Route":
        """The route for orders with these settings, without what only others need: DynamoDB bills
        every write of a job by the job's size. The request and the list price are the same."""
        price = self.list_price and self.list_price.for_settings(settings)
        body = self.body and templates.for_settings(self.body, settings)
        return self.model_copy(update={"body": body, "list_price": price})

    def _ignored(self, case: Case) -> list[str]:
        return [*dict.fromkeys([*self.ignores, *case.ignores])]
