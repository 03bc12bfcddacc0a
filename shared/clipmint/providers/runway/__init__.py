"""Runway's API behind the `Provider` port. Runway has no webhooks: we poll for outcomes.

Facts about the protocol come from Runway's published documentation ("docs" below), from its
official Python client ("SDK"), and from responses that users have posted ("seen"). A fact that none
of them settles is marked *Assumed* where we rely on it. Every assumption is chosen so that, if it
is wrong, we poll again rather than pay twice or refund a video that exists.

=================  ==============================================================
`adapter`          `Runway`: submit, poll, cancel
`settings`         the default address, the syntax of a key, the API version
`models`           the endpoint and the request body of a task
`failures`         Runway's failure codes and rejections, and their meanings
=================  ==============================================================

Importing the package does not import httpx; the first call that needs it does.
"""

from clipmint.providers.runway.adapter import Runway
from clipmint.providers.runway.settings import RunwaySettings

Adapter = Runway
Settings = RunwaySettings

__all__ = ["Adapter", "Runway", "RunwaySettings", "Settings"]
