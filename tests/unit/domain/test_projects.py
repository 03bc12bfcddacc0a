"""What a request about a project may contain, and how the jobs determine the state of its
scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import AllowedSettings, Settings
from clipmint.catalog.route import Route
from clipmint.errors import InvalidRequest, ResolutionNotAllowed, TooManyScenes
from clipmint.jobs.job import TERMINAL, Asset, Job, JobStatus, Stage
from clipmint.orders import wording
from clipmint.projects.project import (
    DEFAULT_RESOLUTION,
    RESOLUTIONS,
    Scene,
    SceneJobs,
    image_of,
    next_scene_jobs,
    shape_of,
    state_of,
    video_of,
)
from clipmint.projects.project_requests import NewProject, NewScene, ProjectChanges, SceneChanges

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
IMAGE_URL = "https://example.com/picture.png"
SCENE = Scene(
    scene_id="scene-1",
    project_id="project-1",
    user_id="user-1",
    image_prompt="a fox",
    visual_prompt=None,
    product_reference_image_url=None,
    duration=None,
    first_frame=None,
    last_frame=None,
    image_url=IMAGE_URL,
    model_id=None,
    created_at=NOON,
    updated_at=NOON,
)


# ── The map of the documents ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("resolution", "image_ratio", "aspect"),
    [
        ("1280:720", "1920:1080", "16:9"),
        ("720:1280", "1080:1920", "9:16"),
        ("1104:832", "1168:880", "4:3"),
        ("832:1104", "1080:1440", "3:4"),
        ("960:960", "1024:1024", "1:1"),
        ("1584:672", "1920:1080", "21:9"),
        ("1280:768", "1920:1080", "16:9"),
        ("768:1280", "1080:1920", "9:16"),
    ],
)
def test_a_resolution_has_the_documents_image_ratio(
    resolution: str, image_ratio: str, aspect: str
) -> None:
    shape = shape_of(resolution)
    assert (shape.image_ratio, shape.aspect) == (image_ratio, aspect)
    assert shape.video_ratios[0] == resolution


def test_the_documents_know_eight_resolutions_and_fall_back_to_portrait() -> None:
    assert len(RESOLUTIONS) == 8
    assert DEFAULT_RESOLUTION == "720:1280"


def test_a_ratio_that_was_replaced_falls_back_to_its_nearest() -> None:
    fallbacks = {r: s.video_ratios[1:] for r, s in RESOLUTIONS.items() if s.video_ratios[1:]}
    assert fallbacks == {"1280:768": ("1280:720",), "768:1280": ("720:1280",)}


@pytest.mark.parametrize("resolution", ["", "1:1", "1280x720", "720:1280 "])
def test_another_resolution_is_refused_with_those_there_are(resolution: str) -> None:
    with pytest.raises(ResolutionNotAllowed) as refused:
        shape_of(resolution)
    assert refused.value.details == (
        "resolution: allowed: 1280:720, 720:1280, 1104:832, 832:1104, 960:960, 1584:672, 1280:768, "
        "768:1280"
    )


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("of", [NewScene, SceneChanges])
@pytest.mark.parametrize(
    "body",
    [
        {"image_prompt": ""},
        {"visual_prompt": "   "},
        {"image_prompt": "x" * 5_001},
        {"visual_prompt": 1},
        {"duration": 0},
        {"duration": 601},
        {"duration": "5"},
        {"duration": 5.0},
        {"duration": True},
        {"first_frame": "https://example.com/a b.png"},
        {"last_frame": "https://example.com/" + "a" * 2_048},
        {"image_url": ""},
        {"product_reference_image_url": "https://bücher.example/a.png"},
        {"model_id": "x" * 65},
        {"status": "completed"},
        {"video_url": IMAGE_URL},
    ],
)
def test_a_scene_like_this_is_refused(of: type[SceneChanges], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        of.model_validate(body)


@pytest.mark.parametrize("of", [NewProject, ProjectChanges])
@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x" * 129},
        {"image_url": " https://example.com/a.png"},
        {"resolution": 720},
        {"project_id": "project-1"},
        {"user_id": "user-1"},
        {"renders": {}},
    ],
)
def test_a_project_like_this_is_refused(of: type[ProjectChanges], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        of.model_validate(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (NewScene(first_frame="http://example.com/a.png"), "first_frame"),
        (SceneChanges(last_frame="https://10.0.0.1/a.png"), "last_frame"),
        (SceneChanges(image_url="https://localhost/a.png"), "image_url"),
        (NewScene(product_reference_image_url="a.png"), "product_reference_image_url"),
        (ProjectChanges(image_url="a.png"), "image_url"),
        (NewProject(image_url="https://user@example.com/a.png"), "image_url"),
        (NewProject(scenes=[NewScene(), NewScene(last_frame="a.png")]), "scenes.1.last_frame"),
    ],
)
def test_an_image_url_no_provider_could_fetch_is_refused_by_field(
    body: NewScene | SceneChanges | NewProject | ProjectChanges, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        body.check_image_urls("https://images.example.com")
    assert str(refused.value.details).startswith(f"{field}: ")


def test_every_image_url_of_a_scene_or_project_is_judged() -> None:
    for body in (NewScene, SceneChanges, NewProject, ProjectChanges):
        named = {
            name
            for name in body.model_fields
            if name.endswith(("_url", "first_frame", "last_frame"))
        }
        assert set(body.image_fields) == named
    ours = "http://127.0.0.1:4568"
    NewProject(image_url=f"{ours}/uploads/a.png").check_image_urls(ours)


def test_nothing_is_required_and_text_is_trimmed() -> None:
    NewProject().check()
    new = NewProject.model_validate(
        {"name": " Foxes ", "scenes": [{"image_prompt": " a fox "}, {}]}
    )
    assert (new.name, new.scenes) == ("Foxes", [NewScene(image_prompt="a fox"), NewScene()])
    NewProject(scenes=[NewScene()] * 50, resolution="960:960").check()


def test_a_project_of_51_scenes_or_of_another_shape_is_refused() -> None:
    with pytest.raises(TooManyScenes):
        NewProject(scenes=[NewScene()] * 51).check()
    with pytest.raises(ResolutionNotAllowed):
        NewProject(resolution="1:1").check()


# ── States ───────────────────────────────────────────────────────────────────────────────────────


def stage(name: str, asset: bool) -> Stage:
    route = Route(provider="fal", endpoint="fal-ai/veo3.1")
    made = Asset("bucket", name, "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.0) if asset else None
    return Stage(name, (route,), route.provider, route.endpoint, 32, (90,), 1_800, asset=made)


JOB = Job(
    job_id="job-1",
    user_id="user-1",
    status=JobStatus.COMPLETED,
    model_id="veo-3.1",
    model_name="Veo 3.1",
    prompt="a fox",
    settings=Settings(),
    fingerprint="f" * 64,
    stages=(stage("image", True), stage("video", True)),
    deadline=0,
    created_at=NOON,
    updated_at=NOON,
    image_url="https://images.example.com/made.png",
)


@st.composite
def jobs_of_a_scene(draw: st.DrawFn) -> list[Job]:
    """Any jobs a scene can have had, the oldest first."""
    found = []
    for n in range(draw(st.integers(0, 6))):
        status = draw(st.sampled_from(JobStatus))
        completed = status is JobStatus.COMPLETED
        stages = [stage("video", completed)]
        if draw(st.booleans()):
            stages.insert(0, stage("image", completed or draw(st.booleans())))
        found.append(
            replace(
                JOB,
                job_id=f"job-{n}",
                status=status,
                stages=tuple(stages),
                created_at=NOON + timedelta(minutes=n),
                image_url=f"https://images.example.com/{n}.png",
                deleted=status in TERMINAL and draw(st.booleans()),
            )
        )
    return found


def rendered(history: list[Job]) -> SceneJobs | None:
    """A scene's render after these jobs were opened one by one."""
    render: SceneJobs | None = None
    for n, job in enumerate(history):
        render = next_scene_jobs(render, job.job_id, by_id(history[:n]))
    return render


def by_id(jobs: list[Job]) -> Mapping[str, Job]:
    return {job.job_id: job for job in jobs}


@given(jobs_of_a_scene())
def test_a_render_keeps_what_was_made_before_its_newest_job(history: list[Job]) -> None:
    render = rendered(history)
    if not history:
        assert render is None
        return
    assert render is not None
    assert render.job_id == history[-1].job_id
    before = [job for job in history[:-1] if not job.deleted]
    with_image = [job.job_id for job in before if image_of(job)]
    with_video = [job.job_id for job in before if video_of(job)]
    assert render.image_job_id == (with_image[-1] if with_image else None)
    assert render.video_job_id == (with_video[-1] if with_video else None)
    assert len(render.job_ids) <= 3


@given(jobs_of_a_scene())
def test_a_scene_shows_its_newest_job_and_what_there_is(history: list[Job]) -> None:
    render = rendered(history)
    state = state_of(SCENE, render, by_id(history))
    visible = [job for job in history if not job.deleted]
    if history and not history[-1].deleted:
        assert state.job is history[-1]
        assert state.status is history[-1].status
    if not visible:
        assert (state.job, state.status) == (None, JobStatus.PENDING)
    images = [image for job in visible if (image := image_of(job))]
    with_video = [job for job in visible if video_of(job)]
    assert state.image_url == [IMAGE_URL, *images][-1]
    assert state.completed is (with_video[-1] if with_video else None)


@given(jobs_of_a_scene(), st.integers(1, 60))
def test_the_newest_job_is_the_last_one_even_if_clocks_disagree(
    history: list[Job], minutes: int
) -> None:
    if not history:
        return
    late = replace(history[-1], created_at=NOON - timedelta(minutes=minutes), deleted=False)
    assert state_of(SCENE, rendered(history), by_id([*history[:-1], late])).job is late


def test_a_scene_never_rendered_is_pending_and_shows_the_users_own_image() -> None:
    state = state_of(SCENE, None, {})
    assert (state.job, state.status, state.image_url, state.completed) == (
        None,
        JobStatus.PENDING,
        IMAGE_URL,
        None,
    )


def test_a_missing_job_is_ignored() -> None:
    assert state_of(SCENE, SceneJobs("job-1", "job-2", "job-3"), {}).job is None


def test_a_scene_lasts_five_seconds_by_default() -> None:
    assert SCENE.seconds == 5


def test_a_job_that_completes_after_the_next_one_was_opened_shows_its_video() -> None:
    first, second, third = (
        replace(
            JOB,
            job_id=job_id,
            created_at=NOON + timedelta(minutes=n),
            stages=(stage("image", True), stage("video", True)),
        )
        for n, job_id in enumerate(("first", "second", "third"))
    )
    image_only = replace(second, status=JobStatus.PROCESSING, stages=(stage("image", True),))
    render = next_scene_jobs(next_scene_jobs(None, "first", {}), "second", by_id([first]))
    render = next_scene_jobs(render, "third", by_id([first, image_only]))
    assert render == SceneJobs("third", image_job_id="second", video_job_id="first")
    running = replace(third, status=JobStatus.PROCESSING, stages=(stage("video", False),))
    state = state_of(SCENE, render, by_id([first, second, running]))
    assert state.completed is second


@pytest.mark.parametrize("newer", ["a-picture", "a-video"])
def test_without_its_newest_job_a_scene_is_what_the_last_one_before_made_it(newer: str) -> None:
    failed = replace(JOB, status=JobStatus.FAILED, stages=(stage("image", True),))
    made = {"a-picture": failed, "a-video": JOB}
    jobs = {
        job_id: replace(job, job_id=job_id, created_at=NOON + timedelta(minutes=job_id == newer))
        for job_id, job in made.items()
    }
    state = state_of(SCENE, SceneJobs("deleted", "a-picture", "a-video"), jobs)
    assert state.job is jobs[newer]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("produces", ["image", "video"])
def test_a_model_that_allows_only_a_projects_own_resolution_can_make_it(
    resolution: str, produces: str
) -> None:
    own = DEFAULT_CATALOG[0].model_copy(
        update={
            "produces": produces,
            "allowed": AllowedSettings(aspect_ratio=[resolution]),
            "defaults": Settings(aspect_ratio=resolution),
        }
    )
    if produces == "image":
        assert wording.image_aspect_ratio(own, resolution) == resolution
    else:
        settings = wording.video_settings(own, SCENE, resolution)
        assert settings.aspect_ratio == resolution
