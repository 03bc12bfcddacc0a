"""Secrets Manager: a secret may exist without a value.

AWS creates a first version only if the request has a value. The same is true for a template without
`SecretString` and `GenerateSecretString`, and GetSecretValue then finds no version with the label
`AWSCURRENT`. Upstream creates a version without a value, or with an empty text, which AWS does not
accept (at least one character).

If a template loses its `SecretString`, upstream writes the empty text over the value. *Assumed*:
CloudFormation keeps the value. Its UpdateSecret cannot write an empty text, and without a text it
creates no version.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

OF_API = ("SecretString", "SecretBinary")
OF_TEMPLATE = ("SecretString", "GenerateSecretString")


def _without(names: tuple[str, ...], properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in names}


def _states_a_value(names: tuple[str, ...], properties: dict[str, Any]) -> bool:
    return any(properties.get(name) is not None for name in names)


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings

    @corrects(secretsmanager, "_store_new_secret", digest="e1f750dbc602")
    def store_new_secret(
        original: Callable[..., tuple[str, str | None]], name: str, **given: Any
    ) -> tuple[str, str | None]:
        arn, version = original(name, **given)
        if given.get("secret_string") is None and given.get("secret_binary") is None:
            secretsmanager._secrets[name]["Versions"].clear()
            version = None
        return arn, version

    @corrects(provisioners, "_sm_secret_create", digest="0bae0110fce2")
    def create(
        original: Callable[..., tuple[str, dict[str, str]]],
        logical_id: str,
        properties: dict[str, Any],
        stack: str,
    ) -> tuple[str, dict[str, str]]:
        name, attributes = original(logical_id, properties, stack)
        if not _states_a_value(OF_TEMPLATE, properties):
            secretsmanager._secrets[name]["Versions"].clear()
        return name, attributes

    @corrects(provisioners, "_sm_secret_update", digest="e87220a5ff35")
    def update(
        original: Callable[..., tuple[str, dict[str, str]]],
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        *rest: Any,
        **named: Any,
    ) -> tuple[str, dict[str, str]]:
        if not _states_a_value(OF_TEMPLATE, new):
            old = _without(OF_TEMPLATE, old)
        return original(physical_id, old, new, *rest, **named)

    # Upstream has a table of these functions, which it made when it was imported.
    provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"].update(
        create=provisioners._sm_secret_create, update=provisioners._sm_secret_update
    )
