"""What the runtime counts about itself, for ``/metrics`` and the status.

Rules
  - One object for a daemon's life, written from the event loop only: readers need no lock and see whole numbers.
  - A counter never falls; gauges say so.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counters:
    """The only mutable record of the runtime. Keys of the per-name counters are device ids, rules, task names."""

    polls: int = 0
    failed_polls: Counter[str] = field(default_factory=Counter)
    late_polls: Counter[str] = field(default_factory=Counter)  # not started: the one before was still running
    prompted_polls: Counter[str] = field(default_factory=Counter)  # out of turn: the device sent a notification
    coalesced_batches: int = 0  # a newer poll of the device replaced one the engine had not seen
    coalesced_reports: int = 0  # the same for an edge's report
    coalesced_ticks: int = 0
    events: int = 0
    ticks: int = 0  # ticks the engine took: what the watchdog believes
    decisions: Counter[str] = field(default_factory=Counter)  # by rule
    engine_lag_s: float = 0.0  # gauge: age of the last tick when the engine took it, virtual seconds
    writes: Counter[str] = field(default_factory=Counter)  # edge writes by outcome
    superseded_writes: int = 0
    journal_failures: int = 0
    journal_failing: bool = False  # gauge
    journal_broken: bool = False  # gauge: its chain does not hold
    journal_lost: int = 0  # records given up while the journal could not be written
    orders: int = 0
    refused_requests: int = 0
    task_restarts: Counter[str] = field(default_factory=Counter)
    reloads: int = 0
    failed_reloads: int = 0

    def view(self) -> Mapping[str, Any]:
        """Return a copy for the status: one number per name, per-name counters as their sum."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value.total() if isinstance(value, Counter) else value for name, value in values}
