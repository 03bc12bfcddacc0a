"""The bodies of the requests that grant credits, take them back and correct them."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StringConstraints,
    model_validator,
)

from clipmint import clock
from clipmint.credits.account import MAX_USER_BYTES
from clipmint.credits.account_changes import GOODWILL
from clipmint.lots import CreditKind
from clipmint.schemas import StrictSchema

MOST_CREDITS = 100_000_000
"""Credits of one grant, clawback or adjustment."""


def _short_enough(user_id: str) -> str:
    # Every user who can sign in can be granted credits: the limit is that of a token's subject.
    if len(user_id.encode("utf-8", "surrogatepass")) > MAX_USER_BYTES:
        raise ValueError(f"at most {MAX_USER_BYTES} bytes")
    return user_id


UserId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_USER_BYTES),
    AfterValidator(_short_enough),
    Field(description="As in the subject of the user's token"),
]
Amount = Annotated[int, Field(ge=1, le=MOST_CREDITS, description="Whole credits")]
Reference = Annotated[
    str,
    StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"),
    Field(description="Such as the store's transaction id; used once over all users"),
]
Kind = Annotated[CreditKind, Field(strict=False)]


def _is_text(value: Any) -> Any:
    # pydantic would read a number, also one in a text, as seconds or milliseconds.
    if not isinstance(value, datetime) and "T" not in str(value):
        raise ValueError("a date and time in RFC 3339, such as 2028-02-29T23:59:30Z")
    return value


End = Annotated[
    AwareDatetime, BeforeValidator(_is_text), AfterValidator(clock.possible), Field(strict=False)
]


class GrantRequest(StrictSchema):
    """``reference`` names what the credits are for and makes the grant happen once. With ``job_id``
    the credits are goodwill for this job of the user: once per job, with a reason and without a
    reference."""

    user_id: UserId
    amount: Amount
    reference: Reference | None = None
    job_id: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="The job that the credits are goodwill for"
    )
    reason: (
        Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")] | None
    ) = Field(None, description="The user can read it. Required with `job_id`")
    kind: Kind = CreditKind.PURCHASED
    expires_at: End | None = Field(
        None, description="From when the credits cannot be spent. Purchased credits have none"
    )

    @model_validator(mode="after")
    def _has_one_reason(self) -> Self:
        if self.job_id is None and self.reference is None:
            raise ValueError("reference: required without job_id")
        if self.job_id is not None and self.reference is not None:
            raise ValueError("reference: not allowed with job_id, from which it follows")
        if self.reference is not None and self.reference.startswith(GOODWILL):
            raise ValueError(f"reference: one that begins with {GOODWILL} follows from a job_id")
        if self.job_id is not None and self.reason is None:
            raise ValueError("reason: required with job_id")
        return self


class ClawbackRequest(StrictSchema):
    """``reference`` names the refund and makes the clawback happen once."""

    user_id: UserId
    amount: Amount
    reference: Reference
    kind: Kind = Field(
        CreditKind.PURCHASED, description="The refunded kind; credits of it are taken first"
    )


class AdjustmentRequest(StrictSchema):
    """``reference`` names the correction and makes it happen once. ``amount`` is not 0."""

    user_id: UserId
    amount: Annotated[
        int, Field(ge=-MOST_CREDITS, le=MOST_CREDITS, description="Whole credits, with a sign")
    ]
    reference: Reference
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(
        description="The user can read it"
    )
