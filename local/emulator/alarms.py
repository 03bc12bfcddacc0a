"""Alarms on metric math are accepted. They are kept and listed, not evaluated.

Upstream rejects an alarm that has `Metrics`, and with it the whole stack. A local stack needs no
alarms, but the template must deploy without changes.
"""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners

from local.emulator.settings import Settings
from local.emulator.upstream import corrects


def apply(settings: Settings) -> None:
    """Put the correction in place."""
    del settings

    @corrects(provisioners, "_cw_metric_alarm_record", digest="4565fcede1eb")
    def alarm_record(
        original: Callable[[str, dict[str, Any]], dict[str, Any]],
        name: str,
        properties: dict[str, Any],
    ) -> dict[str, Any]:
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        stand_in = {"MetricName": "math", "Namespace": "math", **properties}
        del stand_in["Metrics"]
        return {**original(name, stand_in), "Metrics": metrics}
