"""The faults of the simulated fal, except those of its CDN.

Points: ``submit`` (the POST), ``run`` (selected at acceptance, occurs while the model runs),
``webhook`` (selected at acceptance, occurs at delivery), ``poll`` (each status or result GET),
``media`` (each GET of a file).
"""

from __future__ import annotations

from local.simulator.faults import Kind
from local.simulator.media import MEDIA_FAULTS

NOT_ACCEPTED = frozenset(
    {"submit_429", "submit_503", "submit_502_html", "submit_reset_before", "submit_locked"}
)
"""Submit faults that occur before the submission is accepted: nothing was paid."""

FAL_FAULTS: dict[str, Kind] = {
    "submit_429": Kind("submit", "429, not accepted"),
    "submit_503": Kind("submit", "503 with a JSON body, not accepted"),
    "submit_502_html": Kind("submit", "an nginx page, not accepted", {"status": 502}),
    "submit_locked": Kind("submit", "403, the account is out of funds"),
    "submit_reset_before": Kind("submit", "connection reset, not accepted"),
    "submit_reset_after": Kind("submit", "accepted, then the connection is reset"),
    "submit_timeout_after": Kind("submit", "accepted, no response"),
    "submit_garbled": Kind("submit", "accepted, the response is cut off"),
    "submit_slow": Kind("submit", "accepted, the response is late", {"seconds": 3.0}),
    "submit_in_progress": Kind("submit", "the response is IN_PROGRESS, without a queue position"),
    "moderation": Kind("run", "422 content_policy_violation"),
    "no_media_generated": Kind("run", "422 no_media_generated"),
    "file_download_error": Kind("run", "422 file_download_error"),
    "generation_timeout": Kind("run", "504 generation_timeout"),
    "model_error": Kind("run", "a model-level error", {"type": "internal_server_error"}),
    "runner_error": Kind("run", "a request-level error", {"error_type": "runner_disconnected"}),
    "stuck": Kind("run", "IN_PROGRESS for ever; only a cancel ends it"),
    "slow_generation": Kind("run", "IN_PROGRESS this much longer", {"seconds": 10.0}),
    "cancel_ignored": Kind("run", "a cancel while IN_PROGRESS is accepted and has no effect"),
    "webhook_lost": Kind("webhook", "never sent"),
    "webhook_late": Kind("webhook", "sent this much later", {"seconds": 5.0}),
    "webhook_duplicate": Kind(
        "webhook", "sent this many times, each until acknowledged", {"copies": 2}
    ),
    "webhook_replayed": Kind(
        "webhook", "the same bytes, timestamp and signature this many times", {"copies": 2}
    ),
    "webhook_forged": Kind(
        "webhook",
        "not authentic: bad_signature, foreign_key, stale_timestamp, altered_body or unsigned",
        {"how": "bad_signature", "members": {}, "then_genuine": False},
    ),
    "webhook_early": Kind("webhook", "delivered before the response to the submission"),
    "webhook_payload_null": Kind(
        "webhook", "no payload but a reason", {"payload_error": "Payload could not be serialized"}
    ),
    "webhook_gateway_retry": Kind("webhook", "gateway_request_id differs from request_id"),
    "poll_error": Kind("poll", "an error (502 to 504: an nginx page)", {"status": 503}),
    "poll_reset": Kind("poll", "connection reset"),
    "poll_timeout": Kind("poll", "never answered"),
    "poll_gone": Kind("poll", "404, as if the request had been forgotten"),
    "poll_unknown_status": Kind("poll", "a status that does not exist", {"status": "PAUSED"}),
    **MEDIA_FAULTS,
}
"""Every fault kind of this simulator."""
