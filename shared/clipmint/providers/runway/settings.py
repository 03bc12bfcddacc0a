"""Runway's default address, the syntax of its keys, and the version of the API that we use."""

import re
from typing import ClassVar

from clipmint.providers.adapter_settings import AdapterSettings, BaseUrl, MediaHosts

API_VERSION = "2024-11-06"
"""Sent as ``X-Runway-Version`` with every request (docs: required). The bodies in `models` are of
this version, and Runway rejects unknown fields. Never change one without the other."""


CREDIT_USD_MICROS = 10_000
"""What Runway asks for one of its credits, in millionths of a USD (docs: pricing)."""


class RunwaySettings(AdapterSettings):
    """Runway's address and our key.

    Attributes
    ----------
    key
        The API secret, ``key_…`` (docs).
    url
        Base of the API, without ``/v1``.
    media_hosts
        Runway's own distribution of CloudFront: every response seen, of 2025 and 2026, names this
        one. Anyone can have another. Runway promises no name: with a new one, Migrate raises the
        owner's alarm and retries for a day, so that the owner can add it before a video is lost.
    """

    KEY: ClassVar[re.Pattern[str]] = re.compile(r"[\x21-\x7e]+")

    url: BaseUrl = "https://api.dev.runwayml.com"
    media_hosts: MediaHosts = ("dnznrvs05pmza.cloudfront.net",)
