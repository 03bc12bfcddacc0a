"""The second act: pictures go in, and a project's image, frame pairs and scene become videos.

All of it starts from pictures on this machine, or makes one that lies there, so each part needs a
simulator: a real provider cannot fetch from a laptop, and what it would make is left out.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from local.demo.app import look, upload
from local.demo.checks import ends, unlikeness
from local.demo.first_act import FAILURES, Story, Take
from local.demo.images import MOMENTS, SIZE, paint
from local.demo.inspection import told
from local.demo.orders import NAMES, clips, from_project, scene

UNLUCKY = "afternoon"
"""The clip that the provider fails, once."""
SCENE_RESOLUTION = "960:960"
SCENE_PICTURE = (1024, 1024)
"""What a picture is asked for in, where videos shall be of that resolution."""
RUNWAY_POLLS = [5, 5, 10, 15]
"""Seconds between questions: as soon as Runway wants to be asked, and no sooner."""

_READS = {"GetItem", "Query", "BatchGetItem"}


class SecondAct(Story):
    """One run on the stack of the first act, with what that left on the account."""

    _project = ""
    _scene_path = ""
    _held = 0

    def tell_on(self) -> None:
        """All of it. Raises as `Story.tell`."""
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
            takes = [*videos, *scenes, *made]
            if not takes:
                return
            self._screen.heading("All at once: a video, a scene in two stages, three clips")
            # One right after the other: none may end before all have begun.
            for take in videos:
                self._begin(take, str(uuid.uuid4()), self._balance - take.estimate)
                self._held_for(take)
            for take in scenes:
                self._start_scene(take)
            if made:
                self._start_clips(made)
            self._show_account("while all run", self._balance, self._held)
            self._watch(takes, until=[*videos, *made] or None)
            again = self._after_clips(made)
            if waiting := [take for take in (*again, *scenes) if not take.ended]:
                self._watch(waiting)
            self._after_all([*videos, *again, *scenes], clips=bool(made))
            self._show_account("after all", self._balance, 0)
            everything = [*takes, *again]
            self._look_at(everything, urls)
            for take in everything:
                self._check_behind(take)
            lines = self._journal(everything, after=len(before))
            for take in scenes:
                self._check_scene(take, urls["dusk"], lines)

    def _is_played(self, provider: str, what: str) -> bool:
        if provider in self._stack.simulators:
            return True
        who = NAMES[provider]
        self._screen.say(f"{what} is left out: the real {who} cannot fetch from this machine.")
        return False

    # ── Pictures ─────────────────────────────────────────────────────────────────────────────────

    def _upload(self) -> dict[str, str]:
        """Four pictures, by presigned forms; their public URLs by name. The first one's project is
        ours."""
        self._screen.heading("Second act: the user uploads four pictures with presigned forms")
        self._out.mkdir(parents=True, exist_ok=True)
        urls, rows = {}, []
        for name in MOMENTS:
            content = paint(name)
            answer = self._app.post("/v1/images", {"content_type": "image/png"})
            asked = answer.json()
            url = urls[name] = asked["image_url"]
            self._checks.equal(f"{name}: answer to a new image", answer.status_code, 201)
            self._checks.equal(f"{name}: public before", look(url)[0], 403)
            self._checks.equal(f"{name}: upload", upload(asked["upload"], content), 204)
            status, seen = look(url)
            self._checks.equal(f"{name}: public after", (status, seen == content), (200, True))
            path = self._out / f"{name}.png"
            path.write_bytes(seen)
            with Image.open(path) as picture:
                picture.load()
                self._checks.equal(
                    f"{name}: picture", (picture.format, picture.size), ("PNG", SIZE)
                )
                size = f"{picture.width}x{picture.height}"
            shown = self._app.get(f"/v1/projects/{asked['project_id']}").json()["image_url"]
            self._checks.equal(f"{name}: image of its project", shown, url)
            self._project = self._project or asked["project_id"]
            rows.append((name, size, len(seen), f"…/{url.rpartition('/')[2]}"))
        self._screen.table(("picture", "size", "bytes", "public URL"), rows)
        return urls

    def _price_video(self) -> list[Take]:
        return [self._estimated(from_project(self._project))]

    # ── Clips ────────────────────────────────────────────────────────────────────────────────────

    def _add_scenes(self, urls: dict[str, str]) -> list[Take]:
        """A scene for each clip, which the project then has none of yet; one clip shall fail."""
        shots = clips(list(urls.values()))
        self._show_clips("before")
        for shot in shots:
            scene_ = {
                "visual_prompt": shot.prompt,
                "first_frame": shot.image_url,
                "last_frame": shot.last_image_url,
                "duration": shot.seconds,
            }
            if shot.model_id != shots[0].model_id:
                scene_["model_id"] = shot.model_id
            added = self._app.post(f"{self._path}/scenes", scene_)
            self._checks.equal(f"{shot.name}: scene", added.json()["status"], "pending")
        kind, params = FAILURES["runware"]
        prompt = next(shot.prompt for shot in shots if shot.name == UNLUCKY)
        self._stack.simulators["runware"].arm(kind, prompt_contains=prompt, **params)
        return [self._estimated(shot) for shot in shots]

    @property
    def _path(self) -> str:
        return f"/v1/projects/{self._project}"

    def _start_clips(self, takes: Sequence[Take]) -> None:
        """One call for all of them, sent twice."""
        key = str(uuid.uuid4())
        accepted = self._post_clips(key)
        started = accepted["clips"]
        self._checks.equal("clips started", len(started), len(takes))
        for take, clip in zip(takes, started, strict=True):
            take.job_id = clip["job_id"]
            self._checks.equal(f"{take.name}: charge", clip["credits_used"], take.estimate)
            self._held_for(take)
        self._checks.equal("clips: balance", accepted["credits_remaining"], self._balance)
        self._checks.equal("clips: a retry's answer", self._post_clips(key), accepted)
        prices = " + ".join(str(take.estimate) for take in takes)
        self._screen.say(f"three clips in one call, sent twice, held once: {prices} credits")
        self._show_clips("while they run", pending=len(takes))

    def _post_clips(self, key: str) -> dict[str, Any]:
        answer = self._app.post(f"{self._path}/clips", {}, idempotency_key=key)
        self._checks.equal("answer to the clips' start", answer.status_code, 202)
        accepted: dict[str, Any] = answer.json()
        return accepted

    def _show_clips(
        self, moment: str, *, completed: int = 0, pending: int = 0, failed: int = 0
    ) -> list[dict[str, Any]]:
        """Show the project's summary, which must have these numbers; its clips."""
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
        told_ = ", ".join(f"{name} {str(value).lower()}" for name, value in summary.items())
        self._screen.say(f"clips {moment}: {told_}")
        self._checks.equal(f"clips {moment}: summary", summary, expected)
        playing = [clip["scene_id"] for clip in found if clip["video_url"]]
        self._checks.equal(f"clips {moment}: with a video", len(playing), completed)
        return found

    def _after_clips(self, takes: Sequence[Take]) -> list[Take]:
        """The two others are there, and another call makes the missing one alone."""
        if not takes:
            return []
        for take in takes:
            self._end(take, "failed" if take.name == UNLUCKY else "completed")
        made = self._stack.simulators["runware"].submissions()
        ours = [each for take in takes for each in made if self._is_about(each, take)]
        self._checks.equal("clips: tasks at the provider", len(ours), len(takes))
        spans = [self._behind.span(take.job_id) for take in takes]
        self._checks.that(
            max(began for began, _ in spans) < min(ended for _, ended in spans),
            f"the clips were not under way at the same time, but {spans}",
        )
        self._screen.heading("One clip has failed: calling again makes that one, and no other")
        self._show_clips("after", completed=2, failed=1)
        unlucky = next(take for take in takes if take.name == UNLUCKY)
        self._screen.say(f"{unlucky.name}: {unlucky.video['error_message']}")
        again = Take(replace(unlucky.shot, name=f"{UNLUCKY}-again"), unlucky.estimate)
        started = self._post_clips(str(uuid.uuid4()))["clips"]
        scenes = [(clip["scene_id"], clip["credits_used"]) for clip in started]
        expected = [(unlucky.video["scene_id"], unlucky.estimate)]
        self._checks.equal("scenes of the second call", scenes, expected)
        again.job_id = started[0]["job_id"]
        self._held_for(again)
        self._show_clips("again", completed=2, pending=1)
        return [again]

    def _is_about(self, submission: dict[str, Any], take: Take) -> bool:
        return bool(submission["input"]["positivePrompt"] == take.shot.prompt)

    # ── A scene in two stages ────────────────────────────────────────────────────────────────────

    def _prepare_scene(self, reference: str) -> list[Take]:
        """A scene of another project, with a picture of a thing that shall be in it."""
        self._ask_runway_sooner()
        shot = scene(reference)
        new = {
            "resolution": SCENE_RESOLUTION,
            "scenes": [
                {
                    "image_prompt": "The boat of the reference, far out at sea",
                    "visual_prompt": shot.prompt,
                    "product_reference_image_url": reference,
                    "duration": shot.seconds,
                }
            ],
        }
        self._scene_path = self._app.post("/v1/projects", new).headers["Location"]
        return [self._estimated(shot)]

    def _scene(self) -> dict[str, Any]:
        found: dict[str, Any] = self._app.get(self._scene_path).json()["scenes"][0]
        return found

    def _start_scene(self, take: Take) -> None:
        """Both prices are held at once."""
        path = f"/v1/scenes/{self._scene()['scene_id']}/video"
        answer = self._app.post(path, {}, idempotency_key=str(uuid.uuid4()))
        accepted = answer.json()
        self._checks.equal("scene: answer to the start", answer.status_code, 202)
        prices = accepted["prices"]
        self._checks.equal("scene: price of its video", prices["generate_scene"], take.estimate)
        take.estimate = accepted["credits_used"]
        self._checks.equal("scene: charge", sum(prices.values()), take.estimate)
        self._checks.equal("scene: priced", list(prices), ["generate_image", "generate_scene"])
        take.job_id = accepted["job_id"]
        self._held_for(take)
        self._checks.equal("scene: balance", accepted["credits_remaining"], self._balance)
        priced = " + ".join(f"{name} {credits_}" for name, credits_ in prices.items())
        self._screen.say(f"two prices of the scene, held together: {priced}")

    def _ask_runway_sooner(self) -> None:
        """The owner changes two models: as Runway has no webhooks, they are asked about, at first
        after the quarter of a minute that the real ones take at least."""
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

    def _check_scene(self, take: Take, reference: str, lines: Sequence[dict[str, Any]]) -> None:
        """Its picture is public, has the reference in it, and is what the video starts from."""
        self._screen.heading("How the scene went")
        states = self._behind.transitions(take.job_id)
        middle = len(states) - 1 - states[::-1].index("Submit")
        self._screen.say(f"picture: {told(states[:middle])}")
        self._screen.say(f"video:   {told(states[middle:])}")
        ours = [line for line in lines if line["job_id"] == take.job_id]
        said = ", ".join(f"{line['kind']} {line['stage']} {line['credits']}" for line in ours)
        self._screen.say(f"journal: {said}")
        numbers = [line["sequence"] for line in ours]
        together = [numbers[0], numbers[0] + 1]
        self._checks.equal("scene: lines of its two holds", numbers[:2], together)
        shown = self._scene()
        self._checks.equal("scene: status", shown["status"], "completed")
        self._checks.equal("scene: picture", shown["image_url"], take.video["image_url"])
        self._checks.that(bool(shown["video_url"]), "scene: has no video")
        status, content = look(shown["image_url"])
        self._checks.equal("scene: public picture", status, 200)
        path = self._out / f"{take.name}.png"
        path.write_bytes(content)
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            found = (picture.format, picture.size)
            self._checks.equal("scene: picture", found, ("PNG", SCENE_PICTURE))
            self._screen.say(
                f"its picture is public: {picture.width}x{picture.height}, {len(content):,} bytes"
            )
            self._check_start(take, picture)
        asked = [(each["endpoint"], each["input"]) for _, each in self._behind.paid(take.job_id)]
        endpoints = [endpoint for endpoint, _ in asked]
        self._checks.equal(
            "scene: tasks", endpoints, ["text_to_image/gen4_image", "image_to_video/gen4_turbo"]
        )
        for (endpoint, task), url in zip(asked, (reference, shown["image_url"]), strict=False):
            self._checks.that(url in json.dumps(task), f"{endpoint} was not given {url}")

    def _check_start(self, take: Take, picture: Image.Image) -> None:
        first, _ = ends(self._out / f"{take.name}.mp4")
        others = {name: unlikeness(first, self._picture(name)) for name in MOMENTS}
        self._checks.that(
            unlikeness(first, picture) < min(others.values()),
            f"{take.name}: begins like one of {others}, not like its picture",
        )

    # ── Afterwards ───────────────────────────────────────────────────────────────────────────────

    def _held_for(self, take: Take) -> None:
        self._balance -= take.estimate
        self._held += take.estimate

    def _end(self, take: Take, status: str) -> None:
        """Was this the end that was expected, and paid for accordingly?"""
        failed = status == "failed"
        video = take.video
        self._checks.equal(f"{take.name}: status", video["status"], status)
        used = 0 if failed else take.estimate
        self._checks.equal(f"{take.name}: credits used", video["credits_used"], used)
        error = "PROVIDER_ERROR" if failed else None
        self._checks.equal(f"{take.name}: error", video["error_code"], error)
        self._held -= take.estimate
        self._balance += take.estimate - used

    def _after_all(self, takes: Sequence[Take], *, clips: bool) -> None:
        for take in takes:
            self._end(take, "completed")
        if not clips:
            return
        self._show_clips("in the end", completed=3)
        idle = self._post_clips(str(uuid.uuid4()))
        self._checks.equal("a third call's clips", idle["clips"], [])
        self._checks.equal("a third call's charge", idle["credits_used"], 0)
        self._screen.say("called a third time, nothing is started: there is nothing to make")
        reads = [
            call.operation
            for run in self._stack.invocations(function="ProjectsFunction")
            if run.event.get("rawPath") == f"{self._path}/clips"
            for call in run.calls
        ]
        self._checks.that(bool(reads), "the summary was read from nowhere")
        self._checks.equal("the summary's other calls", set(reads) - _READS, set())

    def _picture(self, name: str) -> Image.Image:
        with Image.open(self._out / f"{name}.png") as picture:
            picture.load()
            return picture

    def _look_at(self, takes: Sequence[Take], urls: dict[str, str]) -> None:
        """Download what was made; each video begins and ends with its own pictures."""
        completed = [take for take in takes if take.video["status"] == "completed"]
        self._download(completed)
        names = {url: name for name, url in urls.items()} | {None: ""}
        for take in completed:
            if take.name == "scene":
                continue
            wanted = [names[take.shot.image_url] or next(iter(MOMENTS))]
            wanted += filter(None, [names[take.shot.last_image_url]])
            for frame, name in zip(ends(self._out / f"{take.name}.mp4"), wanted, strict=False):
                distances = {each: unlikeness(frame, self._picture(each)) for each in MOMENTS}
                nearest = min(distances, key=distances.__getitem__)
                self._checks.equal(f"{take.name}: a frame looks like", nearest, name)
