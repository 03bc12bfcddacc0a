"""Which provider is behind a name, ready to use: the one place that knows them all.

A provider is offered if the owner has set its key. Keys are read from the secret when first needed
and again every few minutes, so a key that is added, replaced or mended is found without a deploy.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clipmint.jobs.job import Handle, Stage
from clipmint.providers.base import Provider
from clipmint.settings import ProviderSettings
from clipmint.telemetry import logger

KEY_NAMES: Mapping[str, str] = {
    "fal": "FAL_KEY",
    "runway": "RUNWAYML_API_SECRET",
    "runware": "RUNWARE_API_KEY",
}
"""Every provider there is, and what its key is called in the secret."""

NAMES = frozenset(KEY_NAMES)

KEYS_FOR_SECONDS = 300

_read: tuple[float, Mapping[str, str]] | None = None


class ProviderNotConfigured(Exception):
    """No such provider, or the owner has set no usable key for it."""


def provider(name: str) -> Provider:
    """The adapter of that name, with the owner's key. Made once per process and key.

    Raises
    ------
    ProviderNotConfigured
    """
    key = _keys().get(KEY_NAMES.get(name, ""), "")
    made = _adapter(name, key) if key else None
    if made is None:
        forget_keys()
        raise ProviderNotConfigured(name)
    return made


def configured() -> frozenset[str]:
    """The providers the owner has set a usable key for."""
    keys = {name: _keys().get(key_name, "") for name, key_name in KEY_NAMES.items()}
    return frozenset(name for name, key in keys.items() if key and _adapter(name, key))


def media_hosts(name: str) -> tuple[str, ...]:
    """Hosts a provider serves files from; files that are paid for are fetched even without a key.

    Raises `ProviderNotConfigured` for a name that is no provider's.
    """
    if name not in NAMES:
        raise ProviderNotConfigured(name)
    hosts: tuple[str, ...] = getattr(ProviderSettings.read(), f"{name}_media_hosts")
    return hosts


def forget_keys() -> None:
    """Read the owner's keys afresh next time: they are missing or refused, and may be mended."""
    global _read  # noqa: PLW0603
    _read = None


def handle_of(stage: Stage) -> Handle | None:
    """What the provider knows the stage's submission by, if we know it."""
    submission = stage.submission
    if submission is None or submission.request_id is None:
        return None
    return Handle(submission.request_id, submission.urls)


@functools.lru_cache(maxsize=8)
def _adapter(name: str, key: str) -> Provider | None:
    """None where the key could not be one. Each adapter is imported only where it is used."""
    where = ProviderSettings.read()
    if name == "fal":
        from clipmint.providers.fal import Fal, FalSettings  # noqa: PLC0415

        fal = FalSettings(key, where.fal_queue_url, where.fal_jwks_url, where.fal_media_hosts)
        return Fal(fal) if fal.key else None
    if name == "runway":
        from clipmint.providers.runway import Runway, RunwaySettings  # noqa: PLC0415

        runway = RunwaySettings(key, where.runway_url, where.runway_media_hosts)
        return Runway(runway) if runway.key else None
    if name == "runware":
        from clipmint.providers.runware import Runware, RunwareSettings  # noqa: PLC0415

        runware = RunwareSettings(key, where.runware_url, where.runware_media_hosts)
        return Runware(runware) if runware.key else None
    return None


def _keys() -> Mapping[str, str]:
    """The owner's keys, never logged."""
    global _read  # noqa: PLW0603
    if _read is None or time.monotonic() - _read[0] >= KEYS_FOR_SECONDS:
        # Here, because looking at a job needs neither keys nor boto3, a tenth of its cold start.
        import boto3  # noqa: PLC0415

        client = boto3.client(
            "secretsmanager",
            config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard"}),
        )
        try:
            secret = client.get_secret_value(SecretId=ProviderSettings.read().provider_keys_arn)
            keys = json.loads(secret["SecretString"])
        except (ClientError, BotoCoreError):
            if _read is None:
                raise
            logger.warning("provider keys could not be read again", exc_info=True)
            return _read[1]  # better yesterday's keys than none
        _read = time.monotonic(), {name: str(key or "").strip() for name, key in keys.items()}
    return _read[1]
