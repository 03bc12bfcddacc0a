"""The owner's keys, from one secret: a JSON object with a text for each provider's key.

A secret without a value has no keys: so it is until the owner has written the first one. Everything
else that is not such an object is one error, `KeysUnreadable`. Known keys stay in use meanwhile: a
slip while the owner edits the secret, or an outage of Secrets Manager, stops nothing that runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import aws
from clipmint.settings import ProviderSettings
from clipmint.telemetry import PROVIDER_KEYS_UNREADABLE, count, logger

KEYS_FOR_SECONDS = 300
"""How long keys are used before they are read again."""

READ_AGAIN_AFTER_SECONDS = 30
"""The same after they could not be read, so that a sweep of many jobs does not try for each."""


class KeysUnreadable(Exception):
    """The secret cannot be read, or does not contain keys. The message never quotes the secret."""


def read_secret(names: Collection[str], arn: str | None = None) -> Mapping[str, str]:
    """The keys in a secret, by name; by default in that of the providers. Other members of the
    object are ignored.

    Raises
    ------
    KeysUnreadable
    """
    try:
        found = ProviderSettings.read().provider_keys_arn if arn is None else arn
        secret = aws.secrets().get_secret_value(SecretId=found)
    except ClientError as error:
        if _has_no_value(error):
            return {}
        raise KeysUnreadable(error.response["Error"].get("Code", "")) from error
    except BotoCoreError as error:
        raise KeysUnreadable(type(error).__name__) from error
    return keys_in(secret.get("SecretString"), names)


def _has_no_value(error: ClientError) -> bool:
    """Whether the secret exists and has no value yet. AWS uses the code of a missing secret."""
    details = error.response["Error"]
    missing = details.get("Code") == "ResourceNotFoundException"
    return missing and "staging label: AWSCURRENT" in details.get("Message", "")


def keys_in(text: str | None, names: Collection[str]) -> Mapping[str, str]:
    """The keys in the text of a secret, without space around them. Raises `KeysUnreadable`, which
    never quotes the text."""
    if text is None:
        raise KeysUnreadable("the secret is binary")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise KeysUnreadable("the secret is not JSON") from None
    if not isinstance(found, dict):
        raise KeysUnreadable("the secret is not a JSON object")
    keys = {}
    for name in names:
        key = "" if found.get(name) is None else found[name]
        if not isinstance(key, str):
            raise KeysUnreadable(f"{name} is not a text")
        keys[name] = key.strip()
    return keys


def _report_provider_keys(error: KeysUnreadable) -> None:
    count(PROVIDER_KEYS_UNREADABLE)  # raises the owner's alarm
    logger.exception("provider keys could not be read", extra={"detail": str(error)})


class OwnerKeys:
    """The owner's keys as this process knows them. They are never logged.

    Parameters
    ----------
    read
        Reads them from the secret. Raises `KeysUnreadable`.
    report
        Called when they could not be read: logs it, and raises the owner's alarm.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, str]],
        report: Callable[[KeysUnreadable], None] | None = None,
    ) -> None:
        self._read = read
        self._report = report or _report_provider_keys
        self._known: Mapping[str, str] | None = None
        self._failure = ""
        self._read_at = float("-inf")

    def current(self) -> Mapping[str, str]:
        """The keys by name. The known ones, if they cannot be read again.

        Raises
        ------
        KeysUnreadable
            They cannot be read, and none are known.
        """
        lifetime = READ_AGAIN_AFTER_SECONDS if self._failure else KEYS_FOR_SECONDS
        now = time.monotonic()
        if now - self._read_at >= lifetime:
            self._read_at = now
            self._read_again()
        if self._known is None:
            raise KeysUnreadable(self._failure)
        return self._known

    def _read_again(self) -> None:
        try:
            self._known, self._failure = self._read(), ""
        except KeysUnreadable as error:
            self._failure = str(error)
            self._report(error)

    def expire(self) -> None:
        """Read the keys again next time: one is missing, or was refused. If they cannot be read
        then, the known ones stay in use."""
        if not self._failure:
            self._read_at = float("-inf")
