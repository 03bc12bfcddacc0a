"""`python -m local.demo`; see the package, and `--help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import av
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from PIL import UnidentifiedImageError

from local.demo.app import UnexpectedAnswer
from local.demo.checks import Checks
from local.demo.screen import Screen
from local.demo.shots import USD_PER_SECOND, Shot, shots
from local.demo.story import USER, Story
from local.processes import ChildFailedError
from local.stack import Stack

INTERRUPTED = 130
SECOND_THOUGHTS_SECONDS = 5
"""Between saying what the real provider will charge and starting."""

# Long enough to be seen as progress; a real model takes a minute or two.
SIMULATED = {"generation_seconds": 4.0}

# What ends a demo early. Each comes with words of its own.
TROUBLE = (
    UnexpectedAnswer,
    ChildFailedError,
    TimeoutError,
    OSError,
    httpx.HTTPError,
    av.FFmpegError,
    UnidentifiedImageError,
    BotoCoreError,
    ClientError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if everything shown was right, 1 if not, 130 if interrupted."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    screen = Screen()
    checks = Checks(screen.wrong)
    key = os.environ.get("FAL_KEY", "")
    try:
        _run(options, screen, checks, key)
    except KeyboardInterrupt:
        screen.gap()
        screen.say("Stopped; nothing is left running.")
        if key:
            screen.say("What fal had begun by then, it may still bill.")
        return INTERRUPTED
    except TROUBLE as error:
        checks.that(False, f"{type(error).__name__}: {error}")
    if checks.wrong:
        screen.heading(f"{len(checks.wrong)} of {checks.made} checks failed")
        return 1
    return 0


def _run(options: argparse.Namespace, screen: Screen, checks: Checks, key: str) -> None:
    began = time.monotonic()
    chosen = shots(options.prompt, options.image_url, real=bool(key))
    simulated = {**SIMULATED, "fetch_inputs": options.image_url is not None}
    _introduce(screen, chosen, fetched=simulated["fetch_inputs"] is True, real=bool(key))
    keys = {"FAL_KEY": key} if key else {}
    with Stack(keys=keys, settings={"fal": simulated}) as stack:
        screen.say(f"The stack is ready after {time.monotonic() - began:.1f} s: {stack.api_url}")
        try:
            Story(stack, screen, checks, options.out).tell(chosen)
            if not checks.wrong:
                screen.heading(
                    f"Done in {time.monotonic() - began:.1f} s; {checks.made} checks passed"
                )
                screen.say(
                    f"The videos (.mp4) and thumbnails (.jpg) are in {options.out.resolve()}"
                )
        except TROUBLE as error:
            if not options.keep:
                raise
            checks.that(False, f"{type(error).__name__}: {error}")
        if options.keep:
            _stay(screen, stack)


def _introduce(screen: Screen, chosen: Sequence[Shot], *, fetched: bool, real: bool) -> None:
    screen.heading("Clipmint, on this machine")
    if real:
        seconds = sum(shot.seconds for shot in chosen)
        usd = sum(shot.usd for shot in chosen)
        screen.say(
            f"FAL_KEY is set: the real fal makes {seconds} s of Veo 3.1 with sound, 720p, "
            f"for about {usd:.2f} USD ({USD_PER_SECOND:.2f} USD a second)."
        )
        screen.say("Its webhooks cannot reach this machine, so it is polled; that takes minutes.")
        screen.say("The generation that fails is skipped: the real fal does not fail to order.")
        screen.say(f"Starting in {SECOND_THOUGHTS_SECONDS} s; Ctrl-C stops it.")
        time.sleep(SECOND_THOUGHTS_SECONDS)
    else:
        screen.say("template.yaml runs in an AWS emulator; a simulator plays fal.")
        if not fetched:
            screen.say("It takes the default image unread; --image-url URL shows one of yours.")


def _stay(screen: Screen, stack: Stack) -> None:
    """Keep the stack until Ctrl-C, which is then no interruption."""
    screen.heading(f"The stack stays up at {stack.api_url}")
    screen.say(f"A token: .venv/bin/python -m local token --user {USER} --stack {stack.name}")
    screen.say("Ctrl-C stops it.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        screen.say("Stopped.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.demo",
        description="Make two paid videos on this machine and check everything about them. "
        "With FAL_KEY in the environment the real fal makes them, and charges for it.",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="what both videos shall show")
    parser.add_argument(
        "--image-url",
        metavar="URL",
        default=os.environ.get("DEMO_IMAGE_URL") or None,
        help="public https URL of the image the second one starts from "
        "(default: $DEMO_IMAGE_URL, or an example of fal's)",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out"), help="default: out")
    parser.add_argument("--keep", action="store_true", help="keep the stack up until Ctrl-C")
    return parser.parse_args(arguments)


def _interrupt(number: int, frame: object) -> None:
    del frame
    # Once is enough: an impatient second Ctrl-C must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(f"signal {number}")


if __name__ == "__main__":
    sys.exit(main())
