"""The owner's reads: any job in full, users, providers, models, packs, usage. This function writes
nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from clipmint import clock, cursors
from clipmint.api import (
    alarms,
    audit_trail,
    http_api,
    job_inspection,
    provider_states,
    usage_routes,
)
from clipmint.api.action_bodies import AuditedAction, AuditPage
from clipmint.api.credit_responses import Credits, JournalEntry
from clipmint.api.job_inspection_responses import InspectedJob, JobRow, JobRows
from clipmint.api.operator_responses import (
    EntryPage,
    InspectedUser,
    OpenHold,
    OwnedModelRow,
    OwnedModels,
    OwnedPack,
    OwnedPacks,
    ProjectsOfUser,
    ProviderList,
    UserCounts,
)
from clipmint.api.project_responses import ProjectSummary
from clipmint.catalog import model_store
from clipmint.credits import ledger
from clipmint.credits.account import MAX_USER_BYTES
from clipmint.errors import InvalidRequest, JobNotFound, ScopeRequired, TemporarilyUnavailable
from clipmint.jobs import job_lists, job_search, job_store
from clipmint.jobs.job import JobStatus
from clipmint.orders import offers
from clipmint.projects import project_store
from clipmint.purchases import pack_store

app = http_api.resolver(admin_only=True)
app.include_router(usage_routes.router)

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of a page")]
UserPath = Annotated[str, Path(description="The id of a user")]


def _short(value: str) -> str:
    """An id that a key of the database may contain: its limits are in bytes."""
    if len(value.encode(errors="replace")) > MAX_USER_BYTES:
        raise ValueError(f"at most {MAX_USER_BYTES:,} bytes")
    return value


ShortId = Annotated[str, AfterValidator(_short)]
AnyId = Annotated[ShortId | None, Query(max_length=1_024, description="Any id of a job")]
UserId = Annotated[ShortId | None, Query(min_length=1, max_length=1_024)]
ModelId = Annotated[
    str | None, Query(min_length=1, max_length=128, description="The id of a model")
]
Provider = Annotated[str | None, Query(min_length=1, max_length=64, description="Its name")]
Status = Annotated[JobStatus | None, Query()]


def _moment(value: Any) -> Any:
    """A day is its beginning in UTC. pydantic would read a number as seconds or milliseconds."""
    text = str(value)
    if not isinstance(value, datetime) and ("-" not in text or text.isdigit()):
        raise ValueError("a date, or a date and time with a time zone, in RFC 3339")
    return f"{text}T00:00:00Z" if len(text) == len("2028-02-29") else value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(clock.possible)]
Since = Annotated[Moment | None, Query(alias="from", description="Ended at this time or later")]
Until = Annotated[Moment | None, Query(alias="to", description="Ended before this time")]
BegunSince = Annotated[Moment | None, Query(alias="from", description="At this time or later")]
BegunUntil = Annotated[Moment | None, Query(alias="to", description="Before this time")]


@app.get(
    "/v1/admin/jobs",
    summary="Find jobs of all users, newest first",
    description=(
        "The filters can be combined. Times are those of the end, and of the order while a job"
        " runs. `q` is an id: the job's, a provider's of one of its tasks, a project's, a scene's,"
        " or the user's. With it or with `user_id` jobs are sorted by their order. A page may be"
        " short or even empty and still have a `next_cursor`."
    ),
    responses=http_api.answers(JobRows, InvalidRequest, ScopeRequired, TemporarilyUnavailable),
)
def search_jobs(  # noqa: PLR0917  (one per filter)
    user_id: UserId = None,
    status: Status = None,
    model: ModelId = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    q: AnyId = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> JobRows:
    search = job_search.Search(
        user_id=user_id,
        status=status,
        model_id=model,
        provider=provider,
        since=since,
        until=until,
        any_id=(q or "").strip() or None,
    )
    page = job_search.find(search, limit=limit, cursor=cursor)
    return JobRows(jobs=[JobRow.of(job) for job in page.jobs], next_cursor=page.cursor)


@app.get(
    "/v1/admin/jobs/<job_id>",
    summary="One job in full",
    description=(
        "What was ordered, what each provider was sent and answered, the credits with their journal"
        " entries, the deliveries of its events, and a timeline."
    ),
    responses=http_api.answers(InspectedJob, ScopeRequired, JobNotFound, TemporarilyUnavailable),
)
def inspect_job(job_id: Annotated[str, Path()]) -> InspectedJob:
    return job_inspection.inspect(job_store.find(job_id))


@app.get(
    "/v1/admin/users/<user_id>",
    summary="One user's account",
    description="Credits, lots, debt, and the holds of running jobs. An unknown user has none.",
    responses=http_api.answers(
        InspectedUser, InvalidRequest, ScopeRequired, TemporarilyUnavailable
    ),
)
def inspect_user(user_id: UserPath) -> InspectedUser:
    user = _user(user_id)
    account = ledger.balance_of(user)
    this_hour = clock.epoch(clock.now()) // 3_600
    return InspectedUser(
        user_id=user,
        credits=Credits.of(account),
        open_holds=[OpenHold.of(job) for job in job_lists.open_of_user(user)],
        counts=UserCounts(
            open_jobs=account.open_jobs,
            open_clips=account.open_clips,
            jobs_this_hour=account.hour_jobs if account.hour == this_hour else 0,
            entries=account.sequence,
        ),
    )


@app.get(
    "/v1/admin/users/<user_id>/entries",
    summary="One user's journal, newest first",
    description="As the user sees it.",
    responses=http_api.answers(EntryPage, InvalidRequest, ScopeRequired),
)
def list_user_entries(user_id: UserPath, limit: Limit = 50, cursor: Cursor = None) -> EntryPage:
    before = cursors.sequence_in(cursor) if cursor else None
    page = ledger.entries_of(_user(user_id), limit=limit, before=before)
    return EntryPage(
        entries=[JournalEntry.of(entry) for entry in page.entries],
        next_cursor=cursors.before_sequence(page.before) if page.before else None,
    )


@app.get(
    "/v1/admin/users/<user_id>/projects",
    summary="One user's projects, newest first",
    description="Without their scenes.",
    responses=http_api.answers(ProjectsOfUser, InvalidRequest, ScopeRequired),
)
def list_user_projects(
    user_id: UserPath, limit: Limit = 25, cursor: Cursor = None
) -> ProjectsOfUser:
    page = project_store.list_for_user(_user(user_id), limit=limit, cursor=cursor)
    return ProjectsOfUser(
        projects=[ProjectSummary.of(project) for project in page.projects],
        next_cursor=page.cursor,
    )


def _user(user_id: str) -> str:
    # Subjects of some issuers contain a bar, which clients encode.
    found = unquote(user_id)
    if len(found.encode()) > MAX_USER_BYTES:
        raise InvalidRequest("The user id is too long", details="user_id: at most 1,024 bytes")
    return found


@app.get(
    "/v1/admin/providers",
    summary="How each provider is doing",
    description=(
        "Whether the owner has set its key, the state of its circuit, the models that use it, and"
        " its answers on the most recent jobs of the last seven days."
    ),
    responses=http_api.answers(ProviderList, ScopeRequired, TemporarilyUnavailable),
)
def list_providers() -> ProviderList:
    return provider_states.provider_states()


@app.get(
    "/v1/admin/alarms",
    summary="The alarms of this stack, those that are on first",
    description=(
        "As CloudWatch states them at this moment. A new alarm has `insufficient_data` until"
        " CloudWatch has evaluated it."
    ),
    responses=http_api.answers(alarms.AlarmList, ScopeRequired, TemporarilyUnavailable),
)
def list_alarms() -> alarms.AlarmList:
    return alarms.read()


@app.get(
    "/v1/admin/models",
    summary="All models as the owner sees them",
    description="Also those that users cannot order now. At most a minute old.",
    responses=http_api.answers(OwnedModels, ScopeRequired),
)
def list_owned_models() -> OwnedModels:
    return OwnedModels(
        models=[
            OwnedModelRow(model_id=model.model_id, offered=offers.is_offered(model), model=model)
            for model in model_store.all_models()
        ]
    )


@app.get(
    "/v1/admin/packs",
    summary="All packs",
    description="With the ids that they have in stores.",
    responses=http_api.answers(OwnedPacks, ScopeRequired, TemporarilyUnavailable),
)
def list_owned_packs() -> OwnedPacks:
    return OwnedPacks(
        packs=[
            OwnedPack(product_id=product_id, pack=pack)
            for product_id, pack in pack_store.all_packs().items()
        ]
    )


@app.get(
    "/v1/admin/audit",
    summary="What was done with the scope of the owner, newest first",
    description=(
        "Each call below /v1/admin that may change something: who, what, when, why. An entry is"
        " written before its action; one that stays `begun` may have happened."
    ),
    responses=http_api.answers(AuditPage, InvalidRequest, ScopeRequired),
)
def list_actions(
    since: BegunSince = None,
    until: BegunUntil = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditPage:
    before = cursors.text_in(cursor) if cursor else None
    page = audit_trail.newest(limit=limit, before=before, since=since, until=until)
    return AuditPage(
        actions=[AuditedAction.of(action) for action in page.actions],
        next_cursor=cursors.before_text(page.before) if page.before else None,
    )


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
