"""fal's queue API behind the `Provider` port.

What is known of the wire comes from fal's published documentation ("docs" below), from its official
Python client ("SDK"), and from answers users have posted ("seen"). What none of them settles is
marked *Assumed* where it is relied on, and every assumption errs towards asking again rather than
towards paying twice or refunding a video that exists.

=================  ==============================================================
`adapter`          `Fal`: submit, poll, cancel, read_webhook
`settings`         the key and the three addresses, checked once
`models`           what each family of models is sent
`addresses`        which URLs may see our key
`results`          what a finished request became
`failures`         fal's error types and what they mean, as one table
`webhooks`         proof and content of a webhook
`keyset`           fal's public keys, fetched seldom
=================  ==============================================================

Importing the package imports neither httpx nor cryptography; the first call that needs one does.
"""

from clipmint.providers.fal.adapter import Fal
from clipmint.providers.fal.settings import FalSettings

__all__ = ["Fal", "FalSettings"]
