"""Runway's default address, the syntax of its keys, and the version of the API that we use."""

from __future__ import annotations

import re
from typing import ClassVar

from clipmint.providers.adapter_settings import AdapterSettings, BaseUrl, MediaHosts

API_VERSION = "2024-11-06"
"""Sent as ``X-Runway-Version`` with every request (docs: required). The bodies in `models` are of
this version, and Runway rejects unknown fields. Never change one without the other."""


class RunwaySettings(AdapterSettings):
    """Runway's address and our key.

    Attributes
    ----------
    key
        The API secret, ``key_…`` (docs).
    url
        Base of the API, without ``/v1``.
    media_hosts
        Runway uses CloudFront, in every response seen the same distribution. But it promises no
        name, and a new name must not make us lose a video that is paid for, so we allow all of
        CloudFront. Anyone can have a CloudFront name: the list only keeps us on a CDN and off
        private networks. We know that a URL is Runway's because we read it from Runway over TLS.
    """

    KEY: ClassVar[re.Pattern[str]] = re.compile(r"[\x21-\x7e]+")

    url: BaseUrl = "https://api.dev.runwayml.com"
    media_hosts: MediaHosts = (".cloudfront.net",)
