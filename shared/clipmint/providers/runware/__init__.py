"""Runware's task API behind the `Provider` port.

Facts about the protocol come from Runware's published documentation ("docs" below), from its
official Python client ("SDK": runware-sdk 1.8.0), and from responses that users have posted
("seen"). A fact that none of them settles is marked *Assumed* where we rely on it. Every assumption
is chosen so that, if it is wrong, we poll again rather than pay twice or refund a video that
exists.

==========  =======================================================================
`adapter`   `Runware`: submit, poll, cancel, read_webhook
`settings`  the default address and the syntax of a key
`models`    the request body for each model
`envelope`  the parts of a response that concern one task: ``data`` and ``errors``
`failures`  Runware's error codes and their meanings, as one table
`results`   the outcome of a submission
`webhooks`  the task that a webhook concerns
==========  =======================================================================

Importing the package does not import httpx; the first call that needs it does.
"""

from clipmint.providers.runware.adapter import Runware
from clipmint.providers.runware.settings import RunwareSettings

Adapter = Runware
Settings = RunwareSettings

__all__ = ["Adapter", "Runware", "RunwareSettings", "Settings"]
