"""Runware's task API behind the `Provider` port.

What is known of the wire comes from Runware's published documentation ("docs" below), from its
official Python client ("SDK": runware-sdk 1.8.0), and from answers users have posted ("seen"). What
none of them settles is marked *Assumed* where it is relied on, and every assumption errs towards
asking again rather than towards paying twice or refunding a video that exists.

==========  =======================================================================
`adapter`   `Runware`: submit, poll, cancel, read_webhook
`settings`  the key and the address, checked once
`models`    the task each model is sent
`envelope`  what an answer holds about one task: ``data`` and ``errors``
`failures`  Runware's error codes and what they mean, as one table
`results`   what a submission became
`webhooks`  which task a webhook is about
==========  =======================================================================

Importing the package does not import httpx; the first call that needs it does.
"""

from clipmint.providers.runware.adapter import Runware
from clipmint.providers.runware.settings import RunwareSettings

__all__ = ["Runware", "RunwareSettings"]
