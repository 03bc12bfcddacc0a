"""The second act: the user uploads images and makes videos of a project's image, frame pairs and
scene.

Every part uses images that are stored on this machine, where a real provider cannot download them.
So each part needs its provider's simulator, and is left out if the provider is real.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from local.demo.app import get_public, upload
from local.demo.checks import ends, unlikeness
from local.demo.first_act import FAILURES, FirstAct, Job
from local.demo.images import MOMENTS, SIZE, paint
from local.demo.inspection import count_repeats
from local.demo.orders import NAMES, clips, from_project, scene

UNLUCKY = "afternoon"
"""The clip that the provider fails once."""
SCENE_RESOLUTION = "960:960"
SCENE_IMAGE = (1024, 1024)
"""The size of the images that are made for videos of that resolution."""
RUNWAY_POLLS = [5, 5, 10, 15]
"""Seconds between polls, as short as Runway allows."""

_READS = {"GetItem", "Query", "BatchGetItem"}


class SecondAct(FirstAct):
    """One run on the stack of the first act, with the credits that are left on the account."""

    _project = ""
    _scene_path = ""
    _held = 0

    def run_second(self) -> None:
        """Run the act. Raises what `FirstAct.run` raises."""
        with self._app, self._owner:
            before = self._app.all_entries()
            self._balance = before[-1]["balance_after"] if before else 0
            urls = self._upload()
            videos = self._price_video() if self._is_played("fal", "The video of the first") else []
            scenes = (
                self._prepare_scene(urls["dusk"])
                if self._is_played("runway", "The scene in two stages")
                else []
            )
            made = self._add_scenes(urls) if self._is_played("runware", "The clips") else []
            jobs = [*videos, *scenes, *made]
            if not jobs:
                return
            self._screen.heading("All at once: a video, a scene in two stages, three clips")
            # Start them without a pause: no job may end before all have started.
            for job in videos:
                self._begin(job, str(uuid.uuid4()), self._balance - job.estimate)
                self._held_for(job)
            for job in scenes:
                self._start_scene(job)
            if made:
                self._start_clips(made)
            self._show_account("while all run", self._balance, self._held)
            self._watch(jobs, until=[*videos, *made] or None)
            again = self._after_clips(made)
            if waiting := [job for job in (*again, *scenes) if not job.ended]:
                self._watch(waiting)
            self._after_all([*videos, *again, *scenes], clips=bool(made))
            self._show_account("after all", self._balance, 0)
            everything = [*jobs, *again]
            self._look_at(everything, urls)
            for job in everything:
                self._inspect(job)
            lines = self._journal(everything, after=len(before))
            for job in scenes:
                self._check_scene(job, urls["dusk"], lines)

    def _is_played(self, provider: str, what: str) -> bool:
        if provider in self._stack.simulators:
            return True
        who = NAMES[provider]
        self._screen.say(f"{what} is left out: the real {who} cannot fetch from this machine.")
        return False

    # ── Images ───────────────────────────────────────────────────────────────────────────────────

    def _upload(self) -> dict[str, str]:
        """Upload four images with presigned forms. Returns their public URLs by name. The project
        of the first image is used for the clips."""
        self._screen.heading("Second act: the user uploads four images with presigned forms")
        self._out.mkdir(parents=True, exist_ok=True)
        urls, rows = {}, []
        for name in MOMENTS:
            content = paint(name)
            answer = self._app.post("/v1/images", {"content_type": "image/png"})
            asked = answer.json()
            url = urls[name] = asked["image_url"]
            self._checks.equal(f"{name}: answer to a new image", answer.status_code, 201)
            self._checks.equal(f"{name}: public before", get_public(url)[0], 403)
            self._checks.equal(f"{name}: upload", upload(asked["upload"], content), 204)
            status, seen = get_public(url)
            self._checks.equal(f"{name}: public after", (status, seen == content), (200, True))
            path = self._out / f"{name}.png"
            path.write_bytes(seen)
            with Image.open(path) as image:
                image.load()
                self._checks.equal(f"{name}: image", (image.format, image.size), ("PNG", SIZE))
                size = f"{image.width}x{image.height}"
            shown = self._app.get(f"/v1/projects/{asked['project_id']}").json()["image_url"]
            self._checks.equal(f"{name}: image of its project", shown, url)
            self._project = self._project or asked["project_id"]
            rows.append((name, size, len(seen), f"…/{url.rpartition('/')[2]}"))
        self._screen.table(("image", "size", "bytes", "public URL"), rows)
        return urls

    def _price_video(self) -> list[Job]:
        return [self._estimated(from_project(self._project))]

    # ── Clips ────────────────────────────────────────────────────────────────────────────────────

    def _add_scenes(self, urls: dict[str, str]) -> list[Job]:
        """Add a scene for each clip, and a fault that fails one clip."""
        orders = clips(list(urls.values()))
        self._show_clips("before")
        for order in orders:
            scene_ = {
                "visual_prompt": order.prompt,
                "first_frame": order.image_url,
                "last_frame": order.last_image_url,
                "duration": order.seconds,
            }
            if order.model_id != orders[0].model_id:
                scene_["model_id"] = order.model_id
            added = self._app.post(f"{self._path}/scenes", scene_)
            self._checks.equal(f"{order.name}: scene", added.json()["status"], "pending")
        kind, params = FAILURES["runware"]
        prompt = next(order.prompt for order in orders if order.name == UNLUCKY)
        self._stack.simulators["runware"].arm(kind, prompt_contains=prompt, **params)
        return [self._estimated(order) for order in orders]

    @property
    def _path(self) -> str:
        return f"/v1/projects/{self._project}"

    def _start_clips(self, jobs: Sequence[Job]) -> None:
        """Start all clips with one request, and send that request twice."""
        key = str(uuid.uuid4())
        accepted = self._post_clips(key)
        started = accepted["clips"]
        self._checks.equal("clips started", len(started), len(jobs))
        for job, clip in zip(jobs, started, strict=True):
            job.job_id = clip["job_id"]
            self._checks.equal(f"{job.name}: charge", clip["credits_used"], job.estimate)
            self._held_for(job)
        self._checks.equal("clips: balance", accepted["credits_remaining"], self._balance)
        self._checks.equal("clips: a retry's answer", self._post_clips(key), accepted)
        prices = " + ".join(str(job.estimate) for job in jobs)
        self._screen.say(f"three clips in one call, sent twice, held once: {prices} credits")
        self._show_clips("while they run", pending=len(jobs))

    def _post_clips(self, key: str) -> dict[str, Any]:
        answer = self._app.post(f"{self._path}/clips", {}, idempotency_key=key)
        self._checks.equal("answer to the clips' start", answer.status_code, 202)
        accepted: dict[str, Any] = answer.json()
        return accepted

    def _show_clips(
        self, moment: str, *, completed: int = 0, pending: int = 0, failed: int = 0
    ) -> list[dict[str, Any]]:
        """Print the project's summary, which must have these numbers. Returns its clips."""
        summary = self._app.get(f"{self._path}/clips").json()
        found: list[dict[str, Any]] = summary.pop("clips")
        total = completed + pending + failed
        expected = {
            "total_clips": total,
            "completed": completed,
            "pending": pending,
            "failed": failed,
            "all_complete": 0 < total == completed,
        }
        counts = ", ".join(f"{name} {str(value).lower()}" for name, value in summary.items())
        self._screen.say(f"clips {moment}: {counts}")
        self._checks.equal(f"clips {moment}: summary", summary, expected)
        playing = [clip["scene_id"] for clip in found if clip["video_url"]]
        self._checks.equal(f"clips {moment}: with a video", len(playing), completed)
        return found

    def _after_clips(self, jobs: Sequence[Job]) -> list[Job]:
        """Two clips are completed. A second request makes only the failed one again."""
        if not jobs:
            return []
        for job in jobs:
            self._end(job, "failed" if job.name == UNLUCKY else "completed")
        made = self._stack.simulators["runware"].submissions()
        ours = [each for job in jobs for each in made if self._is_about(each, job)]
        self._checks.equal("clips: tasks at the provider", len(ours), len(jobs))
        spans = [self._inspector.span(job.job_id) for job in jobs]
        self._checks.that(
            max(began for began, _ in spans) < min(ended for _, ended in spans),
            f"the clips were not under way at the same time, but {spans}",
        )
        self._screen.heading("One clip has failed: calling again makes that one, and no other")
        self._show_clips("after", completed=2, failed=1)
        unlucky = next(job for job in jobs if job.name == UNLUCKY)
        self._screen.say(f"{unlucky.name}: {unlucky.video['error_message']}")
        again = Job(replace(unlucky.order, name=f"{UNLUCKY}-again"), unlucky.estimate)
        started = self._post_clips(str(uuid.uuid4()))["clips"]
        scenes = [(clip["scene_id"], clip["credits_used"]) for clip in started]
        expected = [(unlucky.video["scene_id"], unlucky.estimate)]
        self._checks.equal("scenes of the second call", scenes, expected)
        again.job_id = started[0]["job_id"]
        self._held_for(again)
        self._show_clips("again", completed=2, pending=1)
        return [again]

    def _is_about(self, submission: dict[str, Any], job: Job) -> bool:
        return bool(submission["input"]["positivePrompt"] == job.order.prompt)

    # ── A scene in two stages ────────────────────────────────────────────────────────────────────

    def _prepare_scene(self, reference: str) -> list[Job]:
        """Create another project with one scene, whose image contains the referenced object."""
        self._ask_runway_sooner()
        order = scene(reference)
        new = {
            "resolution": SCENE_RESOLUTION,
            "scenes": [
                {
                    "image_prompt": "The boat of the reference, far out at sea",
                    "visual_prompt": order.prompt,
                    "product_reference_image_url": reference,
                    "duration": order.seconds,
                }
            ],
        }
        self._scene_path = self._app.post("/v1/projects", new).headers["Location"]
        return [self._estimated(order)]

    def _scene(self) -> dict[str, Any]:
        found: dict[str, Any] = self._app.get(self._scene_path).json()["scenes"][0]
        return found

    def _start_scene(self, job: Job) -> None:
        """Start the scene's video. One transaction holds the prices of both stages."""
        path = f"/v1/scenes/{self._scene()['scene_id']}/video"
        answer = self._app.post(path, {}, idempotency_key=str(uuid.uuid4()))
        accepted = answer.json()
        self._checks.equal("scene: answer to the start", answer.status_code, 202)
        prices = accepted["prices"]
        self._checks.equal("scene: price of its video", prices["generate_scene"], job.estimate)
        job.estimate = accepted["credits_used"]
        self._checks.equal("scene: charge", sum(prices.values()), job.estimate)
        self._checks.equal("scene: priced", list(prices), ["generate_image", "generate_scene"])
        job.job_id = accepted["job_id"]
        self._held_for(job)
        self._checks.equal("scene: balance", accepted["credits_remaining"], self._balance)
        priced = " + ".join(f"{name} {credits_}" for name, credits_ in prices.items())
        self._screen.say(f"two prices of the scene, held together: {priced}")

    def _ask_runway_sooner(self) -> None:
        """Poll two models of Runway sooner. Runway has no webhooks, and the catalog's first poll
        comes after 15 seconds, the least time that the real models take."""
        table = self._stack.tables["ModelsTable"]
        for model_id in ("gen4-image", "gen4-turbo"):
            item = self._stack.boto3("dynamodb").get_item(
                TableName=table, Key={"model_id": {"S": model_id}}
            )["Item"]
            model = json.loads(item["definition"]["S"]) | {"poll_seconds": RUNWAY_POLLS}
            answer = self._owner.put(f"/v1/admin/models/{model_id}", model)
            self._checks.equal(
                f"{model_id}: asked about", answer.json()["poll_seconds"], RUNWAY_POLLS
            )

    def _check_scene(self, job: Job, reference: str, lines: Sequence[dict[str, Any]]) -> None:
        """Check that the scene's image is public, shows the reference, and starts the video."""
        self._screen.heading("How the scene went")
        states = self._inspector.transitions(job.job_id)
        middle = len(states) - 1 - states[::-1].index("Submit")
        self._screen.say(f"image: {count_repeats(states[:middle])}")
        self._screen.say(f"video: {count_repeats(states[middle:])}")
        ours = [line for line in lines if line["job_id"] == job.job_id]
        text = ", ".join(f"{line['kind']} {line['stage']} {line['credits']}" for line in ours)
        self._screen.say(f"journal: {text}")
        numbers = [line["sequence"] for line in ours]
        together = [numbers[0], numbers[0] + 1]
        self._checks.equal("scene: lines of its two holds", numbers[:2], together)
        shown = self._scene()
        self._checks.equal("scene: status", shown["status"], "completed")
        self._checks.equal("scene: image", shown["image_url"], job.video["image_url"])
        self._checks.that(bool(shown["video_url"]), "scene: has no video")
        status, content = get_public(shown["image_url"])
        self._checks.equal("scene: public image", status, 200)
        path = self._out / f"{job.name}.png"
        path.write_bytes(content)
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            found = (image.format, image.size)
            self._checks.equal("scene: image", found, ("PNG", SCENE_IMAGE))
            self._screen.say(
                f"its image is public: {image.width}x{image.height}, {len(content):,} bytes"
            )
            self._check_start(job, image)
        asked = [(each["endpoint"], each["input"]) for _, each in self._inspector.paid(job.job_id)]
        endpoints = [endpoint for endpoint, _ in asked]
        self._checks.equal(
            "scene: tasks", endpoints, ["text_to_image/gen4_image", "image_to_video/gen4_turbo"]
        )
        for (endpoint, task), url in zip(asked, (reference, shown["image_url"]), strict=False):
            self._checks.that(url in json.dumps(task), f"{endpoint} was not given {url}")

    def _check_start(self, job: Job, image: Image.Image) -> None:
        first, _ = ends(self._out / f"{job.name}.mp4")
        others = {name: unlikeness(first, self._image(name)) for name in MOMENTS}
        self._checks.that(
            unlikeness(first, image) < min(others.values()),
            f"{job.name}: begins like one of {others}, not like its image",
        )

    # ── Afterwards ───────────────────────────────────────────────────────────────────────────────

    def _held_for(self, job: Job) -> None:
        self._balance -= job.estimate
        self._held += job.estimate

    def _end(self, job: Job, status: str) -> None:
        """Check the job's final status and what the user paid."""
        failed = status == "failed"
        video = job.video
        self._checks.equal(f"{job.name}: status", video["status"], status)
        used = 0 if failed else job.estimate
        self._checks.equal(f"{job.name}: credits used", video["credits_used"], used)
        error = "PROVIDER_ERROR" if failed else None
        self._checks.equal(f"{job.name}: error", video["error_code"], error)
        self._held -= job.estimate
        self._balance += job.estimate - used

    def _after_all(self, jobs: Sequence[Job], *, clips: bool) -> None:
        for job in jobs:
            self._end(job, "completed")
        if not clips:
            return
        self._show_clips("in the end", completed=3)
        idle = self._post_clips(str(uuid.uuid4()))
        self._checks.equal("a third call's clips", idle["clips"], [])
        self._checks.equal("a third call's charge", idle["credits_used"], 0)
        self._screen.say("a third request starts nothing, because every clip is completed")
        reads = [
            call.operation
            for run in self._stack.invocations(function="ProjectsFunction")
            if run.event.get("rawPath") == f"{self._path}/clips"
            for call in run.calls
        ]
        self._checks.that(bool(reads), "the summary made no AWS call")
        self._checks.equal("the summary's other calls", set(reads) - _READS, set())

    def _image(self, name: str) -> Image.Image:
        with Image.open(self._out / f"{name}.png") as image:
            image.load()
            return image

    def _look_at(self, jobs: Sequence[Job], urls: dict[str, str]) -> None:
        """Download the videos. Each must begin and end with its own images."""
        completed = [job for job in jobs if job.video["status"] == "completed"]
        self._download(completed)
        names = {url: name for name, url in urls.items()} | {None: ""}
        for job in completed:
            if job.name == "scene":
                continue
            wanted = [names[job.order.image_url] or next(iter(MOMENTS))]
            wanted += filter(None, [names[job.order.last_image_url]])
            for frame, name in zip(ends(self._out / f"{job.name}.mp4"), wanted, strict=False):
                distances = {each: unlikeness(frame, self._image(each)) for each in MOMENTS}
                nearest = min(distances, key=distances.__getitem__)
                self._checks.equal(f"{job.name}: a frame looks like", nearest, name)
