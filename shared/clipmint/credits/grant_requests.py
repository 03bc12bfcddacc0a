"""The body of the request that grants credits."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from clipmint.credits.accounts import MAX_USER_BYTES


def _short_enough(user_id: str) -> str:
    # Every user who can sign in can be granted credits: the limit is that of a token's subject.
    if len(user_id.encode("utf-8", "surrogatepass")) > MAX_USER_BYTES:
        raise ValueError(f"at most {MAX_USER_BYTES} bytes")
    return user_id


class GrantRequest(BaseModel):
    """``reference`` names what the credits are for and makes the grant happen once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user_id: Annotated[
        str,
        StringConstraints(min_length=1, max_length=MAX_USER_BYTES),
        AfterValidator(_short_enough),
        Field(description="As in the subject of the user's token"),
    ]
    amount: Annotated[int, Field(ge=1, le=100_000_000, description="Whole credits")]
    reference: Annotated[
        str,
        StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"),
        Field(description="Such as the store's transaction id; used once over all users"),
    ]
