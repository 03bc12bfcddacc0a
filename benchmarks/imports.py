"""The import time of a function, compared with the least that a function with DynamoDB imports.

    python -m benchmarks.imports [--quick]

Each run is a new process of the functions' own interpreter with the search path that a function has
on the local stack: its code, then its layers, then nothing. The bare run imports boto3 and makes
one DynamoDB client. Whole processes are timed in turn, minus the time of a process that imports
nothing. A function's ratio is the median of its ratios to the bare run of the same round, so other
load on the computer affects both. A first round writes the byte code, as the layer's build does.

The function purchases imports Apple's library with the first notification of the App Store, which
a figure of its own includes.

A second figure also adds one DynamoDB client to the function's imports, which the function makes
at its first request.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.results import Figure
from local.deploy import ROOT, default_layers, load_template
from local.runtime.bootstrap import search_path
from local.stack import HANDLER_PYTHON

ROUNDS, QUICK_ROUNDS = 9, 3
HTTP_BUDGET = 1.7
"""Times the bare run. What keeps it above the design's 1.3 is in docs/architecture.md."""
HTTP_BUDGET_WITH_CLIENT = 1.9

NOTHING = "pass"
CLIENT = "import boto3; boto3.client('dynamodb')"
APP = "import app"
APP_CLIENT = "import app; from clipmint import aws; aws.dynamodb()"
APPLE = "import app, appstoreserverlibrary.signed_data_verifier"
MODULES = """
import app, json, sys
app.handler
print(json.dumps(sorted(sys.modules)))
"""
# Lambda's variables, and none of this computer. Importing a function makes no network call.
ENVIRONMENT = {
    "PATH": os.defpath,
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}
LARGEST = 4
"""Packages named in a function's note."""


@contextmanager
def search_paths() -> Iterator[dict[str, list[str]]]:
    """The search path of each function on the local stack, by the name of its folder."""
    with tempfile.TemporaryDirectory() as folder:
        layers = {}
        for name, layer in default_layers().items():
            unpacked = Path(folder) / name
            (unpacked / "python").mkdir(parents=True)
            for source in layer.sources:
                (unpacked / "python" / source.name).symlink_to(source)
            (unpacked / "python.path").write_text(f"{layer.packages}\n")
            layers[name] = str(unpacked)
        yield {
            Path(properties["CodeUri"]).name: search_path(
                str(ROOT / properties["CodeUri"]),
                [layers[ref["Ref"]] for ref in properties["Layers"]],
            )
            for properties in _functions()
        }


def http_functions() -> set[str]:
    """The functions behind the API, by the names of their folders."""
    return {
        Path(properties["CodeUri"]).name
        for properties in _functions()
        if any(event["Type"] == "HttpApi" for event in properties.get("Events", {}).values())
    }


def _functions() -> list[dict[str, Any]]:
    template = load_template(ROOT / "template.yaml")
    shared = template["Globals"]["Function"]
    found = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    # As SAM merges them: a function's own layers come after the global ones.
    return [own | {"Layers": shared["Layers"] + own.get("Layers", [])} for own in found]


def modules(path: list[str]) -> list[str]:
    """The modules that importing a function loads, without itself and the standard library."""
    loaded: list[str] = json.loads(_run(path, MODULES).stdout)
    known = sys.stdlib_module_names | {"app"}
    # Names that begin with an underscore are the interpreter's own, and differ by platform.
    return [
        name for name in loaded if not name.startswith("_") and name.partition(".")[0] not in known
    ]


def measure(quick: bool) -> list[Figure]:
    """The ratio of each function, and the milliseconds of the bare run."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    behind_api = http_functions()
    with search_paths() as paths:
        runs = {("", NOTHING): paths["status"], ("", CLIENT): paths["status"]}
        for name, path in paths.items():
            runs[name, APP] = path
            if name in behind_api:
                runs[name, APP_CLIENT] = path
        runs["purchases", APPLE] = paths["purchases"]
        taken = _in_turn(runs, rounds)
        about = {name: _breakdown(path) for name, path in paths.items()}
    started = taken.pop(("", NOTHING))
    taken = {
        run: [whole - empty for whole, empty in zip(seconds, started, strict=True)]
        for run, seconds in taken.items()
    }
    bare = taken.pop(("", CLIENT))
    figures = [
        Figure(
            "boto3 and one DynamoDB client",
            round(statistics.median(bare) * 1000),
            "ms",
            note=f"median of {rounds}, and {statistics.median(started) * 1000:.0f} ms for the bare "
            "interpreter; what the ratios below are to",
        )
    ]
    for (name, code), seconds in taken.items():
        ratio = statistics.median(ours / least for ours, least in zip(seconds, bare, strict=True))
        milliseconds = round(statistics.median(seconds) * 1000)
        more, budget = {
            APP: ("", HTTP_BUDGET),
            APP_CLIENT: (" and one client", HTTP_BUDGET_WITH_CLIENT),
            APPLE: (" and Apple's library", None),
        }[code]
        figures.append(
            Figure(
                f"{name}{more}",
                round(ratio, 2),
                "x",
                budget=budget if name in behind_api else None,
                note=f"{milliseconds} ms" + ("" if more else f"; {about[name]}"),
            )
        )
    return figures


def seconds_to_import(rounds: int = QUICK_ROUNDS) -> dict[str, float]:
    """The import time of each function, including its interpreter: medians, in seconds."""
    with search_paths() as paths:
        taken = _in_turn({(name, APP): path for name, path in paths.items()}, rounds)
    return {name: statistics.median(seconds) for (name, _), seconds in taken.items()}


def _in_turn(
    runs: Mapping[tuple[str, str], list[str]], rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Seconds of each run, round by round; the first round only writes byte code."""
    taken: dict[tuple[str, str], list[float]] = {run: [] for run in runs}
    for number in range(rounds + 1):
        print(f"imports: round {number} of {rounds}", file=sys.stderr)
        for (name, code), path in runs.items():
            started = time.perf_counter()
            _run(path, code)
            taken[name, code].append(time.perf_counter() - started)
    return {run: seconds[1:] for run, seconds in taken.items()}


def _breakdown(path: list[str]) -> str:
    """The number of modules, and the packages that take most of the time, by `-X importtime`."""
    spent = Counter[str]()
    for line in _run(path, APP, "-X", "importtime").stderr.splitlines():
        own, _, name = (part.strip() for part in line.removeprefix("import time:").split("|"))
        if own.isdecimal():
            package = name.partition(".")[0]
            spent["stdlib" if package in sys.stdlib_module_names else package] += int(own)
    shares = ", ".join(
        f"{package} {microseconds / sum(spent.values()):.0%}"
        for package, microseconds in spent.most_common(LARGEST)
    )
    return f"{len(modules(path))} modules besides the standard library; {shares}"


def _run(path: list[str], code: str, *options: str) -> subprocess.CompletedProcess[str]:
    # Isolated, and without site: only the search path and the standard library.
    start = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run(
        [HANDLER_PYTHON, "-I", "-S", *options, "-c", start],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done


def main() -> None:
    options = argparse.ArgumentParser(description="Cold imports against boto3 alone.")
    options.add_argument("--quick", action="store_true")
    for figure in measure(options.parse_args().quick):
        over = " OVER" if figure.over_budget else ""
        print(f"{figure.name}: {figure.value} {figure.unit}{over} ({figure.note})")


if __name__ == "__main__":
    main()
