"""`python -m local.demo`; see the package, and `--help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from PIL import UnidentifiedImageError

from local.demo.app import UnexpectedAnswer
from local.demo.checks import Checks
from local.demo.fifth_act import FifthAct
from local.demo.first_act import USER, FirstAct
from local.demo.fourth_act import FourthAct
from local.demo.orders import NAMES, Order, bill, orders, rerouted, side_by_side
from local.demo.screen import Screen
from local.demo.second_act import SecondAct
from local.demo.side_by_side import SideBySide
from local.demo.third_act import ThirdAct
from local.processes import ChildFailedError
from local.providers import PROVIDERS
from local.stack import Stack

INTERRUPTED = 130
SECOND_THOUGHTS_SECONDS = 5
"""The pause between printing what real providers will charge and starting."""

# Long enough to show progress; a real model takes one or two minutes.
SIMULATED = {"generation_seconds": 4.0}

# The errors that end a demo early. The message of each is printed.
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
    names = tuple(NAMES) if options.provider == "all" else (options.provider,)
    wanted = {name: os.environ.get(PROVIDERS[name].key_name, "") for name in names}
    keys = {name: key for name, key in wanted.items() if key}
    try:
        _run(options, screen, checks, names, keys)
    except KeyboardInterrupt:
        screen.gap()
        screen.say("Stopped; nothing is left running.")
        for name in keys:
            screen.say(f"What {NAMES[name]} had begun by then, it may still bill.")
        return INTERRUPTED
    except TROUBLE as error:
        checks.that(False, f"{type(error).__name__}: {error}")
    if checks.wrong:
        screen.heading(f"{len(checks.wrong)} of {checks.made} checks failed")
        return 1
    return 0


def _run(
    options: argparse.Namespace,
    screen: Screen,
    checks: Checks,
    names: Sequence[str],
    keys: Mapping[str, str],
) -> None:
    """``names`` are the providers of the first act; ``keys`` has the keys of the real ones."""
    began = time.monotonic()
    all_providers = len(names) > 1
    if all_providers:
        chosen = side_by_side(options.prompt)
    else:
        chosen = orders(names[0], options.prompt, options.image_url, real=bool(keys))
    simulated = {**SIMULATED, "fetch_inputs": options.image_url is not None}
    _introduce(screen, chosen, names, keys)
    if not (all_providers or keys or options.image_url):
        screen.say(
            "The simulator does not download the default image; --image-url URL uses your own."
        )
    by_name = {PROVIDERS[name].key_name: key for name, key in keys.items()}
    # The second act needs all three providers: simulate those that the first act does not use.
    settings = dict.fromkeys(NAMES, simulated)
    with Stack(simulate=tuple(NAMES), keys=by_name, settings=settings) as stack:
        screen.say(f"The stack is ready after {time.monotonic() - began:.1f} s: {stack.api_url}")
        try:
            if all_providers:
                first_act = SideBySide(stack, screen, checks, options.out)
                first_act.run_all(chosen, rerouted(options.prompt))
            else:
                FirstAct(stack, screen, checks, options.out).run(chosen)
                if checks.wrong:
                    screen.heading("The second act is left out, because the first went wrong")
                else:
                    SecondAct(stack, screen, checks, options.out).run_second()
                    ThirdAct(stack, screen, checks).run()
                    FourthAct(stack, screen, checks).run()
                    FifthAct(stack, screen, checks).run()
            if not checks.wrong:
                screen.heading(
                    f"Done in {time.monotonic() - began:.1f} s; {checks.made} checks passed"
                )
                images = "" if all_providers else ", images (.png)"
                screen.say(
                    f"Videos (.mp4){images} and thumbnails (.jpg) are in {options.out.resolve()}"
                )
        except TROUBLE as error:
            if not options.keep:
                raise
            checks.that(False, f"{type(error).__name__}: {error}")
        if options.keep:
            _stay(screen, stack)


def _introduce(
    screen: Screen, chosen: Sequence[Order], names: Sequence[str], keys: Mapping[str, str]
) -> None:
    screen.heading("Clipmint, on this machine")
    screen.say("template.yaml runs in an AWS emulator.")
    played = [name for name in names if name not in keys]
    if played:
        unset = _listed([PROVIDERS[name].key_name for name in played], "or")
        who = _listed([NAMES[name] for name in played], "and")
        players = "a simulator plays" if len(played) == 1 else "simulators play"
        screen.say(f"No {unset} is set: {players} {who}.")
    if others := [NAMES[name] for name in NAMES if name not in names]:
        screen.say(f"Simulators play {_listed(others, 'and')} too, in the second act.")
    for name in keys:
        asked = [order for order in chosen if order.provider == name]
        key_name = PROVIDERS[name].key_name
        screen.say(f"{key_name} is set: the real {NAMES[name]} makes {bill(asked)}.")
    if keys:
        screen.say("Webhooks cannot reach this machine, so they are polled; that takes minutes.")
        screen.say(
            "The job that is made to fail is left out: a real provider cannot be made to fail."
        )
        screen.say(f"Starting in {SECOND_THOUGHTS_SECONDS} s; Ctrl-C stops it.")
        time.sleep(SECOND_THOUGHTS_SECONDS)


def _listed(words: Sequence[str], last: str) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *before, final = words
    return f"{', '.join(before)} {last} {final}" if before else final


def _stay(screen: Screen, stack: Stack) -> None:
    """Keep the stack until Ctrl-C, which then does not count as an interruption."""
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
        description="Make paid videos on this machine and check everything about them. "
        "With a provider's key in the environment (FAL_KEY, RUNWAYML_API_SECRET, RUNWARE_API_KEY) "
        "the real one makes them, and charges for it.",
    )
    parser.add_argument(
        "--provider",
        choices=(*NAMES, "all"),
        default="fal",
        help="who makes them; all: one video each, side by side (default: fal)",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="what the videos show")
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
    # A second Ctrl-C must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(f"signal {number}")


if __name__ == "__main__":
    sys.exit(main())
