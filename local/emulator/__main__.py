"""Serves the emulator: settings on standard input, `ready` on standard output, then no output.

    echo '{"port": 4566, "api_port": 4567, ...}' | python -m local.emulator [--stock]

It ends when its standard input is closed, so it also ends if its parent is killed. SIGTERM ends it
as well. Its log goes to standard error.
"""

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import sys
import threading

from local.emulator.settings import Settings
from local.processes import allocation

# ruff: noqa: PLC0415

# ministack reads its settings from the environment, when it is imported.
FIXED = {
    "MINISTACK_HOST": "127.0.0.1",
    "BIND_HOST": "127.0.0.1",
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "LAMBDA_EXECUTOR": "local",
    "PERSIST_STATE": "0",
    "LOG_LEVEL": "WARNING",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "MINISTACK_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def configure(settings: Settings) -> None:
    """Remove the host's environment but for PATH: no proxy, no profile, no credentials."""
    kept = {"PATH": os.environ.get("PATH", os.defpath), **allocation()}
    os.environ.clear()
    os.environ.update(
        FIXED | kept,
        HOME=str(settings.temporary),
        TMPDIR=str(settings.temporary),
        STATE_DIR=str(settings.temporary),
        S3_DATA_DIR=str(settings.temporary / "s3"),
        GATEWAY_PORT=str(settings.port),
        AUTH=str(settings.enforce_iam).lower(),
        LAMBDA_ACCOUNT_CONCURRENCY=str(settings.account_concurrency),
    )


def end_with_input() -> None:
    """End this process when its standard input is closed, which means that its parent has ended."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


async def serve(settings: Settings, *, stock: bool) -> None:
    # While modules are imported, hardly anything becomes garbage.
    gc.disable()
    # Not before the environment is set: ministack reads it when it is imported.
    from hypercorn.asyncio import serve as serve_asgi  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack.app import app

    from local.emulator import (
        alarms,
        callbacks,
        cdn,
        executions,
        functions,
        http_api,
        identity,
        imports,
        insights,
        invocations,
        secret_values,
        streams,
        tables,
        tasks,
        transforms,
    )

    if not stock:
        for area in (
            functions,
            invocations,
            http_api,
            callbacks,
            tasks,
            executions,
            identity,
            imports,
            insights,
            alarms,
            streams,
            tables,
            secret_values,
            transforms,
        ):
            area.apply(settings)
    # What is loaded by now stays, so the collector need not look at it.
    gc.freeze()
    gc.enable()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopped.set)
    end_with_input()
    config = Config()
    config.bind = settings.binds
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"

    async def until_stopped() -> None:
        print("ready", flush=True)
        await stopped.wait()

    served: http_api.Application = http_api.OwnPort(app, settings.api_port, settings.requests)
    served = cdn.OwnDistribution(served, settings.cdn_port)
    if settings.enforce_iam and not stock:
        served = identity.OverTls(served)
    await serve_asgi(served, config, shutdown_trigger=until_stopped)


def main() -> None:
    settings = Settings.from_json(sys.stdin.readline())
    settings.make_folders()
    configure(settings)
    try:
        asyncio.run(serve(settings, stock="--stock" in sys.argv))
    finally:
        # The workers end by themselves: this process holds the other ends of their lifelines.
        for folder in (settings.code, settings.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        # Threads of upstream's pool may still wait for a handler; do not wait for them.
        os._exit(0)


if __name__ == "__main__":
    main()
