"""The faults of the simulated Runware, except those of its CDN.

Points: ``submit`` (each inference task of a POST), ``run`` (selected at acceptance, occurs
while the task is processing), ``webhook`` (selected at acceptance, occurs at delivery), ``poll``
(each getResponse about a known task), ``media`` (each GET of a file).
"""

from __future__ import annotations

from local.simulator.faults import Kind
from local.simulator.media import MEDIA_FAULTS

REFUSALS = frozenset(
    {"submit_401", "submit_402", "submit_429", "submit_503", "submit_504", "submit_error"}
)
"""Submit faults that reject one task; the other tasks of the same POST are accepted."""

CUT_OFF = frozenset({"submit_502_html", "submit_reset_before"})
"""Submit faults that affect the whole POST before any of its tasks is accepted."""

NOT_ACCEPTED = REFUSALS | CUT_OFF
"""Submit faults that occur before the task is accepted: nothing was paid."""

RUNWARE_FAULTS: dict[str, Kind] = {
    "submit_401": Kind("submit", "invalidApiKey, not accepted"),
    "submit_402": Kind("submit", "the account is out of credits, not accepted"),
    "submit_429": Kind("submit", "the queue is at capacity, not accepted"),
    "submit_503": Kind("submit", "noAvailableServer, not accepted"),
    "submit_504": Kind("submit", "timeoutProvider, not accepted"),
    "submit_error": Kind(
        "submit", "any other refusal, with any status", {"status": 400, "code": "invalidModel"}
    ),
    "submit_502_html": Kind("submit", "an nginx page, not accepted", {"status": 502}),
    "submit_reset_before": Kind("submit", "connection reset, not accepted"),
    "submit_reset_after": Kind("submit", "accepted, then the connection is reset"),
    "submit_timeout_after": Kind("submit", "accepted, no response"),
    "submit_504_after": Kind("submit", "accepted, the response is an nginx 504 page"),
    "submit_garbled": Kind("submit", "accepted, the response is cut off"),
    "submit_slow": Kind("submit", "accepted, the response is late", {"seconds": 3.0}),
    "moderation": Kind("run", "a content checker declines", {"code": "invalidProviderContent"}),
    "provider_timeout": Kind("run", "the model's provider took too long: timeoutProvider"),
    "task_error": Kind("run", "any other failure of the task", {"code": "inferenceError"}),
    "stuck": Kind("run", "processing for ever"),
    "slow_generation": Kind("run", "processing this much longer", {"seconds": 10.0}),
    "forgotten": Kind("run", "paid and made, but getResponse does not return it"),
    "webhook_lost": Kind("webhook", "never sent"),
    "webhook_late": Kind("webhook", "sent this much later", {"seconds": 5.0}),
    "webhook_duplicate": Kind(
        "webhook", "sent this many times, each until acknowledged", {"copies": 2}
    ),
    "webhook_forged": Kind(
        "webhook",
        "not from Runware: members overwrite those of the genuine call",
        {"members": {}, "then_genuine": False},
    ),
    "webhook_early": Kind("webhook", "delivered before the response to the submission"),
    "webhook_processing": Kind("webhook", "first a call with the status processing"),
    "poll_error": Kind(
        "poll",
        "an error of the getResponse, not of the task",
        {"status": 503, "code": "serviceUnavailable"},
    ),
    "poll_502_html": Kind("poll", "an nginx page", {"status": 502}),
    "poll_reset": Kind("poll", "connection reset"),
    "poll_timeout": Kind("poll", "never answered"),
    "poll_garbled": Kind("poll", "the response is cut off"),
    "poll_gone": Kind("poll", "no item, as if the task had been forgotten"),
    "poll_unknown_status": Kind("poll", "a status that does not exist", {"status": "queued"}),
    **MEDIA_FAULTS,
}
"""Every fault kind of this simulator."""
