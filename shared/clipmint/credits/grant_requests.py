"""The body of the request that grants credits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class GrantRequest(BaseModel):
    """``reference`` names what the credits are for and makes the grant happen once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user_id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    amount: Annotated[int, Field(ge=1, le=100_000_000, description="Whole credits")]
    reference: Annotated[
        str,
        StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"),
        Field(description="Such as the store's transaction id; used once over all users"),
    ]
