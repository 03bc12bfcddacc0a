"""What can go wrong at the simulated Runware, beside its CDN.

Points: ``submit`` (each inference task of a POST or frame), ``run`` (drawn at acceptance, strikes
while the task is processing), ``webhook`` (drawn at acceptance, strikes at delivery), ``poll``
(each getResponse about a known task), ``media`` (each GET of a file).
"""

from __future__ import annotations

from local.simulator.faults import Kind
from local.simulator.media import MEDIA_FAULTS

REFUSALS = frozenset(
    {"submit_401", "submit_402", "submit_429", "submit_503", "submit_504", "submit_error"}
)
"""Submit faults that refuse the one task; others of the same POST are taken."""

CUT_OFF = frozenset({"submit_502_html", "submit_reset_before"})
"""Submit faults that strike the whole POST before anything in it is accepted."""

NOT_ACCEPTED = REFUSALS | CUT_OFF
"""Submit faults that strike before the task is accepted: nothing was paid for."""

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
    "submit_timeout_after": Kind("submit", "accepted, and never answered"),
    "submit_504_after": Kind("submit", "accepted, and answered with an nginx 504 page"),
    "submit_garbled": Kind("submit", "accepted, and the answer breaks off half-way"),
    "submit_slow": Kind("submit", "accepted, and answered late", {"seconds": 3.0}),
    "moderation": Kind("run", "a content checker declines", {"code": "invalidProviderContent"}),
    "provider_timeout": Kind("run", "the model's provider took too long: timeoutProvider"),
    "task_error": Kind("run", "any other failure of the task", {"code": "inferenceError"}),
    "stuck": Kind("run", "processing for ever"),
    "slow_generation": Kind("run", "processing this much longer", {"seconds": 10.0}),
    "forgotten": Kind("run", "paid for and made, but getResponse never knows of it"),
    "webhook_lost": Kind("webhook", "never sent"),
    "webhook_late": Kind("webhook", "sent this much later", {"seconds": 5.0}),
    "webhook_duplicate": Kind(
        "webhook", "sent this many times, each until acknowledged", {"copies": 2}
    ),
    "webhook_forged": Kind(
        "webhook",
        "somebody else's words: members overwrite those of the genuine call",
        {"members": {}, "then_genuine": False},
    ),
    "webhook_early": Kind("webhook", "delivered before the submission is answered"),
    "webhook_processing": Kind("webhook", "a call that says processing comes first"),
    "poll_error": Kind(
        "poll",
        "an error about the question, not the task",
        {"status": 503, "code": "serviceUnavailable"},
    ),
    "poll_502_html": Kind("poll", "an nginx page", {"status": 502}),
    "poll_reset": Kind("poll", "connection reset"),
    "poll_timeout": Kind("poll", "never answered"),
    "poll_garbled": Kind("poll", "the answer breaks off half-way"),
    "poll_gone": Kind("poll", "no item, as if the task had been forgotten"),
    "poll_unknown_status": Kind("poll", "a status nobody has heard of", {"status": "queued"}),
    **MEDIA_FAULTS,
}
"""Every fault kind of this simulator."""
