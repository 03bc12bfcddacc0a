"""The time of a warm request: our share, and the share of waiting for AWS.

    python -m benchmarks.handlers [--quick]

The three functions that serve most requests run on their own interpreter with their own layers. AWS
is a loopback server with a few fixed responses, each after the same few milliseconds. After each
run, plain boto3 clients in the same process make the same calls, one after the other. The rest of a
run's time is ours: parsing and checking the request, deciding, building and reading items,
verifying the webhook, logging, and building the response.

The events are those of `events/`; the webhook gets a new signature.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import imports
from benchmarks.results import Figure
from local.deploy import ROOT
from local.stack import HANDLER_PYTHON

sys.path.insert(0, str(ROOT / "shared"))

from clipmint import clock
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model_store import CatalogItem
from clipmint.credits.ledger_items import AccountItem
from clipmint.jobs.job import Job, JobStatus, Stage, Submission, SubmissionState
from clipmint.jobs.job_items import to_item
from clipmint.jobs.outcomes import Succeeded
from clipmint.lots import Lots
from clipmint.orders.idempotency_keys import job_id_for
from clipmint.orders.order_requests import GenerationRequest

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LATENCY_SECONDS = 0.005
"""The time of each response of AWS: about that of DynamoDB within a region."""

ROUNDS, QUICK_ROUNDS, WARM_UP = 150, 30, 10

TABLES = {
    name: name
    for name in (
        "LEDGER_TABLE",
        "JOBS_TABLE",
        "MODELS_TABLE",
        "PROJECTS_TABLE",
        "IDEMPOTENCY_TABLE",
    )
}
ENVIRONMENT = {
    **imports.ENVIRONMENT,
    **TABLES,
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:000000000000:stateMachine:clipmint-generation",
    "PROVIDER_KEYS_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:keys",
    "IMAGES_BUCKET": "images",
    "IMAGES_BASE_URL": "https://images.example.com",
    "POWERTOOLS_SERVICE_NAME": "clipmint",
    "POWERTOOLS_METRICS_NAMESPACE": "Clipmint",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
}
JWKS = "/jwks.json"


@dataclass(frozen=True)
class Request:
    """A function, its event, and the status that it must return; None if it is not called by HTTP.

    ``fresh`` is the header that has a new value in each round.
    """

    function: str
    event: Mapping[str, Any]
    status: int | None
    fresh: str | None = None


class Aws(BaseHTTPRequestHandler):
    """Serves responses by operation and table, each after the same time, and a provider's keys."""

    protocol_version = "HTTP/1.1"
    # One packet per response: a second packet would wait for the acknowledgement of the first.
    wbufsize = -1
    answers: ClassVar[Mapping[str, Any]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""

    def do_GET(self) -> None:
        self._answer(self.answers[self.path])

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        time.sleep(LATENCY_SECONDS)
        self._answer(self.answers[" ".join(filter(None, (operation, call.get("TableName"))))])

    def _answer(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _serve(answers: Mapping[str, Any], ready: Connection) -> None:
    Aws.answers = answers
    server = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    ready.send(server.server_port)
    server.serve_forever()


@contextmanager
def serving(answers: Mapping[str, Any]) -> Iterator[str]:
    """The URL of an AWS with these responses, in a separate process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(answers, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def measure(quick: bool) -> list[Figure]:
    """For each request the milliseconds of a run, and the comparison with its calls alone."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    key = Ed25519PrivateKey.generate()
    figures = []
    with serving(answers_of_aws(key)) as url, imports.search_paths() as paths:
        for request in _requests(key):
            print(f"handlers: {rounds} rounds of {request.function}", file=sys.stderr)
            figures += _figures(request, run(request, paths[request.function], url, rounds))
    return figures


def run(request: Request, path: list[str], url: str, rounds: int) -> list[dict[str, Any]]:
    """What `benchmarks.in_function` has measured in each round."""
    task = {
        "path": path,
        "event": request.event,
        "fresh": request.fresh,
        "status": request.status,
        "warm_up": WARM_UP,
        "rounds": rounds,
    }
    overrides = {"fal": {"jwks_url": f"{url}{JWKS}"}}
    done = subprocess.run(
        [HANDLER_PYTHON, "-I", "-S", Path(__file__).with_name("in_function.py")],
        input=json.dumps(task),
        env=ENVIRONMENT | {"AWS_ENDPOINT_URL": url, "PROVIDER_OVERRIDES": json.dumps(overrides)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _figures(request: Request, rounds: list[dict[str, Any]]) -> list[Figure]:
    def median(member: str) -> float:
        return round(statistics.median(float(one[member]) for one in rounds), 2)

    # Subtract the waiting, which is equal on both sides. A run that had to read the catalog made
    # more calls, so compare each run with its own calls.
    def apart(one: dict[str, Any], member: str) -> float:
        return float(one[member]) - len(one["calls"]) * LATENCY_SECONDS * 1000

    ratio = statistics.median(apart(one, "handler_ms") / apart(one, "bare_ms") for one in rounds)
    ours = statistics.median(one["handler_cpu_ms"] - one["bare_cpu_ms"] for one in rounds)
    calls = statistics.mode(len(one["calls"]) for one in rounds)
    name = f"{request.function}, warm"
    return [
        Figure(
            name,
            round(ratio, 2),
            "x",
            note=f"{median('handler_ms')} ms against {median('bare_ms')} ms for its {calls} AWS "
            f"calls made bare; {calls * LATENCY_SECONDS * 1000:g} ms of either is waiting",
        ),
        Figure(
            f"{name}: ours",
            round(ours, 2),
            "ms of processor time",
            note=f"{median('handler_cpu_ms')} ms, of which the bare calls take "
            f"{median('bare_cpu_ms')} ms",
        ),
    ]


def _requests(key: Ed25519PrivateKey) -> list[Request]:
    return [
        Request("generate", event_of("generate"), 202, fresh="idempotency-key"),
        Request("status", event_of("status"), 200),
        Request("webhooks", _signed(event_of("webhooks"), key), 200),
    ]


def event_of(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def _signed(event: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """Sign as fal does: four lines, Ed25519."""
    headers = event["headers"]
    headers["x-fal-webhook-timestamp"] = str(int(time.time()))
    digest = hashlib.sha256(event["body"].encode()).hexdigest()
    lines = (headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp"))
    signed = "\n".join((*lines, digest)).encode()
    headers["x-fal-webhook-signature"] = key.sign(signed).hex()
    return event


def answers_of_aws(
    key: Ed25519PrivateKey, *, from_lots: Lots = (), **account: Any
) -> dict[str, Any]:
    """The responses of AWS to each call of the functions, by operation and table.

    Parameters
    ----------
    from_lots
        The part of the job's hold that came from lots.
    account
        Attributes of the user's account that differ.
    """
    sent, finished = _job_items(from_lots)
    attributes = {"available": 10_000, "held": 10_000, "last_sequence": 1, "open_jobs": 1}
    of_account = AccountItem(
        user_id=sent["user_id"]["S"], **{**attributes, "hour": 0, "hour_jobs": 0, **account}
    )
    model = _model()
    in_catalog = CatalogItem(model.model_id, definition=model.model_dump_json())
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {
        f"GetItem {TABLES['LEDGER_TABLE']}": {"Item": of_account.to_dynamodb_dict()},
        f"GetItem {TABLES['MODELS_TABLE']}": {"Item": in_catalog.to_dynamodb_dict()},
        f"GetItem {TABLES['JOBS_TABLE']}": {"Item": sent},
        f"UpdateItem {TABLES['JOBS_TABLE']}": {"Attributes": finished},
        f"PutItem {TABLES['IDEMPOTENCY_TABLE']}": {},
        f"UpdateItem {TABLES['IDEMPOTENCY_TABLE']}": {},
        "TransactWriteItems": {},
        "StartExecution": {"executionArn": "arn", "startDate": 1_795_168_800},
        "SendTaskSuccess": {},
        "GetSecretValue": {"SecretString": json.dumps({"FAL_KEY": "key-id:key-secret"})},
        JWKS: {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public}]},
    }


def _model() -> Any:
    ordered = json.loads(event_of("generate")["body"])["model_id"]
    return next(model for model in DEFAULT_CATALOG if model.model_id == ordered)


def _job_items(from_lots: Lots) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job of the events: waiting with its submission sent, and with its outcome."""
    order, webhook = event_of("generate"), event_of("webhooks")
    user_id = order["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    request = GenerationRequest.model_validate_json(order["body"])
    model, now = _model(), clock.now()
    settings = model.resolve(request.preset, request.settings)
    route, body = model.routes[0], json.loads(webhook["body"])
    submission = Submission(
        SubmissionState.SENT,
        webhook_token=webhook["pathParameters"]["token"],
        task_id="1a2b3c4d-0000-4000-8000-000000000001",
        request_id=body["request_id"],
    )
    stage = Stage(
        "video",
        tuple(model.routes),
        route.provider,
        route.endpoint,
        model.credits(settings),
        tuple(model.poll_seconds),
        model.deadline_seconds,
        submission=submission,
        task_token="A" * 800,
        from_lots=from_lots or None,
    )
    sent = Job(
        job_id=job_id_for(user_id, order["headers"]["idempotency-key"]),
        user_id=user_id,
        status=JobStatus.PROCESSING,
        model_id=model.model_id,
        model_name=model.name,
        prompt=request.prompt,
        settings=settings,
        fingerprint=request.fingerprint(),
        stages=(stage,),
        deadline=clock.epoch(now) + model.deadline_seconds,
        created_at=now,
        updated_at=now,
    )
    outcome = Succeeded(body["payload"]["video"]["url"])
    finished = replace(sent, stages=(replace(stage, outcome=outcome),))
    return to_item(sent).to_dynamodb_dict(), to_item(finished).to_dynamodb_dict()


def main() -> None:
    options = argparse.ArgumentParser(description="Warm handlers against their AWS calls alone.")
    options.add_argument("--quick", action="store_true")
    for figure in measure(options.parse_args().quick):
        print(f"{figure.name}: {figure.value} {figure.unit} ({figure.note})")


if __name__ == "__main__":
    main()
