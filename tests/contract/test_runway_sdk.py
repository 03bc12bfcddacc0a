"""The official runwayml package, unchanged, drives the simulated Runway.

The simulator returns here what the package requires of the real service, also each of its errors.
Its typed bodies are the reference for what the simulator takes.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Required, get_args, get_origin, get_type_hints

import av
import httpx
import jwt
import pytest
import runwayml
from PIL import Image, ImageStat
from runwayml.lib.polling import TaskFailedError, TaskTimeoutError
from runwayml.types import (
    image_to_video_create_params,
    text_to_image_create_params,
    text_to_video_create_params,
)

from local.runway.models import ENDPOINTS
from local.simulator.client import Simulator, start
from tests.support.inbox import PATIENCE_SECONDS

FAST = {"pending_seconds": 0.15, "generation_seconds": 0.4, "frames_per_second": 2}
IMAGE_URL = "https://example.com/a.png"
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runway", FAST) as simulator:
        yield simulator


@pytest.fixture
def runway(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def client(runway: Simulator) -> Iterator[runwayml.RunwayML]:
    """The package as it comes, but for its retries: they hide what was answered."""
    with runwayml.RunwayML(api_key=runway.key, base_url=runway.url, max_retries=0) as made:
        yield made


def clip(client: runwayml.RunwayML, **members: Any) -> Any:
    """A task for a short clip."""
    wish = {"model": "gen4.5", "prompt_text": "a fox", "ratio": "1280:720", "duration": 2}
    return client.text_to_video.create(**{**wish, **members})


def until(client: runwayml.RunwayML, task_id: str, *statuses: str) -> Any:
    """The task, once its status is one of these."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (task := client.tasks.retrieve(task_id)).status not in statuses:
        assert time.monotonic() < give_up, task
        time.sleep(0.02)
    return task


def made(client: runwayml.RunwayML, task: Any) -> bytes:
    """The file of a task that will succeed."""
    done = until(client, task.id, *ENDED)
    assert done.status == "SUCCEEDED", done
    return httpx.get(done.output[0]).raise_for_status().content


def data_uri(colour: str, size: tuple[int, int] = (640, 360)) -> str:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


class Video(NamedTuple):
    """A request in the package's terms, and the expected result."""

    endpoint: str
    wish: dict[str, Any]
    size: tuple[int, int]
    seconds: int
    audio: bool
    credits: int

    @property
    def name(self) -> str:
        return f"{self.endpoint}/{self.wish['model']}"


VIDEOS = (
    Video(
        "image_to_video",
        {"model": "gen4_turbo", "prompt_image": IMAGE_URL, "ratio": "960:960", "duration": 2},
        size=(960, 960),
        seconds=2,
        audio=False,
        credits=10,
    ),
    Video(
        "image_to_video",
        {
            "model": "gen4.5",
            "prompt_image": [{"uri": IMAGE_URL, "position": "first"}],
            "prompt_text": "waves",
            "ratio": "1584:672",
            "duration": 3,
            "seed": 42,
            "content_moderation": {"public_figure_threshold": "low"},
        },
        size=(1584, 672),
        seconds=3,
        audio=False,
        credits=36,
    ),
    Video(
        "image_to_video",
        {"model": "veo3.1", "prompt_image": IMAGE_URL, "ratio": "1280:720", "duration": 4},
        size=(1280, 720),
        seconds=4,
        audio=True,
        credits=160,
    ),
    Video(
        "image_to_video",
        {
            "model": "veo3.1_fast",
            "prompt_image": IMAGE_URL,
            "ratio": "720:1280",
            "duration": 4,
            "audio": False,
        },
        size=(720, 1280),
        seconds=4,
        audio=False,
        credits=40,
    ),
    Video(
        "text_to_video",
        {"model": "gen4.5", "prompt_text": "waves", "ratio": "720:1280", "duration": 2},
        size=(720, 1280),
        seconds=2,
        audio=False,
        credits=24,
    ),
    Video(
        "text_to_video",
        {
            "model": "veo3.1",
            "prompt_text": "waves",
            "ratio": "1280:720",
            "duration": 6,
            "negative_prompt": "rain",
        },
        size=(1280, 720),
        seconds=6,
        audio=True,
        credits=240,
    ),
    Video(
        "text_to_video",
        {"model": "veo3.1_fast", "prompt_text": "waves", "ratio": "1080:1920", "duration": 4},
        size=(1080, 1920),
        seconds=4,
        audio=True,
        credits=60,
    ),
)


class TestCreating:
    @pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.name)
    def test_a_video_costs_what_was_estimated_and_is_what_was_asked_for(
        self, client: runwayml.RunwayML, runway: Simulator, video: Video
    ) -> None:
        task = getattr(client, video.endpoint).create(**video.wish)
        assert task.estimated_cost.credits == video.credits
        with av.open(io.BytesIO(made(client, task)), "r") as file:
            stream = file.streams.video[0]
            assert (stream.width, stream.height) == video.size
            assert (file.duration or 0) / av.time_base == pytest.approx(video.seconds, abs=0.1)
            assert bool(file.streams.audio) is video.audio
        assert until(client, task.id, "SUCCEEDED").cost.credits == video.credits
        (paid,) = runway.submissions()
        assert (paid["endpoint"], paid["billed"]) == (video.name, True)
        assert runway.media()["authorization_seen"] is False

    def test_a_video_turns_from_its_first_frame_into_its_last(
        self, client: runwayml.RunwayML
    ) -> None:
        task = client.image_to_video.create(
            model="veo3.1_fast",
            prompt_image=[
                {"uri": data_uri("red"), "position": "first"},
                {"uri": data_uri("blue"), "position": "last"},
            ],
            ratio="1280:720",
            duration=4,
        )
        with av.open(io.BytesIO(made(client, task)), "r") as video:
            frames = list(video.decode(video=0))
        first, last = (
            ImageStat.Stat(frame.crop((1200, 20, 1270, 60))).mean
            for frame in (frames[0].to_image(), frames[-1].to_image())  # type: ignore[no-untyped-call]
        )
        assert (first[0] > 200, first[2] < 60) == (True, True)
        assert (last[2] > 200, last[0] < 60) == (True, True)

    def test_an_image_is_a_png_of_the_asked_size_that_shows_its_references(
        self, client: runwayml.RunwayML
    ) -> None:
        task: Any = client.text_to_image.create(
            model="gen4_image_turbo",
            prompt_text="@hero on a hill",
            ratio="1680:720",
            reference_images=[{"uri": data_uri("red"), "tag": "hero"}],
        )
        assert task.estimated_cost.credits == 2
        done = until(client, task.id, *ENDED)
        answer = httpx.get(done.output[0])
        assert answer.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.size) == ("PNG", (1680, 720))
            colours = {colour: n for n, colour in image.convert("RGB").getcolors(1 << 21) or ()}
        assert colours[255, 0, 0] > 100 * 100

    @pytest.mark.parametrize(("ratio", "credits_"), [("1280:720", 5), ("1920:1080", 8)])
    def test_an_image_needs_no_reference_and_costs_by_its_size(
        self, client: runwayml.RunwayML, ratio: Any, credits_: int
    ) -> None:
        task = client.text_to_image.create(model="gen4_image", prompt_text="a hill", ratio=ratio)
        assert until(client, task.id, *ENDED).cost.credits == credits_

    def test_the_same_body_twice_is_two_tasks(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        first, second = clip(client), clip(client)
        assert first.id != second.id
        paid = runway.submissions()
        assert [task["request_id"] for task in paid] == [first.id, second.id]
        assert paid[0]["input"] == paid[1]["input"]

    @pytest.mark.parametrize("kind", ["submit_reset_after", "submit_504_after"])
    def test_is_paid_twice_when_the_package_retries_after_a_lost_answer(
        self, client: runwayml.RunwayML, runway: Simulator, kind: str
    ) -> None:
        runway.arm(kind)
        clip(client.with_options(max_retries=2))
        assert len(runway.submissions()) == 2

    def test_is_paid_once_when_the_first_attempt_was_never_accepted(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        runway.arm("submit_503")
        clip(client.with_options(max_retries=2))
        assert len(runway.submissions()) == 1


class TestATask:
    def test_is_pending_then_running_with_progress_then_succeeded(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        statuses = list[str]()
        seconds = 0.2
        # A busy machine can miss a short status.
        while len(statuses) < 3 and seconds < PATIENCE_SECONDS:
            runway.change(pending_seconds=seconds, generation_seconds=seconds)
            task = clip(client)
            seen = [client.tasks.retrieve(task.id)]
            while seen[-1].status not in ENDED:
                time.sleep(seconds / 10)
                seen.append(client.tasks.retrieve(task.id))
            statuses = list(dict.fromkeys(one.status for one in seen))
            seconds *= 3
        assert statuses == ["PENDING", "RUNNING", "SUCCEEDED"]
        progress = [one.progress for one in seen if one.status == "RUNNING"]
        assert progress == sorted(progress)
        assert all(isinstance(p, float | int) and 0 <= p < 1 for p in progress)
        assert all(one.estimated_cost.credits == 24 for one in seen[:-1])  # type: ignore[union-attr]
        age = time.time() - seen[0].created_at.timestamp()
        assert 0 <= age < 1_800

    def test_beyond_the_concurrency_of_its_model_is_throttled_until_there_is_room(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        runway.change(concurrency=1)
        runway.arm("stuck")
        first, second = clip(client), clip(client)
        other = clip(client, model="veo3.1_fast", duration=4)
        assert until(client, first.id, "RUNNING")
        time.sleep(0.3)
        waiting = client.tasks.retrieve(second.id)
        assert (waiting.status, waiting.estimated_cost.credits) == ("THROTTLED", 24)  # type: ignore[union-attr]
        assert until(client, other.id, *ENDED).status == "SUCCEEDED"
        client.tasks.delete(first.id)
        assert until(client, second.id, *ENDED).status == "SUCCEEDED"

    def test_signs_another_url_each_time_it_is_looked_at(self, client: runwayml.RunwayML) -> None:
        task = clip(client)
        first, second = (until(client, task.id, *ENDED).output[0] for _ in range(2))
        assert first != second
        assert first.partition("?")[0] == second.partition("?")[0]
        token = httpx.URL(first).params["_jwt"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] == pytest.approx(time.time() + 86_400, abs=30)
        assert httpx.get(first).content == httpx.get(second).content

    def test_has_a_fresh_url_when_an_old_one_has_expired(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        task = clip(client)
        runway.change(url_seconds=0.5)
        old = until(client, task.id, *ENDED).output[0]
        assert httpx.get(old).status_code == 200
        time.sleep(1.6)
        assert httpx.get(old).status_code == 403
        assert httpx.get(client.tasks.retrieve(task.id).output[0]).status_code == 200  # type: ignore[union-attr]
        assert httpx.get(old).status_code == 403

    def test_has_no_file_for_a_token_of_another_file(self, client: runwayml.RunwayML) -> None:
        mine, yours = (until(client, clip(client).id, *ENDED).output[0] for _ in range(2))
        mixed = f"{mine.partition('?')[0]}?{yours.partition('?')[2]}"
        forged = jwt.encode({"exp": time.time() + 60, "file": "x"}, "k" * 32, "HS256")
        for url in (mixed, mine.partition("?")[0], f"{mine.partition('?')[0]}?_jwt={forged}"):
            assert httpx.get(url).status_code == 403

    @pytest.mark.parametrize(
        ("code", "charged"),
        [
            ("SAFETY.INPUT.TEXT", 24),
            ("SAFETY.INPUT.IMAGE", 24),
            ("SAFETY.OUTPUT.VIDEO", 0),
            ("INPUT_PREPROCESSING.SAFETY.TEXT", 0),
            ("INPUT_PREPROCESSING.INTERNAL", 0),
            ("ASSET.INVALID", 0),
            ("INTERNAL.BAD_OUTPUT.CODE01", 0),
            ("INTERNAL", 0),
            ("THIRD_PARTY.UNAVAILABLE", 0),
        ],
    )
    def test_that_fails_names_its_code_and_what_it_cost(
        self, client: runwayml.RunwayML, runway: Simulator, code: str, charged: int
    ) -> None:
        runway.arm("failure", failure_code=code)
        failed = until(client, clip(client).id, *ENDED)
        assert (failed.status, failed.failure_code) == ("FAILED", code)
        assert failed.failure
        assert failed.cost.credits == charged
        assert runway.submissions()[0]["billed"] is (charged > 0)

    def test_that_is_declined_is_reported_as_declined(self, client: runwayml.RunwayML) -> None:
        failed = until(client, clip(client, prompt_text="#moderated").id, *ENDED)
        assert failed.failure_code == "SAFETY.INPUT.TEXT"

    @pytest.mark.parametrize("uri", [data_uri("red", (300, 100)), "http://127.0.0.1:9/no.png"])
    def test_whose_image_cannot_be_used_fails(self, client: runwayml.RunwayML, uri: str) -> None:
        task = client.image_to_video.create(
            model="gen4_turbo", prompt_image=uri, ratio="1280:720", duration=2
        )
        assert until(client, task.id, *ENDED).failure_code == "ASSET.INVALID"


class TestDeleting:
    def test_a_pending_task_is_free_and_it_is_gone(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        runway.change(pending_seconds=30)
        before = client.organization.retrieve().credit_balance
        task = clip(client)
        assert client.organization.retrieve().credit_balance == before - 24
        answer = client.tasks.with_raw_response.delete(task.id).http_response
        assert (answer.status_code, answer.content) == (204, b"")
        with pytest.raises(runwayml.NotFoundError) as gone:
            client.tasks.retrieve(task.id)
        assert gone.value.body == {"error": "Could not find Task"}
        assert client.organization.retrieve().credit_balance == before
        (paid,) = runway.submissions()
        assert (paid["state"], paid["billed"]) == ("CANCELLED", False)
        assert paid["started_at"] is None

    def test_a_running_task_stops_it_and_costs_all_the_same(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        runway.arm("stuck")
        task = clip(client)
        until(client, task.id, "RUNNING")
        client.tasks.delete(task.id)
        (paid,) = runway.submissions()
        assert (paid["state"], paid["credits"], paid["billed"]) == ("CANCELLED", 24, True)

    def test_a_finished_task_forgets_it_and_gives_nothing_back(
        self, client: runwayml.RunwayML
    ) -> None:
        task = clip(client)
        until(client, task.id, "SUCCEEDED")
        before = client.organization.retrieve().credit_balance
        client.tasks.delete(task.id)
        for question in (client.tasks.retrieve, client.tasks.delete):
            with pytest.raises(runwayml.NotFoundError):
                question(task.id)
        assert client.organization.retrieve().credit_balance == before


@pytest.fixture(scope="module")
def waits() -> Mapping[str, Any]:
    """What became of waiting for each of five tasks, all waited for at the same time."""

    def outcome(wait: Callable[[], Any]) -> Any:
        try:
            return wait()
        except (TaskFailedError, TaskTimeoutError) as error:
            return error

    def blockingly(client: runwayml.RunwayML, prompt: str) -> Any:
        return clip(client, prompt_text=prompt).wait_for_task_output(timeout=1)

    async def asynchronously(simulator: Simulator) -> Any:
        async with runwayml.AsyncRunwayML(api_key=simulator.key, base_url=simulator.url) as other:
            task = await other.text_to_video.create(
                model="gen4.5", prompt_text="lost too", ratio="1280:720", duration=2
            )
            return await task.wait_for_task_output(timeout=1)

    with (
        start("local.runway", {**FAST, "concurrency": 9}) as simulator,
        runwayml.RunwayML(api_key=simulator.key, base_url=simulator.url) as client,
        ThreadPoolExecutor() as threads,
    ):
        simulator.arm("failure_without_code", prompt_contains="bad")
        simulator.arm("cancelled_elsewhere", prompt_contains="lost", times=None)
        simulator.arm("stuck", prompt_contains="endless")
        waiting = {
            name: threads.submit(outcome, partial(blockingly, client, name))
            for name in ("good", "bad", "lost", "endless")
        }
        waiting["lost, asynchronously"] = threads.submit(
            outcome, lambda: asyncio.run(asynchronously(simulator))
        )
        return {name: wait.result() for name, wait in waiting.items()}


class TestWaiting:
    """`wait_for_task_output` looks every six seconds or so: see the fixture."""

    def test_ends_with_the_task_and_its_output(self, waits: Mapping[str, Any]) -> None:
        assert waits["good"].status == "SUCCEEDED"
        assert waits["good"].output[0].startswith("http://127.0.0.1:")

    def test_ends_with_an_error_when_it_failed(self, waits: Mapping[str, Any]) -> None:
        error = waits["bad"]
        assert isinstance(error, TaskFailedError)
        assert error.task_details.status == "FAILED"
        assert error.task_details.failure_code is None

    def test_ends_with_a_timeout_while_it_runs(self, waits: Mapping[str, Any]) -> None:
        assert isinstance(waits["endless"], TaskTimeoutError)
        assert waits["endless"].task_details.status == "RUNNING"

    def test_does_not_notice_a_cancelled_task_unless_it_is_asynchronous(
        self, waits: Mapping[str, Any]
    ) -> None:
        """A bug of the package (5.24): its blocking form would wait for ten minutes."""
        blocking, asynchronous = waits["lost"], waits["lost, asynchronously"]
        assert isinstance(blocking, TaskTimeoutError)
        assert isinstance(asynchronous, TaskFailedError)
        for error in (blocking, asynchronous):
            assert error.task_details.status == "CANCELLED"
            assert error.task_details.cost.credits == 0


class TestErrors:
    def test_a_wrong_key_is_401(self, runway: Simulator) -> None:
        with (
            runwayml.RunwayML(
                api_key="key_other", base_url=runway.url, max_retries=0
            ) as other_client,
            pytest.raises(runwayml.AuthenticationError),
        ):
            clip(other_client)
        assert runway.submissions() == []

    def test_another_version_is_400(self, client: runwayml.RunwayML, runway: Simulator) -> None:
        with pytest.raises(runwayml.BadRequestError) as error:
            clip(client.with_options(runway_version="2023-09-06"))
        assert "X-Runway-Version" in str(error.value.body)
        assert runway.submissions() == []

    def test_an_unknown_task_is_404(self, client: runwayml.RunwayML) -> None:
        with pytest.raises(runwayml.NotFoundError) as error:
            client.tasks.retrieve("17f20503-6c24-4c16-946b-35dbbce2af2f")
        assert error.value.body == {"error": "Could not find Task"}

    def test_an_empty_account_is_400_and_gives_the_reason(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        runway.change(credits=30)
        clip(client)
        with pytest.raises(runwayml.BadRequestError) as error:
            clip(client)
        assert error.value.body == {
            "error": "You do not have enough credits to run this task.",
            "docUrl": "https://docs.dev.runwayml.com/api",
        }
        assert len(runway.submissions()) == 1

    def test_a_spent_day_is_429_for_that_model_alone(
        self, client: runwayml.RunwayML, runway: Simulator
    ) -> None:
        runway.change(daily_generations=1)
        clip(client)
        with pytest.raises(runwayml.RateLimitError):
            clip(client)
        clip(client, model="veo3.1", duration=4)
        usage = client.organization.retrieve().usage.models
        assert (usage["gen4.5"].daily_generations, usage["veo3.1"].daily_generations) == (1, 1)
        assert len(runway.submissions()) == 2

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("submit_429", runwayml.RateLimitError),
            ("submit_daily_quota", runwayml.RateLimitError),
            ("submit_503", runwayml.InternalServerError),
            ("submit_502_html", runwayml.InternalServerError),
            ("submit_no_credits", runwayml.BadRequestError),
            ("submit_reset_before", runwayml.APIConnectionError),
        ],
    )
    def test_a_refused_submission_is_an_error_and_no_task(
        self, client: runwayml.RunwayML, runway: Simulator, kind: str, expected: type[Exception]
    ) -> None:
        runway.arm(kind)
        with pytest.raises(expected):
            clip(client)
        assert runway.submissions() == []

    @pytest.mark.parametrize(
        ("members", "code", "path"),
        [
            ({"extra_body": {"resolution": "720p"}}, "unrecognized_keys", []),
            ({"ratio": "1280:768"}, "invalid_value", ["ratio"]),
            ({"duration": 1}, "too_small", ["duration"]),
            ({"duration": 11}, "too_big", ["duration"]),
            ({"duration": "5"}, "invalid_type", ["duration"]),
            ({"prompt_text": ""}, "too_small", ["promptText"]),
            ({"prompt_text": "x" * 1001}, "too_big", ["promptText"]),
            ({"prompt_text": "\N{FOX FACE}" * 501}, "too_big", ["promptText"]),
            ({"seed": -1}, "too_small", ["seed"]),
            ({"seed": None}, "invalid_type", ["seed"]),
            ({"model": "gen4_turbo"}, "invalid_union", ["model"]),
        ],
    )
    def test_a_body_that_is_not_to_the_letter_is_400_and_named(
        self,
        client: runwayml.RunwayML,
        runway: Simulator,
        members: dict[str, Any],
        code: str,
        path: list[str],
    ) -> None:
        with pytest.raises(runwayml.BadRequestError) as error:
            clip(client, **members)
        reply: Any = error.value.body
        assert reply["error"] == "Validation of body failed"
        assert [(issue["code"], issue["path"]) for issue in reply["issues"]] == [(code, path)]
        assert runway.submissions() == []

    def test_a_prompt_is_measured_as_javascript_does(self, client: runwayml.RunwayML) -> None:
        assert clip(client, prompt_text="\N{FOX FACE}" * 500).id


class TestTheTypesOfThePackage:
    """Member for member, the simulator takes what the package's typed bodies describe."""

    BODIES: Mapping[tuple[str, str], Any] = {
        ("image_to_video", "gen4_turbo"): image_to_video_create_params.Gen4Turbo,
        ("image_to_video", "gen4.5"): image_to_video_create_params.Gen4_5,
        ("image_to_video", "veo3.1"): image_to_video_create_params.Veo3_1,
        ("image_to_video", "veo3.1_fast"): image_to_video_create_params.Veo3_1Fast,
        ("text_to_video", "gen4.5"): text_to_video_create_params.Gen4_5,
        ("text_to_video", "veo3.1"): text_to_video_create_params.Veo3_1,
        ("text_to_video", "veo3.1_fast"): text_to_video_create_params.Veo3_1Fast,
        ("text_to_image", "gen4_image"): text_to_image_create_params.Gen4Image,
        ("text_to_image", "gen4_image_turbo"): text_to_image_create_params.Gen4ImageTurbo,
    }
    NOT_TAKEN = frozenset({"proresProfile"})
    """For a format that the simulator does not render."""

    def described(self, endpoint: str, model: str) -> dict[str, tuple[bool, Any]]:
        """Wire name of each member: is it required, and its type."""
        found = {}
        hints = get_type_hints(self.BODIES[endpoint, model], include_extras=True)
        for name, hint in hints.items():
            required = get_origin(hint) is Required
            inner = get_args(hint)[0] if required else hint
            aliases = [a.alias for a in getattr(inner, "__metadata__", ()) if a.alias]
            plain = get_args(inner)[0] if aliases else inner
            found[aliases[0] if aliases else name] = (required, plain)
        return found

    def test_cover_every_model_of_which_more_is_known_than_its_types(self) -> None:
        served = {(endpoint, model) for endpoint in ENDPOINTS for model in ENDPOINTS[endpoint]}
        assert served == set(self.BODIES)

    @pytest.mark.parametrize(("endpoint", "model"), BODIES)
    def test_name_the_same_members_and_require_the_same(self, endpoint: str, model: str) -> None:
        fields = ENDPOINTS[endpoint][model].model_fields
        ours = {name: field.is_required() for name, field in fields.items()}
        theirs = {n: required for n, (required, _) in self.described(endpoint, model).items()}
        assert ours == {n: required for n, required in theirs.items() if n not in self.NOT_TAKEN}

    @pytest.mark.parametrize(("endpoint", "model"), BODIES)
    @pytest.mark.parametrize("name", ["ratio", "duration"])
    def test_allow_the_same_ratios_and_durations(
        self, endpoint: str, model: str, name: str
    ) -> None:
        described = self.described(endpoint, model)
        fields = ENDPOINTS[endpoint][model].model_fields
        assert (name in described) is (name in fields)
        if name in described:
            theirs, ours = described[name][1], fields[name].annotation
            assert set(get_args(ours)) == set(get_args(theirs))
