"""fal's default addresses, and the syntax of its keys."""

import re
from typing import ClassVar

from clipmint.providers.adapter_settings import AdapterSettings, BaseUrl, MediaHosts


class FalSettings(AdapterSettings):
    """fal's addresses and our key.

    Attributes
    ----------
    key
        ``key_id:key_secret`` (docs). Empty where only webhooks are read: they need no secret.
    queue_url
        Base of the queue API.
    jwks_url
        fal's published webhook keys.
    """

    KEY: ClassVar[re.Pattern[str]] = re.compile(r"[\x21-\x39\x3b-\x7e]+:[\x21-\x7e]+")

    queue_url: BaseUrl = "https://queue.fal.run"
    jwks_url: BaseUrl = "https://rest.fal.ai/.well-known/jwks.json"
    media_hosts: MediaHosts = (".fal.media",)
