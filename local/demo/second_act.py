"""The second act: the user uploads images and makes videos of a project's image, frame pairs and
scene.

The images are stored on this machine, where a real provider could not download them. So this act
needs the simulators.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image, ImageOps

from local.demo.act import FAILURES, Act, Job
from local.demo.app import once, public
from local.demo.checks import most_similar
from local.demo.inspection import counted
from local.demo.orders import clips, from_project, scene

SKIES = {
    "dawn": ("#5c4a8c", "#fab08c"),
    "noon": ("#2882e1", "#bee4fa"),
    "dusk": ("#78283c", "#ff8228"),
    "night": ("#040818", "#141e46"),
}
"""The images to upload: colours of the sky, from above to below."""
SIZE = (720, 1280)
REFERENCE = "dusk"
"""The image whose object the scene's image must contain."""
SCENE_SIZE = (1024, 1024)
"""The size of the images that are made for square videos."""
UNLUCKY = "afternoon"
"""The clip that the provider fails once."""
RUNWAY_POLLS = [5, 5, 10, 15]
"""Seconds between polls, as short as Runway allows."""
READS = {"GetItem", "Query", "BatchGetItem"}


def paint(name: str) -> bytes:
    """A sky as a PNG."""
    file = io.BytesIO()
    gradient = Image.linear_gradient("L").resize(SIZE)
    ImageOps.colorize(gradient, *SKIES[name]).save(file, "PNG")
    return file.getvalue()


class SecondAct(Act):
    """One run with the credits that the first act left on the account."""

    def play(self) -> None:
        before = self.app.journal()
        self.available = before[-1]["balance_after"]
        self._upload()
        video = self.price(from_project(self.project))
        scene_job = self._prepare_scene()
        made = self._prepare_clips()
        self.heading("All at once: a video, a scene in two stages, three clips")
        # Start them without a pause: no job may end before all have started.
        self.start(video, once())
        self._start_scene(scene_job)
        self._start_clips(made)
        self.account("while all run")
        self.watch([video, scene_job, *made], until=[video, *made])
        again = self._repeat_clip(made)
        self.watch([job for job in (again, scene_job) if not job.ended])
        for job in (video, again, scene_job):
            self.end(job)
        self._find_all_clips()
        self.account("after all")
        jobs = [video, scene_job, *made, again]
        self._look_at(jobs)
        for job in jobs:
            self.inspect(job)
        entries = self.journal(jobs, after=len(before))
        ours = [entry for entry in entries if entry["job_id"] == scene_job.job_id]
        self._check_scene(scene_job, ours)

    # ── Images ───────────────────────────────────────────────────────────────────────────────────

    def _upload(self) -> None:
        """Upload four images with presigned forms. The first one's project is that of the clips."""
        self.heading("Second act: the user uploads four images with presigned forms")
        self.out.mkdir(parents=True, exist_ok=True)
        self.urls: dict[str, str] = {}
        self.images: dict[str, Image.Image] = {}
        self.project = ""
        for name in SKIES:
            content, check = paint(name), self.about(name)
            answer = self.app.post("/v1/images", json={"content_type": "image/png"})
            check("answer to a new image", answer.status_code, 201)
            new = answer.json()
            url, form, project_id = new["image_url"], new["upload"], new["project_id"]
            check("public before", public().get(url).status_code, 403)
            upload = public().post(form["url"], data=form["fields"], files={"file": content})
            check("upload", upload.status_code, 204)
            shown = public().get(url)
            check("public after", (shown.status_code, shown.content == content), (200, True))
            image = self._keep(name, shown.content)
            check("image", (image.format, image.size), ("PNG", SIZE))
            project = self.app.read(f"/v1/projects/{project_id}")
            check("image of its project", project["image_url"], url)
            self.urls[name] = url
            self.project = self.project or project_id
            self.say(f"{name:5}  {len(content):,} bytes  …/{url.rpartition('/')[2]}")

    def _keep(self, name: str, content: bytes) -> Image.Image:
        """Decode an image and save it as a file."""
        (self.out / f"{name}.png").write_bytes(content)
        self.images[name] = Image.open(io.BytesIO(content))
        self.images[name].load()
        return self.images[name]

    def _look_at(self, jobs: Sequence[Job]) -> None:
        """Download the videos. Each must begin and end with its own images."""
        self.videos = self.download(jobs)
        names = {url: name for name, url in self.urls.items()}
        for job in jobs:
            if not job.completed or job.name == "scene":  # which starts from an image of its own
                continue
            wanted = [names[url] for url in job.order.start.values() if url in names]
            for frame, name in zip(self.videos[job.name].ends, wanted or ["dawn"], strict=False):
                found = most_similar(frame, self.images)
                self.equal(f"{job.name}: a frame looks like", found, name)

    # ── Clips ────────────────────────────────────────────────────────────────────────────────────

    def _prepare_clips(self) -> list[Job]:
        """Add a scene for each clip, and a fault that fails one clip."""
        orders = clips([self.urls[name] for name in SKIES])
        self._summary("before")
        for order in orders:
            new = {
                "visual_prompt": order.prompt,
                "first_frame": order.start["image_url"],
                "last_frame": order.start["last_image_url"],
                "duration": order.seconds,
            }
            if order.model != orders[0].model:
                new["model_id"] = order.model.model_id
            added = self.app.post(f"/v1/projects/{self.project}/scenes", json=new).json()
            self.equal(f"{order.name}: scene", added["status"], "pending")
            if order.name == UNLUCKY:
                runware = self.stack.simulators["runware"]
                runware.arm(prompt_contains=order.prompt, **FAILURES["runware"])
        return [self.price(order) for order in orders]

    def _start_clips(self, jobs: Sequence[Job]) -> None:
        """Start all clips with one request, and send that request twice."""
        key = once()
        accepted = self._post_clips(key)
        self.equal("clips started", len(accepted["clips"]), len(jobs))
        for job, clip in zip(jobs, accepted["clips"], strict=True):
            job.job_id = clip["job_id"]
            self.equal(f"{job.name}: charge", clip["credits_used"], job.price)
            self.hold(job)
        self.equal("clips: balance", accepted["credits_remaining"], self.available)
        self.equal("clips: a retry's answer", self._post_clips(key), accepted)
        prices = " + ".join(str(job.price) for job in jobs)
        self.say(f"three clips in one call, sent twice, held once: {prices} credits")
        self._summary("while they run", pending=len(jobs))

    def _post_clips(self, key: Mapping[str, str]) -> dict[str, Any]:
        answer = self.app.post(f"/v1/projects/{self.project}/clips", json={}, headers=key)
        self.equal("answer to the clips' start", answer.status_code, 202)
        return dict(answer.json())

    def _summary(self, moment: str, **numbers: int) -> None:
        """Print the project's summary, which must have these numbers of clips."""
        summary = self.app.read(f"/v1/projects/{self.project}/clips")
        playing = [clip for clip in summary.pop("clips") if clip["video_url"]]
        expected = {"completed": 0, "pending": 0, "failed": 0, **numbers}
        total, completed = sum(expected.values()), expected["completed"]
        expected |= {"total_clips": total, "all_complete": 0 < total == completed}
        counts = ", ".join(f"{name} {str(value).lower()}" for name, value in summary.items())
        self.say(f"clips {moment}: {counts}")
        self.equal(f"clips {moment}: summary", summary, expected)
        self.equal(f"clips {moment}: with a video", len(playing), completed)

    def _repeat_clip(self, jobs: Sequence[Job]) -> Job:
        """Two clips are completed. A second request makes only the failed one again."""
        self.heading("One clip has failed: calling again makes that one, and no other")
        for job in jobs:
            self.end(job, "failed" if job.name == UNLUCKY else "completed")
        prompts = {job.order.prompt for job in jobs}
        made = self.stack.simulators["runware"].submissions()
        ours = [each for each in made if each["input"]["positivePrompt"] in prompts]
        self.equal("clips: tasks at the provider", len(ours), len(jobs))
        runs = [self.backstage.execution(job.job_id) for job in jobs]
        together = max(run["startDate"] for run in runs) < min(run["stopDate"] for run in runs)
        self.checks.that(together, "the clips were not under way at the same time")
        self._summary("after", completed=2, failed=1)
        [failed] = [job for job in jobs if job.name == UNLUCKY]
        [started] = self._post_clips(once())["clips"]
        found = (started["scene_id"], started["credits_used"])
        self.equal("scenes of the second call", found, (failed.video["scene_id"], failed.price))
        order = replace(failed.order, name=f"{UNLUCKY}-again")
        again = Job(order, failed.price, started["job_id"])
        self.hold(again)
        self._summary("again", completed=2, pending=1)
        return again

    def _find_all_clips(self) -> None:
        self._summary("in the end", completed=3)
        idle = self._post_clips(once())
        self.equal("a third call's clips", idle["clips"], [])
        self.equal("a third call's charge", idle["credits_used"], 0)
        self.say("a third request starts nothing, because every clip is completed")
        path = f"/v1/projects/{self.project}/clips"
        runs = self.stack.invocations(function="ProjectsFunction")
        calls = [call for run in runs if run.event.get("rawPath") == path for call in run.calls]
        self.checks.that(bool(calls), "the summary made no AWS call")
        self.equal("the summary's other calls", {call.operation for call in calls} - READS, set())

    # ── A scene in two stages ────────────────────────────────────────────────────────────────────

    def _prepare_scene(self) -> Job:
        """Create another project with one scene, whose image contains the referenced object."""
        self._ask_runway_sooner()
        order = scene(self.urls[REFERENCE])
        new = {
            "image_prompt": "The sky of the reference, far out at sea",
            "visual_prompt": order.prompt,
            "product_reference_image_url": self.urls[REFERENCE],
            "duration": order.seconds,
        }
        project = {"resolution": order.aspect_ratio, "scenes": [new]}
        self.scene_path = self.app.post("/v1/projects", json=project).headers["Location"]
        return self.price(order)

    def _ask_runway_sooner(self) -> None:
        """Poll two models of Runway sooner. Runway has no webhooks, and the catalog's first poll
        comes after 15 seconds, the least time that the real models take."""
        for model_id in ("gen4-image", "gen4-turbo"):
            item = self.stack.boto3("dynamodb").get_item(
                TableName=self.stack.tables["ModelsTable"], Key={"model_id": {"S": model_id}}
            )["Item"]
            model = json.loads(item["definition"]["S"]) | {"poll_seconds": RUNWAY_POLLS}
            changed = self.owner.put(f"/v1/admin/models/{model_id}", json=model).json()
            self.equal(f"{model_id}: asked about", changed["poll_seconds"], RUNWAY_POLLS)

    def _scene(self) -> dict[str, Any]:
        return dict(self.app.read(self.scene_path)["scenes"][0])

    def _start_scene(self, job: Job) -> None:
        """Start the scene's video. One transaction holds the prices of both stages."""
        path = f"/v1/scenes/{self._scene()['scene_id']}/video"
        answer = self.app.post(path, json={}, headers=once())
        prices = answer.json()["prices"]
        self.equal("scene: priced", list(prices), ["generate_image", "generate_scene"])
        self.equal("scene: price of its video", prices["generate_scene"], job.price)
        job.price = sum(prices.values())
        self.accept(job, answer)
        priced = " + ".join(f"{name} {price}" for name, price in prices.items())
        self.say(f"two prices of the scene, held together: {priced}")

    def _check_scene(self, job: Job, entries: Sequence[dict[str, Any]]) -> None:
        """Check that the scene's image is public, shows the reference, and starts the video."""
        self.heading("How the scene went")
        states = self.backstage.states(job.job_id)
        middle = len(states) - 1 - states[::-1].index("Submit")
        self.say(f"image: {counted(states[:middle])}")
        self.say(f"video: {counted(states[middle:])}")
        lines = (f"{each['kind']} {each['stage']} {each['credits']}" for each in entries)
        self.say(f"journal: {', '.join(lines)}")
        check, shown = self.about("scene"), self._scene()
        first, second = (each["sequence"] for each in entries[:2])
        check("lines of its two holds", second, first + 1)
        check("status", shown["status"], "completed")
        check("image", shown["image_url"], job.video["image_url"])
        self.checks.that(bool(shown["video_url"]), "scene: has no video")
        answer = public().get(shown["image_url"])
        check("public image", answer.status_code, 200)
        image = self._keep("scene", answer.content)
        self.say("its image is public: {}x{}, {:,} bytes".format(*image.size, len(answer.content)))
        check("image", (image.format, image.size), ("PNG", SCENE_SIZE))
        first_frame, _ = self.videos["scene"].ends
        check("a frame looks like", most_similar(first_frame, self.images), "scene")
        tasks = [task for _, task in self.backstage.submissions(job.job_id)]
        endpoints = ["text_to_image/gen4_image", "image_to_video/gen4_turbo"]
        check("tasks", [task["endpoint"] for task in tasks], endpoints)
        for task, url in zip(tasks, (self.urls[REFERENCE], shown["image_url"]), strict=False):
            given = url in json.dumps(task["input"])
            self.checks.that(given, f"{task['endpoint']} was not given {url}")
