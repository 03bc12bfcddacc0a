"""CloudFormation imports a secret, as it imports a table.

Upstream imports the other types that the template retains, but no secret. AWS does: the type's
schema has a handler to read it, and its identifier is `Id`, the secret's ARN.
"""

from ministack.services import secretsmanager
from ministack.services.cloudformation import changesets, provisioners

from local.emulator.settings import Settings

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - the name of a type


def name_of(secret_id: str) -> str | None:
    """The name of the secret with this ARN or name; None if there is none."""
    for name, secret in secretsmanager._secrets.items():
        if secret_id in {name, secret["ARN"]}:
            return str(name)
    return None


def problem_of(secret_id: str) -> str | None:
    """Why a secret cannot be imported; None if it can."""
    if name_of(secret_id) is not None:
        return None
    return str(changesets._IMPORT_NOT_FOUND.format(type=SECRET, value=secret_id))


def import_secret(identifier: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The physical id and the attributes of an imported secret, as when upstream creates one."""
    name = name_of(identifier["Id"])
    if name is None:
        raise ValueError(problem_of(identifier["Id"]))
    arn = secretsmanager._secrets[name]["ARN"]
    return name, {"Id": arn, "Arn": arn}


def apply(settings: Settings) -> None:
    """Put the correction in place."""
    del settings
    changesets._IMPORT_LOOKUPS[SECRET] = (("Id",), problem_of)
    provisioners._RESOURCE_HANDLERS[SECRET]["import"] = import_secret
