"""The faults of the simulated Runway, except those of its CDN.

Points: ``submit`` (a POST with a valid body), ``run`` (selected at acceptance, occurs while the
task exists), ``poll`` (each GET of a task), ``media`` (each GET of a file).
"""

from __future__ import annotations

from local.simulator.faults import Kind
from local.simulator.media import MEDIA_FAULTS

NOT_ACCEPTED = frozenset(
    {
        "submit_429",
        "submit_daily_quota",
        "submit_503",
        "submit_502_html",
        "submit_no_credits",
        "submit_reset_before",
    }
)
"""Submit faults that occur before the task is created: nothing was paid."""

RUNWAY_FAULTS: dict[str, Kind] = {
    "submit_429": Kind("submit", "429 of the gateway, not accepted"),
    "submit_daily_quota": Kind("submit", "429, the day's generations are used up"),
    "submit_503": Kind("submit", "503 with a JSON body, not accepted"),
    "submit_502_html": Kind("submit", "an nginx page, not accepted", {"status": 502}),
    "submit_no_credits": Kind("submit", "400, not enough credits"),
    "submit_reset_before": Kind("submit", "connection reset, not accepted"),
    "submit_reset_after": Kind("submit", "accepted, then the connection is reset"),
    "submit_timeout_after": Kind("submit", "accepted, no response"),
    "submit_504_after": Kind("submit", "accepted, the response is an nginx 504 page"),
    "submit_garbled": Kind("submit", "accepted, the response is cut off"),
    "submit_slow": Kind("submit", "accepted, the response is late", {"seconds": 3.0}),
    "submit_bare": Kind("submit", "the response has only an id, as older servers did"),
    "moderation": Kind("run", "FAILED, SAFETY.INPUT.TEXT, and charged"),
    "failure": Kind("run", "FAILED with this code", {"failure_code": "INTERNAL.BAD_OUTPUT.CODE01"}),
    "failure_without_code": Kind("run", "FAILED without a failureCode"),
    "cancelled_elsewhere": Kind("run", "CANCELLED without a DELETE to the simulator"),
    "throttled": Kind("run", "THROTTLED at least this long", {"seconds": 5.0}),
    "stuck": Kind("run", "RUNNING for ever; only a DELETE ends it"),
    "slow_generation": Kind("run", "RUNNING this much longer", {"seconds": 10.0}),
    "cancel_ignored": Kind("run", "a DELETE hides it, but it is still made and charged"),
    "poll_error": Kind("poll", "an error (502 to 504: an nginx page)", {"status": 503}),
    "poll_reset": Kind("poll", "connection reset"),
    "poll_timeout": Kind("poll", "never answered"),
    "poll_garbled": Kind("poll", "the response is cut off"),
    "poll_gone": Kind("poll", "404, as if the task had been forgotten"),
    "poll_unknown_status": Kind("poll", "a status that does not exist", {"status": "PAUSED"}),
    **MEDIA_FAULTS,
}
"""Every fault kind of this simulator."""
