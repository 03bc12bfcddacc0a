"""The rate of holds and settlements of the ledger, with one and with several workers per account.

Each worker, a separate process as on AWS, repeatedly opens a job (one hold) and ends it (one
settlement) in the tables of the local stack, which are exact under concurrency. In turn, in the
same run, a bare loop sends the same requests as the ledger: the same reads and the same
transactions through one boto3 client, without computations and without a wait before it retries a
refused one. The rate depends more on the emulator and the computer than on DynamoDB; the ratio
shows the cost of our code.

The changes of one user are sequential: the account is one item, and its number is the lock. With
several workers on one account, transactions are refused. They are counted when botocore gets the
response, by DynamoDB's reason. (The emulator executes one transaction after the other, so it never
returns TransactionConflict, which DynamoDB would return for some of them.) ``rejected with 503``
are calls that were refused eight times, which the API answers with 503. Here they are retried at
once, so all jobs end, and the result can be checked: every account has its initial credits, and
every journal has two lines per job.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks import ledger_worker
from benchmarks.ledger_worker import Shift
from benchmarks.results import Figure
from local.stack import Stack

CREDITS = 1_000_000
FIRST = 1
"""The sequence number of an account that has credits and no jobs yet."""
HEAD_START_SECONDS = 0.5


@dataclass(frozen=True)
class Crowd:
    """The numbers of workers, jobs and users of a measurement, and its ``rounds``."""

    users: int
    workers: int
    jobs: int
    rounds: int

    @property
    def name(self) -> str:
        users, workers = f"{self.users} user", f"{self.workers} worker"
        return f"{users}{'s' * (self.users > 1)}, {workers}{'s' * (self.workers > 1)}"


CROWDS = (
    Crowd(users=1, workers=1, jobs=96, rounds=3),
    Crowd(users=1, workers=4, jobs=96, rounds=3),
    Crowd(users=1, workers=16, jobs=96, rounds=3),
    Crowd(users=1_000, workers=16, jobs=1_000, rounds=1),
)
QUICK_CROWDS = (
    Crowd(users=1, workers=2, jobs=4, rounds=1),
    Crowd(users=4, workers=2, jobs=4, rounds=1),
)


class DoesNotAddUp(Exception):
    """An account or its journal contradicts its jobs."""


@dataclass(frozen=True)
class Round:
    """The result of a measurement: changes of accounts per second, and the refused ones."""

    rate: float
    refused: Counter[str]
    asked_to_retry: int


class Bench:
    """The tables, and workers that are connected to them."""

    def __init__(self, stack: Stack, workers: Sequence[ProcessPoolExecutor]) -> None:
        self._workers = workers
        self._table = stack.tables["LedgerTable"]
        self._dynamodb = stack.boto3("dynamodb")
        # Each worker warms up on its own account; all send the same requests.
        warm = self.open_accounts(len(workers))
        recordings = [
            worker.submit(ledger_worker.record, user_id)
            for worker, user_id in zip(workers, warm, strict=True)
        ]
        self._sent, *_ = [recording.result() for recording in recordings]

    def open_accounts(self, users: int) -> list[str]:
        """New users with credits."""
        names = [f"bench-{uuid.uuid4().hex}" for _ in range(users)]
        numbers = {"available": CREDITS, "last_sequence": FIRST} | dict.fromkeys(
            ("held", "open_jobs", "hour", "hour_jobs", "open_clips"), 0
        )
        counters = {name: {"N": str(number)} for name, number in numbers.items()}
        puts = [
            {"PutRequest": {"Item": {"user_id": {"S": name}, "sk": {"S": "ACCOUNT"}, **counters}}}
            for name in names
        ]
        for begin in range(0, len(puts), 25):
            self._dynamodb.batch_write_item(RequestItems={self._table: puts[begin : begin + 25]})
        return names

    def by_the_ledger(self, crowd: Crowd, users: Sequence[str]) -> Round:
        return self._work(
            crowd,
            users,
            lambda worker, at, own: worker.submit(ledger_worker.by_the_ledger, at, own),
        )

    def bare(self, crowd: Crowd, users: Sequence[str]) -> Round:
        return self._work(
            crowd,
            users,
            lambda worker, at, own: worker.submit(ledger_worker.bare, at, own, self._sent),
        )

    def _work(
        self,
        crowd: Crowd,
        users: Sequence[str],
        submit: Callable[[ProcessPoolExecutor, float, Sequence[str]], Future[Shift]],
    ) -> Round:
        whose = [users[n % len(users)] for n in range(crowd.jobs)]
        start_at = time.time() + HEAD_START_SECONDS
        working = [
            submit(worker, start_at, whose[n :: crowd.workers])
            for n, worker in enumerate(self._workers[: crowd.workers])
        ]
        shifts = [future.result() for future in working]
        seconds = max(shift.ended for shift in shifts) - min(shift.began for shift in shifts)
        return Round(
            2 * crowd.jobs / seconds,
            sum((shift.refused for shift in shifts), Counter()),
            sum(shift.asked_to_retry for shift in shifts),
        )

    def check(self, users: Sequence[str], jobs: int) -> None:
        """Check accounts and journals after this number of jobs, equally many for each user."""
        asked, lines, accounts = set(users), Counter[str](), {}
        for page in self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table, ConsistentRead=True
        ):
            for item in page["Items"]:
                if item["user_id"]["S"] not in asked:
                    continue
                if item["sk"]["S"] == "ACCOUNT":
                    accounts[item["user_id"]["S"]] = {
                        name: int(item[name]["N"])
                        for name in ("available", "held", "open_jobs", "last_sequence")
                    }
                else:
                    lines[item["user_id"]["S"]] += 1
        changes = 2 * jobs // len(users)
        right = {
            "available": CREDITS,
            "held": 0,
            "open_jobs": 0,
            "last_sequence": FIRST + changes,
        }
        wrong = [user for user in users if (accounts[user], lines[user]) != (right, changes)]
        if wrong:
            first = wrong[0]
            raise DoesNotAddUp(
                f"{len(wrong)} of {len(users)} accounts; one is {accounts[first]} "
                f"with {lines[first]} lines after {changes} changes"
            )


@contextmanager
def benches(workers: int) -> Iterator[Bench]:
    with Stack(simulate=()) as stack, ExitStack() as processes:
        environment = {
            "AWS_ENDPOINT_URL": stack.aws_endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": stack.region,
            "LEDGER_TABLE": stack.tables["LedgerTable"],
            "JOBS_TABLE": stack.tables["JobsTable"],
            "POWERTOOLS_SERVICE_NAME": "clipmint",
            "POWERTOOLS_METRICS_NAMESPACE": "Clipmint",
        }
        # One executor per worker, so that each worker gets its own tasks.
        alone = [
            processes.enter_context(
                ProcessPoolExecutor(
                    1,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=ledger_worker.settle_in,
                    initargs=(environment,),
                )
            )
            for _ in range(workers)
        ]
        yield Bench(stack, alone)


def figures(bench: Bench, crowd: Crowd) -> list[Figure]:
    """The figures of a measurement, by the ledger and bare in turn. Raises `DoesNotAddUp`."""
    ours: list[Round] = []
    bare: list[Round] = []
    our_users, bare_users = bench.open_accounts(crowd.users), bench.open_accounts(crowd.users)
    for _ in range(crowd.rounds):
        ours.append(bench.by_the_ledger(crowd, our_users))
        bare.append(bench.bare(crowd, bare_users))
    bench.check(our_users, crowd.jobs * crowd.rounds)

    rates = [statistics.median(done.rate for done in kind) for kind in (ours, bare)]
    ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, bare, strict=True))
    refused, refused_bare = (
        sum((done.refused for done in kind), Counter[str]()) for kind in (ours, bare)
    )
    changes = 2 * crowd.jobs * crowd.rounds
    gave_up = sum(done.asked_to_retry for done in ours)
    reasons = ", ".join(f"{times} {reason}" for reason, times in sorted(refused.items()))
    return [
        Figure(f"{crowd.name}: holds and settlements", rates[0], "per second"),
        Figure(
            f"{crowd.name}: their rate", ratio, "x bare loop", note=f"bare: {rates[1]:.0f} a second"
        ),
        Figure(
            f"{crowd.name}: refused transactions",
            refused.total() / changes,
            "per change",
            note=f"{reasons or 'none'} of {changes} changes; "
            f"bare: {refused_bare.total() / changes:.2f}",
        ),
        Figure(f"{crowd.name}: rejected with 503", gave_up, "calls", note=f"of {changes}"),
    ]


def measure(quick: bool) -> list[Figure]:
    """This part of the benchmarks."""
    crowds = QUICK_CROWDS if quick else CROWDS
    with benches(max(crowd.workers for crowd in crowds)) as bench:
        return [figure for crowd in crowds for figure in figures(bench, crowd)]
