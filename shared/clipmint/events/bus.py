"""The stack's event bus in EventBridge: the owner's rules decide what happens with an event."""

from __future__ import annotations

from clipmint import aws, clock
from clipmint.events.changes import Event, to_json

SOURCE = "clipmint"


class EventNotAccepted(Exception):
    """EventBridge did not accept an event. The caller must retry."""


def put(event: Event, bus: str) -> None:
    """Put an event on the bus. Its ``detail`` is the payload, and the event's id.

    Raises
    ------
    EventNotAccepted
    """
    answer = aws.event_bridge().put_events(
        Entries=[
            {
                "EventBusName": bus,
                "Source": SOURCE,
                "DetailType": event.type,
                "Time": clock.from_iso(event.timestamp),
                "Detail": to_json({"id": event.event_id, **event.payload()}),
            }
        ]
    )
    if answer["FailedEntryCount"]:
        raise EventNotAccepted(answer["Entries"][0].get("ErrorCode", "unknown"))
