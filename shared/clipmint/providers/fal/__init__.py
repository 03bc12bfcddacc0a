"""fal's queue API behind the `Provider` port.

Facts about the protocol come from fal's published documentation ("docs" below), from its official
Python client ("SDK"), and from responses that users have posted ("seen"). A fact that none of them
settles is marked *Assumed* where we rely on it. Every assumption is chosen so that, if it is wrong,
we poll again rather than pay twice or refund a video that exists.

=================  ==============================================================
`adapter`          `Fal`: submit, poll, cancel, read_webhook
`settings`         the default addresses and the syntax of a key
`models`           the request body for each family of models
`addresses`        the URLs that may receive our key
`results`          the outcome of a finished request
`failures`         fal's error types and their meanings, as one table
`webhooks`         verification and content of a webhook
`keyset`           fal's public keys, cached
=================  ==============================================================

Importing the package imports neither httpx nor cryptography; the first call that needs one does.
"""

from clipmint.providers.fal.adapter import Fal
from clipmint.providers.fal.settings import FalSettings

Adapter = Fal
Settings = FalSettings

__all__ = ["Adapter", "Fal", "FalSettings", "Settings"]
