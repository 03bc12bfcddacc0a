"""The environment of the functions: one pydantic model per concern, read on first use.

A missing variable raises an error that names it, when a function first needs the variable and not
when a module is imported.
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
    """Base of the settings models: the field `x_y` holds the environment variable `X_Y`."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper)

    @classmethod
    def read(cls) -> Self:
        """Read the process environment. Raises pydantic's ``ValidationError``, naming variables."""
        return TypeAdapter(cls).validate_python(dict(os.environ))


BaseUrl = Annotated[
    str, BeforeValidator(lambda text: "" if text == "none" else str(text).rstrip("/"))
]


class ImagesSettings(Environment):
    """The bucket of the images, and the base of their public URLs (``base/key``)."""

    images_bucket: str
    images_base_url: BaseUrl


class ProviderSettings(Environment):
    """Addresses of the providers, and the base of the webhook URLs that they call.

    ``webhook_base_url`` is empty where providers cannot reach us. The template passes ``none`` for
    that, because there an empty parameter means the API's own URL.
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
