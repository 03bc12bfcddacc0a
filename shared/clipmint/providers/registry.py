"""Which provider is behind a name, ready to use: the one place that knows them all.

A provider is offered if the owner has set its key, and if nothing in ``ProviderOverrides`` is wrong
for it. Keys are read from the secret when first needed and again every few minutes
(`clipmint.providers.keys`), so an added, replaced or corrected key is found without a deploy.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clipmint.catalog.templates import Body
from clipmint.providers.base import Provider, Task, WebhookSender
from clipmint.providers.keys import OwnerKeys, read_secret
from clipmint.settings import ProviderOverrides
from clipmint.telemetry import logger

if TYPE_CHECKING:
    from clipmint.providers.adapter_settings import AdapterSettings

KEY_NAMES: Mapping[str, str] = {
    "fal": "FAL_KEY",
    "runway": "RUNWAYML_API_SECRET",
    "runware": "RUNWARE_API_KEY",
}
"""Every provider there is, and what its key is called in the secret."""

NAMES = frozenset(KEY_NAMES)


class ProviderNotConfigured(Exception):
    """No such provider, or the owner has set no usable key for it."""


class InvalidOverrides(ValueError):
    """``ProviderOverrides`` cannot be used. The message names the provider and the setting."""


def check_overrides(text: str) -> None:
    """Check a value of the template's parameter ``ProviderOverrides``.

    Raises
    ------
    InvalidOverrides
        It is not a JSON object of objects, it names an unknown provider or setting, or a value
        has the wrong type or form.
    """
    overrides = _overrides(text)
    for name in overrides:
        _settings(name, overrides)


def make_adapter(name: str, key: str) -> Provider | None:
    """The adapter of a provider; None if its key or its overrides cannot be used. With an empty key
    it can only read webhooks.

    With invalid overrides the provider counts as not configured: at the default address a task
    could be paid for that the owner wanted elsewhere, and a poll would not find an earlier task.

    Each provider's package is imported only where it is used.
    """
    try:
        settings = _settings(name, _overrides(), key)
    except InvalidOverrides as error:
        _report(error)
        return None
    adapter: Provider = _package(name).Adapter(settings)
    return adapter if settings.key or not key else None


def _package(name: str) -> ModuleType:
    return importlib.import_module(f"clipmint.providers.{name}")


def _overrides(text: str | None = None) -> Mapping[str, Mapping[str, Any]]:
    """The overrides by provider, from ``text`` or from the environment."""
    environment = os.environ if text is None else {"PROVIDER_OVERRIDES": text}
    try:
        overrides = ProviderOverrides.read(environment).provider_overrides
    except ValidationError as error:
        raise InvalidOverrides(_details(error)) from None
    if unknown := overrides.keys() - NAMES:
        raise InvalidOverrides(f"unknown provider: {', '.join(sorted(unknown))}")
    return overrides


def _settings(
    name: str, overrides: Mapping[str, Mapping[str, Any]], key: str = ""
) -> AdapterSettings:
    """A provider's default settings with the owner's overrides and key."""
    given = overrides.get(name, {})
    if "key" in given:
        raise InvalidOverrides(f"{name}.key: a key belongs in the secret")
    try:
        settings: AdapterSettings = _package(name).Settings(key=key, **given)
    except ValidationError as error:
        raise InvalidOverrides(_details(error, name)) from None
    return settings


def _details(error: ValidationError, *path: str) -> str:
    """All errors in one line, each with the path to the value, without the values themselves."""
    return "; ".join(
        f"{'.'.join(map(str, [*path, *one['loc']]))}: {one['msg']}"
        for one in error.errors(include_input=False)
    )


def _report(error: InvalidOverrides) -> None:
    logger.error("provider overrides are invalid", extra={"detail": str(error)})


def read_keys() -> Mapping[str, str]:
    """The owner's keys, by name. Raises `KeysUnreadable`."""
    return read_secret(KEY_NAMES.values())


class Registry:
    """The adapters of this process, each made once per key.

    Parameters
    ----------
    adapter
        Makes an adapter from a provider's name and key.
    keys
        Reads the owner's keys by name. Raises `KeysUnreadable`.
    """

    def __init__(
        self,
        adapter: Callable[[str, str], Provider | None] = make_adapter,
        keys: Callable[[], Mapping[str, str]] = read_keys,
    ) -> None:
        self._adapter = adapter
        self._read_keys = keys
        self._keys = OwnerKeys(keys)
        self._made: dict[str, tuple[str, Provider | None]] = {}
        self._webhook_readers: dict[str, Provider | None] = {}

    def provider(self, name: str) -> Provider:
        """The adapter of that name, with the owner's key. Raises `ProviderNotConfigured`,
        `KeysUnreadable`."""
        made = self._of(name)
        if made is None:
            self.forget_keys()
            raise ProviderNotConfigured(name)
        return made

    def webhook_reader(self, name: str) -> Provider:
        """An adapter of that name without a key. Raises `ProviderNotConfigured`."""
        if name not in self._webhook_readers:
            self._webhook_readers[name] = self._adapter(name, "") if name in NAMES else None
        reader = self._webhook_readers[name]
        if reader is None:
            raise ProviderNotConfigured(name)
        return reader

    def configured(self) -> frozenset[str]:
        """The providers the owner has set a usable key for. Raises `KeysUnreadable`."""
        return frozenset(name for name in KEY_NAMES if self._of(name))

    def forget_keys(self) -> None:
        """Read the owner's keys again next time: one is missing, or was refused."""
        self._keys.expire()

    def forget(self) -> None:
        """Forget the keys and all adapters."""
        self._keys = OwnerKeys(self._read_keys)
        self._made.clear()
        self._webhook_readers.clear()

    def _of(self, name: str) -> Provider | None:
        key = self._keys.current().get(KEY_NAMES.get(name, ""), "")
        if not key:
            return None
        made = self._made.get(name)
        if made is None or made[0] != key:
            made = self._made[name] = key, self._adapter(name, key)
        return made[1]


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
        There is no such provider, or the owner has set no usable key for it.
    KeysUnreadable
        It is not known which keys the owner has set.
    """
    return _in_use[-1].provider(name)


def webhook_reader(name: str) -> WebhookSender | None:
    """What verifies and reads the webhooks of a provider; None for one that sends none.

    It has no key, because no provider signs with it. So webhooks are processed whether or not the
    owner's keys can be read.

    Raises
    ------
    ProviderNotConfigured
        There is no such provider, or its overrides are invalid.
    """
    reader = _in_use[-1].webhook_reader(name)
    return reader if isinstance(reader, WebhookSender) else None


def request_of(name: str, task: Task) -> tuple[str, Body]:
    """What a provider would be sent for a task: the path or endpoint, and the body. No key is
    needed. Raises `UnfitTask`, `ProviderNotConfigured`."""
    return _in_use[-1].webhook_reader(name).request(task)


def configured() -> frozenset[str]:
    """The providers the owner has set a usable key for. Raises `KeysUnreadable`."""
    return _in_use[-1].configured()


def forget_keys() -> None:
    """Read the owner's keys again next time: they are missing or refused, and may be corrected."""
    _in_use[-1].forget_keys()


def forget() -> None:
    """Forget keys and adapters, as a new process has none."""
    _in_use[-1].forget()


def media_hosts(name: str) -> tuple[str, ...]:
    """Hosts a provider serves files from; files that are paid for are fetched even without a key.

    If the overrides are invalid, these are the default hosts, so that no such file is lost.

    Raises `ProviderNotConfigured` for a name that is no provider's.
    """
    if name not in NAMES:
        raise ProviderNotConfigured(name)
    try:
        return _settings(name, _overrides()).media_hosts
    except InvalidOverrides as error:
        _report(error)
        return _settings(name, {}).media_hosts
