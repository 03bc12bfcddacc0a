"""Which provider is behind a name, ready to use: the one place that knows them all.

A provider is offered if the owner has set its key. Keys are read from the secret when first needed
and again every few minutes, so a key that is added, replaced or corrected is found without a
deploy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import aws
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


class ProviderNotConfigured(Exception):
    """No such provider, or the owner has set no usable key for it."""


def make_adapter(name: str, key: str) -> Provider | None:
    """The adapter of a provider; None for a name or a key that cannot be one.

    Each adapter is imported only where it is used.
    """
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


def read_secret() -> Mapping[str, object]:
    """What the secret holds, by name. Raises what botocore raises."""
    secret = aws.secrets().get_secret_value(SecretId=ProviderSettings.read().provider_keys_arn)
    keys: Mapping[str, object] = json.loads(secret["SecretString"])
    return keys


class Registry:
    """The adapters of this process, each made once per key.

    Parameters
    ----------
    adapter
        Makes an adapter from a provider's name and key.
    keys
        Reads the owner's keys.
    """

    def __init__(
        self,
        adapter: Callable[[str, str], Provider | None] = make_adapter,
        keys: Callable[[], Mapping[str, object]] = read_secret,
    ) -> None:
        self._adapter = adapter
        self._read_keys = keys
        self._made: dict[str, tuple[str, Provider | None]] = {}
        self._keys: tuple[float, Mapping[str, str]] | None = None

    def provider(self, name: str) -> Provider:
        """The adapter of that name, with the owner's key. Raises `ProviderNotConfigured`."""
        made = self._of(name)
        if made is None:
            self.forget_keys()
            raise ProviderNotConfigured(name)
        return made

    def configured(self) -> frozenset[str]:
        """The providers the owner has set a usable key for."""
        return frozenset(name for name in KEY_NAMES if self._of(name))

    def forget_keys(self) -> None:
        """Read the owner's keys again next time: one is missing, or was refused."""
        self._keys = None

    def forget(self) -> None:
        """Forget the keys and the adapters made from them."""
        self._keys = None
        self._made.clear()

    def _of(self, name: str) -> Provider | None:
        key = self._owner_keys().get(KEY_NAMES.get(name, ""), "")
        if not key:
            return None
        made = self._made.get(name)
        if made is None or made[0] != key:
            made = self._made[name] = key, self._adapter(name, key)
        return made[1]

    def _owner_keys(self) -> Mapping[str, str]:
        """The owner's keys, never logged."""
        if self._keys is None or time.monotonic() - self._keys[0] >= KEYS_FOR_SECONDS:
            try:
                read = self._read_keys()
            except (ClientError, BotoCoreError):
                if self._keys is None:
                    raise
                logger.warning("provider keys could not be read again", exc_info=True)
                return self._keys[1]  # keep the known keys if the secret cannot be read
            keys = {name: str(key or "").strip() for name, key in read.items()}
            self._keys = time.monotonic(), keys
        return self._keys[1]


_in_use = [Registry()]


@contextmanager
def use(registry: Registry) -> Iterator[None]:
    """Let this registry answer meanwhile, for instance with adapters of a test."""
    _in_use.append(registry)
    try:
        yield
    finally:
        _in_use.remove(registry)


def provider(name: str) -> Provider:
    """The adapter of that name, with the owner's key. Made once per process and key.

    Raises
    ------
    ProviderNotConfigured
    """
    return _in_use[-1].provider(name)


def configured() -> frozenset[str]:
    """The providers the owner has set a usable key for."""
    return _in_use[-1].configured()


def forget_keys() -> None:
    """Read the owner's keys again next time: they are missing or refused, and may be corrected."""
    _in_use[-1].forget_keys()


def forget() -> None:
    """Forget keys and adapters, as a new process has none."""
    _in_use[-1].forget()


def media_hosts(name: str) -> tuple[str, ...]:
    """Hosts a provider serves files from; files that are paid for are fetched even without a key.

    Raises `ProviderNotConfigured` for a name that is no provider's.
    """
    if name not in NAMES:
        raise ProviderNotConfigured(name)
    hosts: tuple[str, ...] = getattr(ProviderSettings.read(), f"{name}_media_hosts")
    return hosts
