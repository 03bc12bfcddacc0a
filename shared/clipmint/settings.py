"""The environment of the functions, one model per concern, read on first use.

A missing variable is reported by name when a function first needs it, not when a module is
imported.
"""

from __future__ import annotations

import os
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter

Hosts = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda text: tuple(host for host in str(text).split(",") if host)),
]


class Environment(BaseModel):
    """Base of what a function reads from its environment: a field `x_y` is the variable `X_Y`."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper)

    @classmethod
    def read(cls) -> Self:
        """From the process environment. Raises pydantic's ``ValidationError``, naming variables."""
        return TypeAdapter(cls).validate_python(dict(os.environ))


BaseUrl = Annotated[
    str, BeforeValidator(lambda text: "" if text == "none" else str(text).rstrip("/"))
]


class ImagesSettings(Environment):
    """Where pictures are kept, and where anyone reads them: the URL, a slash and the key."""

    images_bucket: str
    images_base_url: BaseUrl


class ProviderSettings(Environment):
    """Where the providers are, and where they find us.

    ``webhook_base_url`` is empty where they cannot reach us; the template says ``none`` for that,
    because an empty parameter means the API's own URL.
    """

    provider_keys_arn: str
    webhook_base_url: BaseUrl = ""
    fal_queue_url: str = "https://queue.fal.run"
    fal_jwks_url: str = "https://rest.fal.ai/.well-known/jwks.json"
    fal_media_hosts: Hosts = (".fal.media",)
    runway_url: str = "https://api.dev.runwayml.com"
    runway_media_hosts: Hosts = (".cloudfront.net",)
    runware_url: str = "https://api.runware.ai/v1"
    runware_media_hosts: Hosts = ("vm.runware.ai", "im.runware.ai")
