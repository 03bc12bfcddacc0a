"""Runway's API behind the `Provider` port. It never calls us: outcomes are found by polling.

What is known of the wire comes from Runway's published documentation ("docs" below), from its
official Python client ("SDK"), and from answers users have posted ("seen"). What none of them
settles is marked *Assumed* where it is relied on, and every assumption errs towards asking again
rather than towards paying twice or refunding a video that exists.

=================  ==============================================================
`adapter`          `Runway`: submit, poll, cancel
`settings`         the key, the address and the version of the API we speak
`models`           which endpoint a task goes to, and what it is sent
`failures`         Runway's failure codes and refusals, and what they mean
=================  ==============================================================

Importing the package does not import httpx; the first call that needs it does.
"""

from clipmint.providers.runway.adapter import Runway
from clipmint.providers.runway.settings import RunwaySettings

__all__ = ["Runway", "RunwaySettings"]
