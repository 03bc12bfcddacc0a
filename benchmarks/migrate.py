"""The speed and memory of the copy of a provider's file into the bucket.

    python -m benchmarks.migrate [--megabytes 256] [--runs 5] [--endpoint-url URL]

Throughput is a ratio: `clipmint.media.transfer.copy_from_url` compared with a bare download that is
piped into a bare multipart upload, with the same HTTP client, the same size and number of parallel
parts, and no checks. All kinds alternate in the same run, so a busy machine slows them equally. The
ratio by processor time does not depend on other load. The bare pipe sends what boto3 sends by
default, a CRC-32 per part; the floor below it sends no checksum, while we compute two SHA-256.
Memory is the peak of a new process per file size, minus its memory when idle.

A loopback server in a separate process serves the file. Without ``--endpoint-url`` the target is
another one that accepts the calls of a multipart upload and discards the parts: a bucket without
costs of its own, so the figure shows our own costs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
from botocore.config import Config

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "shared"))

from benchmarks.results import Figure  # noqa: E402
from clipmint import aws  # noqa: E402
from clipmint.media.pinned_requests import new_client  # noqa: E402
from clipmint.media.transfer import PART_BYTES, UPLOADS, copy_from_url  # noqa: E402

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024
BUCKET = "benchmark-videos"
KEY = "benchmark/video.mp4"
SIZES_MIB = (10, 100, 1024)
QUICK_SIZES_MIB = (10, 20)
MEMORY_BUDGET_MIB = 64
MORE_BUDGET_MIB = 8
"""One part: the difference that another order of the same uploads can make."""

RATIO_BUDGET = 0.8
RUNS = {10: 15, 100: 9}
"""Rounds per size; fewer if a round takes long and varies little."""
LARGE_RUNS = 5
HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


class Origin(Quiet):
    """``GET /<mebibytes>`` serves a file of that size that begins like an MP4."""

    piece = os.urandom(MIB)

    def do_GET(self) -> None:
        size = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(size * MIB))
        self.end_headers()
        self.wfile.write(HEAD + self.piece[len(HEAD) :])
        for _ in range(size - 1):
            self.wfile.write(self.piece)


class Sink(Quiet):
    """Serves the calls of one upload and discards the bodies."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.drain()
        named = f"<Bucket>{BUCKET}</Bucket><Key>{KEY}</Key>"
        if "uploads" in parse_qs(urlsplit(self.path).query, keep_blank_values=True):
            inner = f"{named}<UploadId>1</UploadId>"
            self.answer(f"<InitiateMultipartUploadResult>{inner}</InitiateMultipartUploadResult>")
        else:
            inner = f"{named}<ETag>&quot;1-1&quot;</ETag>"
            self.answer(f"<CompleteMultipartUploadResult>{inner}</CompleteMultipartUploadResult>")

    def do_PUT(self) -> None:
        self.drain()
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def drain(self) -> None:
        left, buffer = int(self.headers.get("Content-Length", 0)), memoryview(bytearray(MIB))
        while left and (got := self.rfile.readinto(buffer[: min(left, MIB)])):
            left -= got

    def answer(self, body: str = "") -> None:
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def _serve(handler: type[Quiet], ready: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    ready.send(server.server_port)
    server.serve_forever()


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    """The host and port of a server in a separate process, which ends with this one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(handler, theirs), daemon=True)
    process.start()
    try:
        yield f"127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def joined(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Parts of at least 8 MiB, joined in the cheapest way in Python."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PART_BYTES:
            yield b"".join(held)
            held.clear()
            size = 0
    if held:
        yield b"".join(held)


def bare_pipe(url: str, http: httpx.Client, s3: S3Client) -> None:
    """The minimal copy of a file into a bucket with the same clients and the same window."""
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)["UploadId"]
    sent: deque[Future[Any]] = deque()
    parts: list[Any] = []

    def put(number: int, body: bytes) -> dict[str, Any]:
        part = s3.upload_part(Bucket=BUCKET, Key=KEY, UploadId=upload, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": part["ETag"]}

    with ThreadPoolExecutor(UPLOADS) as pool, http.stream("GET", url) as response:
        for number, part in enumerate(joined(response.iter_raw()), start=1):
            sent.append(pool.submit(put, number, part))
            if len(sent) > UPLOADS:
                parts.append(sent.popleft().result())
        parts += [future.result() for future in sent]
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key=KEY, UploadId=upload, MultipartUpload={"Parts": parts}
    )


def ours(url: str, http: httpx.Client, s3: S3Client) -> None:
    copy_from_url(
        url,
        allowed_hosts=[urlsplit(url).netloc],
        bucket=BUCKET,
        key=KEY,
        http=http,
        s3=s3,
        deadline_seconds=600,
    )


def throughput(url: str, megabytes: int, runs: int) -> dict[str, float]:
    """Medians in MiB per second, and medians of the ratios within one round."""
    checked = aws.new_s3()
    # boto3's default on AWS: an unsigned payload over TLS, protected by a CRC-32.
    config = checked.meta.config
    unchecked = config.merge(Config(request_checksum_calculation="when_required"))
    kinds: dict[str, tuple[Callable[[str, httpx.Client, S3Client], None], S3Client]] = {
        "bare": (bare_pipe, boto3.client("s3", config=config)),
        "floor": (bare_pipe, boto3.client("s3", config=unchecked)),
        "ours": (ours, checked),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    busy: dict[str, list[float]] = {name: [] for name in kinds}
    with new_client() as http:
        for _ in range(runs + 1):
            for name, (copy, s3) in kinds.items():
                started, began = time.perf_counter(), time.process_time()
                copy(url, http, s3)
                seconds[name].append(time.perf_counter() - started)
                busy[name].append(time.process_time() - began)
    for measured in (*seconds.values(), *busy.values()):
        del measured[0]  # connections and models warm up

    def ratio(name: str, spent: dict[str, list[float]]) -> float:
        rounds = zip(spent[name], spent["ours"], strict=True)
        return round(statistics.median(theirs / ours for theirs, ours in rounds), 2)

    speeds = {
        f"{name}_mib_per_second": round(megabytes / statistics.median(measured))
        for name, measured in seconds.items()
    }
    return {
        **speeds,
        "ratio": ratio("bare", seconds),
        "ratio_to_floor": ratio("floor", seconds),
        "ratio_of_processor_time": ratio("bare", busy),
    }


def peak_mib() -> float:
    """Highest resident set of this process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("this system does not report the memory of a process")
    return int(found[1]) / 1024


def memory_of_one_copy(url: str) -> None:
    """Runs in a new process; prints the MiB above idle."""
    with new_client() as http:
        s3 = aws.new_s3()
        s3.head_bucket(Bucket=BUCKET)
        idle = peak_mib()
        ours(url, http, s3)
    print(round(peak_mib() - idle, 1))


@contextmanager
def bucket_at(endpoint_url: str | None) -> Iterator[None]:
    """Use a sink instead of AWS, or the S3 at this address."""
    with serving(Sink) as sink:
        os.environ["AWS_ENDPOINT_URL"] = endpoint_url or f"http://{sink}"
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            os.environ.setdefault(name, value)
        if endpoint_url:
            aws.new_s3().create_bucket(Bucket=BUCKET)
        try:
            yield
        finally:
            del os.environ["AWS_ENDPOINT_URL"]


def memory_over_idle(origin: str, megabytes: int) -> float:
    """The peak MiB above idle of a new process that copies one file."""
    command = [sys.executable, "-m", "benchmarks.migrate"]
    copied = subprocess.run(
        [*command, "--memory-of", f"http://{origin}/{megabytes}"],
        capture_output=True,
        check=True,
        text=True,
        cwd=ROOT,
    )
    return float(copied.stdout)


def figures(sizes: Sequence[int], runs: int | None, endpoint_url: str | None) -> list[Figure]:
    """For each size in MiB, memory and throughput."""
    made: list[Figure] = []
    with serving(Origin) as origin, bucket_at(endpoint_url):
        peaks = {size: memory_over_idle(origin, size) for size in sizes}
        for size, peak in peaks.items():
            budget = MEMORY_BUDGET_MIB
            made.append(Figure(f"{size} MiB, peak memory over idle", peak, "MiB", budget))
        if len(sizes) > 1:
            *_, large, largest = sizes
            more = round(peaks[largest] - peaks[large], 1)
            name = f"{largest} MiB, peak memory over that of {large} MiB"
            made.append(Figure(name, more, "MiB", MORE_BUDGET_MIB))
        for size in sizes:
            rounds = runs or RUNS.get(size, LARGE_RUNS)
            speed = throughput(f"http://{origin}/{size}", size, rounds)
            note = (
                f"{speed['ours_mib_per_second']:.0f} beside {speed['bare_mib_per_second']:.0f} "
                f"MiB/s; {speed['ratio_of_processor_time']} x by processor time, "
                f"{speed['ratio_to_floor']} x a pipe without any checksum"
            )
            ratio = speed["ratio"]
            name = f"{size} MiB, throughput"
            made.append(Figure(name, ratio, "x bare pipe", RATIO_BUDGET, at_least=True, note=note))
    return made


def measure(quick: bool) -> list[Figure]:
    """This part of the benchmarks."""
    return figures(QUICK_SIZES_MIB, 1, None) if quick else figures(SIZES_MIB, None, None)


def main() -> None:
    options = argparse.ArgumentParser(description="Throughput and memory of a migration.")
    options.add_argument("--megabytes", type=int, default=256)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--endpoint-url", help="a real S3 or an emulator, instead of the sink")
    options.add_argument("--memory-of", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.memory_of:
        memory_of_one_copy(chosen.memory_of)
        return
    for figure in figures([chosen.megabytes], chosen.runs, chosen.endpoint_url):
        print(f"{figure.name}: {figure.value} {figure.unit} {figure.note}")


if __name__ == "__main__":
    main()
