"""The door of the mind for what others say: errors, reasons and names from devices, edges, peers and far ends.

Rules
  - Whatever an adapter quotes becomes one printable line of bounded length before anything remembers it: it can fill
    no page and no memory, and every text of the world can be written.
  - What was said never becomes "", which means that nothing was.
  - Names are left alone: they come from the configuration, and what is called otherwise is nobody's.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from envmon.model.event import (
    DeviceBatch,
    EdgeReport,
    EffectReport,
    Event,
    LeaseReport,
    ProbeReport,
    ReadinessReport,
    WeatherReport,
)
from envmon.model.texts import line

MOST = 500  # characters of an explanation
_SAID: Mapping[type, tuple[str, ...]] = {
    DeviceBatch: ("error",),
    EdgeReport: ("error",),
    ProbeReport: ("answered_by", "detail"),
    ReadinessReport: ("why", "error"),
    LeaseReport: ("detail", "holder"),
    WeatherReport: ("error",),
    EffectReport: ("detail",),
}


def heard(event: Event) -> Event:
    """The event with readable texts."""
    said = {name: text for name in _SAID.get(type(event), ()) if (text := getattr(event, name))}
    cleaned: dict[str, Any] = {name: line(text, MOST) or "?" for name, text in said.items()}
    return event if cleaned == said else replace(event, **cleaned)
