"""Runware's default address, and the syntax of its keys."""

import re
from typing import ClassVar

from clipmint.providers.adapter_settings import AdapterSettings, BaseUrl, MediaHosts


class RunwareSettings(AdapterSettings):
    """Runware's address and our key.

    Attributes
    ----------
    key
        The API key, sent as a bearer token (docs). Empty where only webhooks are read: they need
        no secret.
    url
        The URL to which every task is posted.
    media_hosts
        Seen: ``vm.`` serves videos, ``im.`` images.
    """

    KEY: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1

    url: BaseUrl = "https://api.runware.ai/v1"
    media_hosts: MediaHosts = ("vm.runware.ai", "im.runware.ai")
