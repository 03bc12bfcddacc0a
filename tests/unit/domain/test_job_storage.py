"""A job survives storage with all its fields, also with a kind of stage that does not exist yet."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import ModuleType, NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import pytest

from clipmint import stages
from clipmint.catalog.model import Settings
from clipmint.catalog.route import Route
from clipmint.catalog.tolerance import Tolerance
from clipmint.credits.account import Account, Limits
from clipmint.credits.account_changes import hold, resolve
from clipmint.jobs import job_items
from clipmint.jobs.job import Job, JobStatus, Stage
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.outcomes import Failed, Succeeded
from clipmint.jobs.progress import progress
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.stages import Kind, Step, StepName

FILM = Kind(
    price="join_clips",
    making=Step(85, StepName.FINALIZING),
    storing=Step(90, StepName.STORING_VIDEO),
    bucket="videos",
    max_polls=None,
)
"""A kind of stage that no provider executes."""
GIVEN = {
    Settings: Settings(resolution="720p", aspect_ratio="16:9", duration=8),
    Tolerance: Tolerance(otherwise="fail"),
    Route: Route(provider="fal", endpoint="fal-ai/veo3.1"),
    datetime: datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC),
    int: 7,
    float: 8.04,
    bool: True,
}


def sample(hint: Any, name: str, outcome: type) -> Any:
    """A value of this type; all its dataclasses have a value other than the default in every field.

    Parameters
    ----------
    hint
        The type, as the field ``name`` is annotated.
    outcome
        Whether outcomes are `Succeeded` or `Failed`.
    """
    of = functools.partial(sample, outcome=outcome)
    if hint in GIVEN or hint is str:
        return GIVEN.get(hint, f"the {name}")
    if get_origin(hint) in (Union, UnionType):
        kinds = {*get_args(hint)} - {NoneType}
        return of(outcome if outcome in kinds else kinds.pop(), name)
    if get_origin(hint) is tuple:
        [kind, _] = get_args(hint)
        one = of(kind, name)
        names = stages.STAGES if kind is Stage else ()
        return tuple(dataclasses.replace(one, name=stage) for stage in names) or (one,)
    if get_origin(hint) is Mapping:
        return {name: f"the {name}"}
    return list(hint)[-1] if issubclass(hint, Enum) else _filled(hint, of)


def _filled(hint: type, of: Callable[[Any, str], Any]) -> Any:
    hints = get_type_hints(hint)
    fields = dataclasses.fields(cast("Any", hint))
    made = hint(**{field.name: of(hints[field.name], field.name) for field in fields})
    assert [field.name for field in fields if getattr(made, field.name) == field.default] == []
    return made


def stored_and_read(job: Job, items: ModuleType = job_items) -> Job:
    """The job after DynamoDB's wire format."""
    wire = json.dumps(items.to_item(job).to_dynamodb_dict())
    read: Job = items.to_job(items.JobItem.from_raw_data(json.loads(wire)))
    return read


@pytest.mark.parametrize("outcome", [Succeeded, Failed])
def test_every_field_of_a_job_survives_storage(outcome: type) -> None:
    job = sample(Job, "job", outcome)
    assert stored_and_read(job) == job


@pytest.mark.parametrize("outcome", [Succeeded, Failed])
def test_a_job_with_nothing_but_its_required_fields_survives_storage(outcome: type) -> None:
    full = sample(Job, "job", outcome)
    required = {
        field.name: getattr(full, field.name)
        for field in dataclasses.fields(Job)
        if field.default is dataclasses.MISSING
    }
    [first, *_] = full.stages
    bare = {
        field.name: getattr(first, field.name)
        for field in dataclasses.fields(Stage)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    job = Job(**(required | {"stages": (Stage(**bare),)}))
    assert stored_and_read(job) == job


def test_only_a_job_that_has_not_ended_is_in_the_index_of_open_jobs() -> None:
    job = sample(Job, "job", Succeeded)
    found = {
        status: job_items.to_item(dataclasses.replace(job, status=status)).open
        for status in JobStatus
    }
    running = {JobStatus.PENDING, JobStatus.PROCESSING}
    assert found == {status: job_items.OPEN if status in running else None for status in JobStatus}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), {"S": "resting"}),
        (("created_at",), {"S": "yesterday"}),
        (("settings",), {"S": "{"}),
        (("settings",), {"S": '{"duration": "long"}'}),
        (("prompt",), None),
        (("video", "M", "credits"), None),
        (("video", "M", "credits"), {"S": "7"}),
        (("video", "M", "provider"), {"N": "7"}),
        (("video", "M", "routes"), {"S": "[{}]"}),
        (("video", "M", "outcome"), {"M": {"what": {"S": "a film"}}}),
        (("video", "M", "asset", "M", "size_bytes"), {"BOOL": True}),
        (("video", "M", "submission", "M", "state"), {"S": "doubtful"}),
    ],
)
def test_an_item_that_no_job_is_stored_as_is_not_read(
    path: tuple[str, ...], value: dict[str, object] | None
) -> None:
    item = job_items.to_item(sample(Job, "job", Succeeded)).to_dynamodb_dict()
    *way, last = path
    place: Any = functools.reduce(lambda found, step: found[step], way, item)
    if value is None:
        del place[last]
    else:
        place[last] = value
    with pytest.raises((TypeError, ValueError)):
        job_items.to_job(JobItem.from_raw_data(json.loads(json.dumps(item))))


# ── A third kind of stage ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def items_with_film(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`job_items` as it would be if the table of stages had this entry, too."""
    monkeypatch.setitem(stages.STAGES, "film", FILM)
    assert job_items.__spec__
    assert job_items.__spec__.origin
    spec = importlib.util.spec_from_file_location("items_with_film", job_items.__spec__.origin)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def film_job(**changes: Any) -> Job:
    """A job with a stored video, before its clips are joined."""
    full = sample(Job, "job", Succeeded)
    image, video, _ = full.stages
    film = Stage(
        "film",
        routes=(),
        provider=stages.OURSELVES,
        endpoint="",
        credits=3,
        poll_seconds=(),
        deadline_seconds=60,
    )
    unfinished = {"status": JobStatus.PROCESSING, "completed_at": None, "failure": None}
    again = {"earlier": ()}
    made = tuple(dataclasses.replace(stage, **again) for stage in (image, video))
    job: Job = dataclasses.replace(full, stages=(*made, film), **(unfinished | changes))
    return job


def test_a_third_kind_of_stage_is_stored_under_its_own_name(items_with_film: ModuleType) -> None:
    job = film_job()
    assert stored_and_read(job, items_with_film) == job
    item = items_with_film.to_item(job).to_dynamodb_dict()
    assert item["film"]["M"]["provider"] == {"S": "clipmint"}
    assert not hasattr(JobItem, "film")


def test_a_third_kind_of_stage_has_progress_between_the_second_and_the_end(
    items_with_film: ModuleType,
) -> None:
    job = film_job()
    *made, film = job.stages
    making = progress(job)
    with_file = dataclasses.replace(film, outcome=Succeeded("https://media.example.com/film.mp4"))
    storing = progress(dataclasses.replace(job, stages=(*made, with_file)))
    stored = dataclasses.replace(with_file, asset=made[1].asset)
    finalizing = progress(dataclasses.replace(job, stages=(*made, stored)))
    assert [making, storing, finalizing] == [
        (85, "Finalizing"),
        (90, "Storing video"),
        (95, "Finalizing"),
    ]


def test_a_third_kind_of_stage_is_held_and_captured_like_the_others(
    items_with_film: ModuleType,
) -> None:
    job = film_job()
    assert job.prices == {"image": 7, "video": 7, "film": 3}
    assert job.captured_stages == {"image", "video"}
    limits = Limits(open_jobs=1, jobs_per_hour=1)
    now = GIVEN[datetime]
    assert isinstance(now, datetime)
    account, _ = hold(Account("user-1", available=20), {job.job_id: job.prices}, limits, now)
    assert (account.available, account.held) == (3, 17)
    later = now + timedelta(minutes=1)
    account, _ = resolve(account, job.job_id, job.prices, job.captured_stages, later, clip=False)
    assert (account.available, account.held) == (6, 0)


def test_a_job_ends_by_its_third_stage(items_with_film: ModuleType) -> None:
    job = film_job()
    assert verdict(job, "DeadlineExceeded").status is JobStatus.FAILED
    *made, film = job.stages
    stored = dataclasses.replace(film, asset=made[1].asset)
    finished = dataclasses.replace(job, stages=(*made, stored))
    assert verdict(finished, None) == Verdict(JobStatus.COMPLETED)


def test_a_third_kind_of_stage_waits_for_the_files_of_the_first_two(
    items_with_film: ModuleType,
) -> None:
    assert stages.earlier_stages("film") == ["image", "video"]
    assert not stages.STAGES["film"].by_provider
