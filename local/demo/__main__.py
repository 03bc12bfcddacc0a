"""`python -m local.demo`; see the package, and `--help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from local.demo.act import Act
from local.demo.checks import Checks
from local.demo.fifth_act import FifthAct
from local.demo.first_act import FirstAct, SideBySide
from local.demo.fourth_act import FourthAct
from local.demo.orders import NAMES, Order, bill, orders, side_by_side
from local.demo.screen import Screen
from local.demo.second_act import SecondAct
from local.demo.third_act import ThirdAct
from local.processes import ChildFailedError
from local.providers import PROVIDERS
from local.stack import Stack

INTERRUPTED = 130
SECOND_THOUGHTS_SECONDS = 5
"""The pause between printing what real providers will charge and starting."""
GENERATION_SECONDS = 4.0
"""Of a simulator: long enough to show progress. A real model takes one or two minutes."""
TROUBLE: tuple[type[Exception], ...]
TROUBLE = ChildFailedError, OSError, httpx.HTTPError, av.FFmpegError, BotoCoreError, ClientError
"""The errors that end a demo early. The message of each is printed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if everything shown was right, 1 if not, 130 if interrupted."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    screen = Screen()
    checks = Checks(screen.wrong)
    names = list(NAMES) if options.provider == "all" else [options.provider]
    keys = {name: key for name in names if (key := os.environ.get(PROVIDERS[name].key_name))}
    try:
        _run(options, screen, checks, names, keys)
    except KeyboardInterrupt:
        screen.heading("Stopped; nothing is left running.")
        for name in keys:
            screen.say(f"What {NAMES[name]} had begun by then, it may still bill.")
        return INTERRUPTED
    except TROUBLE as error:
        checks.that(False, f"{type(error).__name__}: {error}")
    if checks.wrong:
        screen.heading(f"{len(checks.wrong)} of {checks.made} checks failed")
    return 1 if checks.wrong else 0


def _run(
    options: argparse.Namespace,
    screen: Screen,
    checks: Checks,
    names: Sequence[str],
    keys: Mapping[str, str],
) -> None:
    """``names`` are the providers of the first act; ``keys`` has the keys of the real ones."""
    began = time.monotonic()
    prompt, image_url, out = options.prompt, options.image_url, options.out
    acts: Sequence[type[Act]]
    if len(names) > 1:
        acts, chosen = [SideBySide], side_by_side(prompt)
    else:
        # The other acts need the simulators of all three providers.
        acts = [FirstAct] if keys else [FirstAct, SecondAct, ThirdAct, FourthAct, FifthAct]
        chosen = orders(names[0], prompt, image_url, real=bool(keys))
    _introduce(screen, chosen, names, keys)
    settings = {"generation_seconds": GENERATION_SECONDS, "fetch_inputs": image_url is not None}
    with Stack(
        simulate=tuple(NAMES),
        keys={PROVIDERS[name].key_name: key for name, key in keys.items()},
        settings=dict.fromkeys(NAMES, settings),
    ) as stack:
        screen.say(f"The stack is ready after {time.monotonic() - began:.1f} s: {stack.api_url}")
        for act in acts:
            act(stack, screen, checks, out, chosen).run()
            if checks.wrong:
                screen.heading("What follows is left out, because this act went wrong")
                return
    screen.heading(f"Done in {time.monotonic() - began:.1f} s; {checks.made} checks passed")
    screen.say(f"Videos, images and thumbnails are in {out.resolve()}")


def _introduce(
    screen: Screen, chosen: Sequence[Order], names: Sequence[str], keys: Mapping[str, str]
) -> None:
    screen.heading("Clipmint, on this machine")
    screen.say("template.yaml runs in an AWS emulator.")
    for name in names:
        key_name = PROVIDERS[name].key_name
        if name not in keys:
            screen.say(f"No {key_name} is set: a simulator plays {NAMES[name]}.")
            continue
        asked = [order for order in chosen if order.model.provider == name]
        screen.say(f"{key_name} is set: the real {NAMES[name]} makes {bill(asked)}.")
    if keys:
        screen.say("Webhooks cannot reach this machine, so they are polled; that takes minutes.")
        screen.say("No job is made to fail, because a real provider cannot be made to fail.")
        screen.say(f"Starting in {SECOND_THOUGHTS_SECONDS} s; Ctrl-C stops it.")
        time.sleep(SECOND_THOUGHTS_SECONDS)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.demo",
        description="Make paid videos on this machine and check everything about them. "
        "With a provider's key in the environment (FAL_KEY, RUNWAYML_API_SECRET, RUNWARE_API_KEY) "
        "the real one makes them, and charges for it.",
    )
    add = parser.add_argument
    add("--provider", choices=(*NAMES, "all"), default="fal", help="all: side by side")
    add("--prompt", metavar="TEXT", help="what the videos show")
    image = os.environ.get("DEMO_IMAGE_URL") or None
    about_image = "public image that the second video starts from (default: $DEMO_IMAGE_URL)"
    add("--image-url", metavar="URL", default=image, help=about_image)
    add("--out", metavar="DIR", type=Path, default=Path("out"), help="default: out")
    return parser.parse_args(arguments)


def _interrupt(number: int, frame: object) -> None:
    del frame
    # A second Ctrl-C must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(f"signal {number}")


if __name__ == "__main__":
    sys.exit(main())
