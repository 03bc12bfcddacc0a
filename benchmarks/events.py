"""The cost of an outgoing event for the owner at AWS: calls and list price, with and without an
endpoint.

    python -m benchmarks.events [--quick]

Grants are events that nothing else accompanies. One after the other they pass the local stack: the
stream of the ledger, the function `events`, the event bus, and, with an endpoint, the queue and the
function `deliver`, which calls a receiver on this computer.

Calls are counted from the journal of AWS calls that botocore makes; prices are computed as in
`benchmarks.cost`. An event is alone in its batch here, which is the most expensive case: up to a
hundred records of a stream share one run. Lambda's own requests to receive and to delete a message
are added, two for each; its polling of an empty queue is a fixed cost (docs/deploy.md).
`RECEIVER_SECONDS` are added to each run of `deliver`, because the receiver is on this computer.
Logs and traces are not included; `benchmarks.cost` includes the run of `events` for each
generation, with both.
"""

from __future__ import annotations

import argparse
import statistics
import uuid
from collections import Counter
from collections.abc import Sequence

import httpx

from benchmarks.prices import NotCounted, Usage, called, dollars, lambda_run
from benchmarks.results import Figure
from local.deploy import ROOT, load_template
from local.journal import Invocation
from local.receiver import Receiver, Subscription
from local.stack import Stack, wait_for

EVENTS = 1_000_000
"""The number of events that a price is given for."""

RECEIVER_SECONDS = 0.2
"""The response time of a receiver on the internet: an assumption."""

LAMBDAS_REQUESTS = 2
"""Lambda receives and deletes each message: at least one request each, if it is alone."""


def measure(quick: bool) -> list[Figure]:
    """Calls and list price of an event; see the module's docstring."""
    each = 3 if quick else 20
    with (
        Stack(preload=False) as stack,
        httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer("bench", admin=True),
            timeout=60,
            trust_env=False,
        ) as owner,
    ):
        none = _runs(stack, owner, each, {"EventsFunction"})
        with (
            Receiver(stack.receiver_port) as receiver,
            Subscription(stack, receiver, ["credits.granted"]),
        ):
            one = _runs(stack, owner, each, {"EventsFunction", "DeliverFunction"})
            if len(receiver.events) < each:
                raise NotCounted("an event at the receiver")
    return [*_figures("no endpoint", none, each), *_figures("one endpoint", one, each)]


def _runs(stack: Stack, owner: httpx.Client, each: int, functions: set[str]) -> list[Invocation]:
    """The warm runs of these functions for so many grants, one after the other."""
    found: list[Invocation] = []
    for number in range(each + 1):  # the first starts the functions
        reference = f"bench-{uuid.uuid4().hex}"
        grant = {"user_id": reference, "amount": 1, "reference": reference}
        owner.post("/v1/admin/grants", json=grant).raise_for_status()
        runs: list[Invocation] = []

        def complete(runs: list[Invocation] = runs, reference: str = reference) -> bool:
            runs[:] = [run for run in _about(stack, reference) if run.function in functions]
            return {run.function for run in runs if run.ended} == functions

        wait_for(complete, 60)
        if number:
            found += runs
    return found


def _about(stack: Stack, reference: str) -> list[Invocation]:
    """The runs for a grant: those with its record, and those for the delivery of its event."""
    emitting = [
        run
        for run in stack.invocations(function="EventsFunction", about=reference)
        if "NewImage" in run.event["Records"][0]["dynamodb"]
    ]
    if not emitting:
        return []
    later = stack.invocations(function="DeliverFunction")
    return [*emitting, *(run for run in later if run.at >= emitting[0].at)]


def _figures(case: str, runs: Sequence[Invocation], each: int) -> list[Figure]:
    memory = {
        name: it["Properties"]["MemorySize"]
        for name, it in load_template(ROOT / "template.yaml")["Resources"].items()
        if it["Type"] == "AWS::Serverless::Function"
    }
    calls = Counter(
        f"{run.function.removesuffix('Function').lower()}: {call.operation}"
        for run in runs
        for call in run.calls
    )
    usage = Usage()
    for run in runs:
        away = RECEIVER_SECONDS if run.function == "DeliverFunction" else 0.0
        took, busy = (run.milliseconds or 0.0), (run.cpu_milliseconds or 0.0)
        usage += called(run.calls) + lambda_run(took, busy, memory[run.function], away)
        if run.function == "DeliverFunction":
            usage += Usage({"SQS requests": LAMBDAS_REQUESTS})
    usage = usage * (1 / each)
    shares = sorted(
        ((dollars({unit: amount}) * EVENTS, unit) for unit, amount in usage.items()), reverse=True
    )
    times = {
        name: statistics.median(run.milliseconds or 0.0 for run in runs if run.function == name)
        for name in {run.function for run in runs}
    }
    return [
        Figure(
            f"AWS calls per event, {case}",
            round(sum(calls.values()) / each, 1),
            "calls",
            note=", ".join(f"{name} {count / each:g}" for name, count in sorted(calls.items())),
        ),
        Figure(
            f"price of {EVENTS:,} events, {case}",
            round(dollars(usage) * EVENTS, 2),
            "USD",
            note=", ".join(f"{unit} ${price:.2f}" for price, unit in shares if price >= 0.005)
            + "; median of a run: "
            + ", ".join(f"{name} {ms:.0f} ms" for name, ms in sorted(times.items())),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    for figure in measure(parser.parse_args().quick):
        print(f"{figure.name}: {figure.value} {figure.unit} ({figure.note})")


if __name__ == "__main__":
    main()
