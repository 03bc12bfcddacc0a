"""The environment of the functions: one pydantic model per concern, read on first use.

A missing variable raises an error that names it, when a function first needs the variable and not
when a module is imported.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, Json

from clipmint.schemas import Schema


class Environment(Schema):
    """Base of the settings models: the field `x_y` holds the environment variable `X_Y`."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper)

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read an environment; by default the process's own. Raises pydantic's
        ``ValidationError``, naming variables."""
        variables = os.environ if environment is None else environment
        return cls.model_validate(dict(variables))


BaseUrl = Annotated[
    str, BeforeValidator(lambda text: "" if text == "none" else str(text).rstrip("/"))
]


class ImageUrls(Environment):
    """The base of the public URLs of images (``base/key``)."""

    images_base_url: BaseUrl


class ImagesSettings(ImageUrls):
    """The bucket of the images, and the base of their public URLs."""

    images_bucket: str


class UploadSettings(Environment):
    """How many upload forms a user gets in an hour, and how long an unused image is kept."""

    max_uploads_per_hour: Annotated[int, Field(ge=1)] = 120
    unused_image_days: Annotated[int, Field(ge=1)] = 30


class VideoSettings(Environment):
    """How videos are served, and how long they are kept.

    ``videos_base_url`` and the secret ``videos_signing_key_arn`` are empty without a distribution
    for videos; 0 days keep videos for ever.
    """

    videos_base_url: BaseUrl = ""
    videos_signing_key_arn: str = ""
    video_retention_days: Annotated[int, Field(ge=0)] = 0


class EventSettings(Environment):
    """The event bus of the stack, and below how many available credits an account is low (0:
    never)."""

    event_bus: str
    low_credits: Annotated[int, Field(ge=0)] = 0


class StackSettings(Environment):
    """The name of the stack, with which the names of its alarms begin."""

    stack_name: str


class UsageSettings(Environment):
    """What a credit is worth to the owner, in USD; None if the owner has not set it."""

    credit_usd: Annotated[
        Annotated[float, Field(ge=0)] | None, BeforeValidator(lambda text: text or None)
    ] = None


class DeliverySettings(Environment):
    """The queue of attempts to deliver events.

    ``webhook_test_hosts`` are loopback hosts with ports, comma separated, for a receiver on the
    same machine; empty on AWS.
    """

    delivery_queue_url: str
    webhook_test_hosts: str = ""

    @property
    def hosts(self) -> frozenset[tuple[str, int]]:
        """The test hosts as pairs of host and port."""
        pairs = (one.rpartition(":") for one in self.webhook_test_hosts.split(",") if one.strip())
        return frozenset((host.strip(), int(port)) for host, _, port in pairs)


class ProviderSettings(Environment):
    """The secret with the providers' keys, and the base of the webhook URLs that they call.

    ``webhook_base_url`` is empty where providers cannot reach us. The template passes ``none`` for
    that, because there an empty parameter means the API's own URL.
    """

    provider_keys_arn: str
    webhook_base_url: BaseUrl = ""


class StoreSettings(Environment):
    """The secret with what stores prove themselves by."""

    store_secrets_arn: str


class ProviderOverrides(Environment):
    """Settings of providers that replace the defaults in their packages.

    A JSON object: ``{"fal": {"queue_url": "https://…", "media_hosts": ["host"]}}``. The settings
    of each provider are the fields of its settings class, without the key.
    """

    provider_overrides: Json[dict[str, dict[str, Any]]] = Field({})
