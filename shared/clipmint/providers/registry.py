"""Which provider is behind a name, ready to use: the one place that knows them all."""

from __future__ import annotations

import functools
import json

import boto3
from botocore.config import Config

from clipmint.domain.jobs import Stage
from clipmint.providers.base import Handle, Provider
from clipmint.settings import ProviderSettings

NAMES = frozenset({"fal"})


class ProviderNotConfigured(Exception):
    """No such provider, or the owner has set no key for it."""


@functools.cache
def provider(name: str) -> Provider:
    """The adapter of that name, with the owner's key. Made once per process.

    Raises
    ------
    ProviderNotConfigured
    """
    settings = ProviderSettings.read()
    if name == "fal":
        from clipmint.providers.fal import Fal, FalSettings  # noqa: PLC0415  (only where used)

        fal = FalSettings(
            key=_keys().get("FAL_KEY", ""),
            queue_url=settings.fal_queue_url,
            jwks_url=settings.fal_jwks_url,
            media_hosts=settings.fal_media_hosts,
        )
        if fal.key:
            return Fal(fal)
    forget_keys()
    raise ProviderNotConfigured(name)


def forget_keys() -> None:
    """Read the owner's keys afresh next time: they are missing or refused, and may be mended."""
    _keys.cache_clear()
    provider.cache_clear()


def handle_of(stage: Stage) -> Handle | None:
    """What the provider knows the stage's submission by, if we know it."""
    submission = stage.submission
    if submission is None or submission.request_id is None:
        return None
    return Handle(submission.request_id, submission.urls)


@functools.cache
def _keys() -> dict[str, str]:
    """The owner's keys, read once per cold start and never logged."""
    client = boto3.client(
        "secretsmanager",
        config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard"}),
    )
    secret = client.get_secret_value(SecretId=ProviderSettings.read().provider_keys_arn)
    return {name: str(key) for name, key in json.loads(secret["SecretString"]).items()}
