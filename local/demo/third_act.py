"""The third act: clients of other services, written in docs/doors.md, make videos here.

A client is left out if this computer does not have what it needs.
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
from local.demo.act import Act
from local.demo.app import public
from local.demo.checks import decode
from local.demo.second_act import paint

FRAMES = {"first_frame": "https://example.com/1.png", "last_frame": "https://example.com/2.png"}


class ThirdAct(Act):
    """One run with a user of its own."""

    user = "demo-clients"

    def play(self) -> None:
        self.heading("Third act: clients of other services, with another host and a token")
        playing = []
        for client in clients().values():
            if client.missing:
                missing = ", ".join(client.missing)
                self.say(f"{client.protocol} is left out: no {missing} here.")
            else:
                playing.append(client)
        with TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
            given = self._prepare(Path(folder))
            began = time.monotonic()
            runs = [pool.submit(self._play, client, Path(folder), given) for client in playing]
            self.table(("protocol", "client", "video", "seconds"), [run.result() for run in runs])
        self.say(f"all at once in {time.monotonic() - began:.1f} s")
        self.equal("holds of the clients", self.app.credits()["held"], 0)
        kinds = [entry["kind"] for entry in self.app.journal()]
        # A scene has an image and a video; each client is charged once.
        stages = len(playing) + ("scene-tasks" in {client.protocol for client in playing})
        self.equal("charges of the clients", kinds.count("capture"), stages)

    def _prepare(self, folder: Path) -> dict[str, str]:
        """What the clients need: credits, a scene, a project with frames, and an image."""
        self.owner.grant(self.user, 200)
        drawn = {"image_prompt": "A red kettle", "visual_prompt": "It boils", "duration": 4}
        framed = {"visual_prompt": "A smooth turn", "duration": 4, **FRAMES}
        scene, clips = (
            self.app.post("/v1/projects", json={"resolution": "1280:720", "scenes": [each]}).json()
            for each in (drawn, framed)
        )
        image = folder / "frame.png"
        image.write_bytes(paint("dawn"))
        return {
            "API": self.stack.api_url,
            "TOKEN": self.stack.token(self.user),
            "USER_ID": self.user,
            "MODEL": "veo-3.1",
            "KEY": str(uuid.uuid4()),
            "SCENE_ID": scene["scenes"][0]["scene_id"],
            "PROJECT_ID": clips["project_id"],
            "IMAGE": str(image),
            "FILE": str(folder / "openai.mp4"),
        }

    def _play(self, client: Client, folder: Path, given: Mapping[str, str]) -> tuple[str, ...]:
        """Run a client and decode its video. Returns its row of the table."""
        name = client.protocol
        prompt = f"A lighthouse at dawn, for {name}"  # the same prompt would be the same order
        try:
            printed = client.run(folder, {**given, "PROMPT": prompt}).strip()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            self.checks.that(False, f"{name}: its client failed: {error.stderr!r}")
            return name, client.language, "none", ""
        file = folder / f"{name}.mp4"
        if name != "openai":  # which saves the video itself; the others print its URL
            file.write_bytes(public().get(printed).raise_for_status().content)
        clip = decode(file)
        self.equal(f"{name}: codec", clip.codec, "h264")
        self.checks.that(clip.seconds > 1, f"{name}: lasts {clip.seconds:.2f} s")
        seconds, size = clip.looks
        return name, client.language, size, seconds
