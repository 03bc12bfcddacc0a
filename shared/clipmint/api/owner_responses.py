"""The response bodies of the owner's calls about models."""

import dataclasses
from typing import TYPE_CHECKING, Literal, Self

from pydantic import JsonValue

from clipmint.api.timestamps import Timestamp
from clipmint.catalog.model import Model, Settings
from clipmint.schemas import Schema

if TYPE_CHECKING:
    from clipmint.catalog.model_changes import Version
    from clipmint.orders.model_check import Checked


class ModelVersion(Schema):
    """A model as it was after one change. ``changed_by`` is the subject of the token; null for a
    model that a deployment added."""

    version: int
    changed_by: str | None
    changed_at: Timestamp | None
    model: Model

    @classmethod
    def of(cls, version: "Version") -> Self:
        return cls.model_validate(version, from_attributes=True)


class OwnedModel(ModelVersion):
    """A model as it is now, and its earlier versions, newest first: ten, or fewer if large."""

    history: list[ModelVersion]

    @classmethod
    def of_versions(cls, versions: "list[Version]") -> "OwnedModel":
        now, *before = versions
        return cls(
            **ModelVersion.of(now).model_dump(exclude={"model"}),
            model=now.model,
            history=[ModelVersion.of(version) for version in before],
        )


class CheckedRequest(Schema):
    """What a route would send; ``problem`` if it cannot."""

    provider: str
    endpoint: str
    body: dict[str, JsonValue] | None
    problem: str | None


class CheckedOrder(Schema):
    """One kind of order, such as ``preset draft`` from ``text``, its price, and its requests."""

    name: str
    kind: Literal["text", "image", "frames"]
    settings: Settings
    credits: int
    requests: list[CheckedRequest]


class CheckedModel(Schema):
    """``problems`` is empty if the entry can be put."""

    problems: list[str]
    orders: list[CheckedOrder]

    @classmethod
    def of(cls, checked: "Checked") -> "CheckedModel":
        return cls(
            problems=list(checked.problems),
            orders=[
                CheckedOrder(
                    name=sample.name,
                    kind=sample.kind,
                    settings=sample.settings,
                    credits=sample.credits,
                    requests=[
                        CheckedRequest.model_validate(dataclasses.asdict(sent))
                        for sent in sample.requests
                    ],
                )
                for sample in checked.samples
            ],
        )
