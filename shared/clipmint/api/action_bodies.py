"""The bodies of the owner's actions on a job, and of the audit trail."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints

from clipmint.api.audit_trail import Action
from clipmint.api.timestamps import Timestamp
from clipmint.jobs.job import JobStatus
from clipmint.schemas import Schema, StrictSchema


class ActionRequest(StrictSchema):
    """``reason`` is for the audit trail."""

    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=500, pattern=r"\S"),
        Field(description="Why"),
    ]


class ActionDone(Schema):
    """``status`` is the job's after the action."""

    job_id: str
    action: Literal["cancel", "settle", "refetch"]
    result: str
    status: JobStatus


class AuditedAction(Schema):
    """One action. ``by`` is the subject of the token, ``what`` a method and a route, ``about`` the
    path that was called. ``state``: `begun` (it may have happened), `done` or `refused`.
    ``result``: the status of the response, or the code of the error. ``details`` are members of the
    request."""

    action_id: str
    at: Timestamp
    by: str
    what: str
    about: str
    reason: str | None
    details: dict[str, JsonValue]
    state: Literal["begun", "done", "refused"]
    result: str | None

    @classmethod
    def of(cls, action: Action) -> Self:
        return cls.model_validate(action, from_attributes=True)


class AuditPage(Schema):
    """Newest first; `next_cursor` is null on the last page, which may be empty."""

    actions: list[AuditedAction]
    next_cursor: str | None
