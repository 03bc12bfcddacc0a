"""The third act: each protocol's own client makes a video, as it stands in docs/doors.md.

All clients run at once, for one user with credits, and each file is decoded. A client is left out
if its provider is real, or if this computer does not have what it needs.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from local.clients import Client, clients
from local.demo.app import App, download
from local.demo.checks import Checks, decode
from local.demo.images import paint
from local.demo.screen import Screen
from local.stack import Stack

USER = "demo-clients"
CREDITS = 200
PROVIDER = {
    "generate-video": "fal",
    "scene-tasks": "runway",
    "project-clips": "runware",
    "image-videos": "runway",
    "openai": "fal",
}
"""Who makes the video of each client."""
FRAMES = {"first_frame": "https://example.com/1.png", "last_frame": "https://example.com/2.png"}
SECONDS = 4


class ThirdAct:
    """One run on the stack of the other acts, with a user of its own."""

    def __init__(self, stack: Stack, screen: Screen, checks: Checks) -> None:
        self._stack = stack
        self._screen = screen
        self._checks = checks

    def run(self) -> None:
        """Run the act. Raises what `App` raises."""
        playing = {name: client for name, client in clients().items() if self._can_play(client)}
        if not playing:
            return
        self._screen.heading("Third act: clients of other services, with another host and a token")
        with TemporaryDirectory() as folder, ThreadPoolExecutor(len(playing)) as pool:
            given = self._prepare(Path(folder))
            began = time.monotonic()
            runs = {
                name: pool.submit(self._play, client, Path(folder), given)
                for name, client in playing.items()
            }
            rows = [(name, playing[name].language, *runs[name].result()) for name in runs]
        self._screen.table(("protocol", "client", "video", "seconds"), rows)
        self._screen.say(f"all at once in {time.monotonic() - began:.1f} s")
        with App(self._stack.api_url, self._stack.bearer(USER)) as app:
            account = app.get("/v1/credits").json()
            kinds = [entry["kind"] for entry in app.all_entries()]
        self._checks.equal("holds of the clients", account["held"], 0)
        # A scene has an image and a video; each client is charged once.
        stages = len(playing) + ("scene-tasks" in playing)
        self._checks.equal("charges of the clients", kinds.count("capture"), stages)

    def _can_play(self, client: Client) -> bool:
        if PROVIDER[client.protocol] not in self._stack.simulators:
            return False
        if client.missing:
            self._screen.say(f"{client.protocol} is left out: no {', '.join(client.missing)} here.")
        return not client.missing

    def _prepare(self, folder: Path) -> dict[str, str]:
        """What the clients need: credits, a scene, a project with frames, and an image."""
        grant = {"user_id": USER, "amount": CREDITS, "reference": f"purchase-{uuid.uuid4()}"}
        with App(self._stack.api_url, self._stack.bearer("shop", admin=True)) as owner:
            owner.post("/v1/admin/grants", grant)
        drawn = {"image_prompt": "A red kettle", "visual_prompt": "It boils", "duration": SECONDS}
        framed = {"visual_prompt": "A smooth turn", "duration": SECONDS, **FRAMES}
        with App(self._stack.api_url, self._stack.bearer(USER)) as app:
            scene, clips = (
                app.post("/v1/projects", {"resolution": "1280:720", "scenes": [each]}).json()
                for each in (drawn, framed)
            )
        image = folder / "frame.png"
        image.write_bytes(paint("dawn"))
        return {
            "API": self._stack.api_url,
            "TOKEN": self._stack.token(USER),
            "USER_ID": USER,
            "MODEL": "veo-3.1",
            "KEY": str(uuid.uuid4()),
            "SCENE_ID": scene["scenes"][0]["scene_id"],
            "PROJECT_ID": clips["project_id"],
            "IMAGE": str(image),
            "FILE": str(folder / "openai.mp4"),
        }

    def _play(self, client: Client, folder: Path, given: Mapping[str, str]) -> tuple[str, str]:
        """Run a client and decode its video. Returns its size and its duration."""
        name = client.protocol
        prompt = f"A lighthouse at dawn, for {name}"  # the same prompt would be the same order
        try:
            said = client.run(folder, {**given, "PROMPT": prompt}).strip()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            self._checks.that(False, f"{name}: its client failed: {error.stderr!r}")
            return "none", ""
        file = folder / f"{name}.mp4"
        if name != "openai":
            download(said, file)
        clip = decode(file)
        self._checks.equal(f"{name}: codec", clip.codec, "h264")
        self._checks.that(clip.seconds > 1, f"{name}: lasts {clip.seconds:.2f} s")
        return f"{clip.width}x{clip.height}", f"{clip.seconds:.1f}"
