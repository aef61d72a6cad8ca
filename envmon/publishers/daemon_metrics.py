"""The daemon's own metrics: what it does, how late it is, what it could not deliver.

Rules
  - One registry of its own; nothing is registered globally.
  - Counters that live elsewhere (runtime, page queue, MQTT publisher) are read at scrape time.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from envmon.publishers.mqtt import MqttCounts

LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class Row:
    """How a number of the runtime is exposed; ``label`` names what a number per name is counted by."""

    name: str
    help: str
    label: str = ""
    gauge: bool = False

    def metric(self, value: Any) -> Metric:
        """Return the family with its samples; a mapping gives one sample per key."""
        labelled = isinstance(value, Mapping)
        kind = GaugeMetricFamily if self.gauge else CounterMetricFamily
        metric = kind(self.name, self.help, labels=[self.label] if labelled else [])
        for key, number in value.items() if labelled else [("", value)]:
            metric.add_metric([key] if labelled else [], float(number))
        return metric


RUNTIME: Mapping[str, Row] = {
    "polls": Row("envmon_polls", "Polls that ended, answered or not."),
    "failed_polls": Row("envmon_failed_polls", "Polls that were not answered.", "device"),
    "late_polls": Row("envmon_late_polls", "Polls not started: the one before was still running.", "device"),
    "prompted_polls": Row("envmon_prompted_polls", "Polls out of turn: the device sent a notification.", "device"),
    "coalesced_batches": Row("envmon_coalesced_batches", "Polls replaced by a newer one before the engine saw them."),
    "coalesced_reports": Row("envmon_coalesced_reports", "Edge reports replaced by a newer one before being seen."),
    "coalesced_ticks": Row("envmon_coalesced_ticks", "Ticks replaced by a newer one before the engine saw them."),
    "events": Row("envmon_events", "Events the engine took."),
    "ticks": Row("envmon_ticks", "Ticks the engine took, one a second."),
    "decisions": Row("envmon_decisions", "Decisions, by the rule that fired.", "rule"),
    "engine_lag_s": Row("envmon_engine_lag_seconds", "Age of the last tick when the engine took it.", gauge=True),
    "writes": Row("envmon_edge_writes", "Writes to edges that ended, by outcome.", "outcome"),
    "superseded_writes": Row("envmon_superseded_edge_writes", "Writes to edges given up for a newer one."),
    "journal_failures": Row("envmon_journal_failures", "Attempts to write the journal that failed."),
    "journal_failing": Row("envmon_journal_failing", "1 while the journal cannot be written.", gauge=True),
    "journal_broken": Row("envmon_journal_broken", "1 when the journal is not what was written.", gauge=True),
    "journal_lost": Row("envmon_journal_lost", "Lines given up while the journal could not be written."),
    "orders": Row("envmon_orders", "Orders received."),
    "refused_requests": Row("envmon_refused_requests", "Requests on the control socket that were refused."),
    "task_restarts": Row("envmon_task_restarts", "Tasks that ended unexpectedly and were started again.", "task"),
    "reloads": Row("envmon_reloads", "Configurations loaded while running."),
    "failed_reloads": Row("envmon_failed_reloads", "Configurations refused while running; the old one stays."),
}
"""By the field name of the runtime's counters."""

PAGES: Mapping[str, Row] = {
    "depth": Row("envmon_page_queue_depth", "Pages not yet taken by a pager.", "pager", gauge=True),
    "delivered": Row("envmon_pages_delivered", "Pages a pager took.", "pager"),
    "retried": Row("envmon_page_retries", "Attempts to page that failed and are made again.", "pager"),
    "failures": Row("envmon_page_failures", "Pages given up: refused for a day, or for ever.", "pager"),
    "refused": Row("envmon_pages_refused", "Pages that wait although the pager has refused them.", "pager", gauge=True),
    "dropped": Row("envmon_pages_dropped", "Pages given up because too many waited.", "pager"),
}
"""By the name the page queue gives the number."""

TRAPS: Mapping[str, Row] = {
    "counts": Row(
        "envmon_traps", "SNMP notifications and other datagrams on their port, by what they were.", "outcome"
    ),
    "listening": Row("envmon_traps_listening", "1 while SNMP notifications can arrive.", gauge=True),
}
"""By the name ``watch_traps`` is given the number."""

JOURNAL: Mapping[str, Row] = {
    "seq": Row("envmon_journal_seq", "The number of the newest line in the journal.", gauge=True),
    "head": Row("envmon_journal_head", "The same by the line's hash: the head a journal is verified by.", "hash", True),
    "room": Row("envmon_journal_has_room", "1 while a full disk would still allow one whole episode.", gauge=True),
}
"""By the name ``watch_journal`` is given the number."""

RECORDER: Mapping[str, Row] = {
    "events": Row("envmon_recorded_events", "Events written to a recording."),
    "lost": Row("envmon_unrecorded_events", "Events no recording holds: the disk was full or too slow."),
    "bytes": Row("envmon_recorded_bytes", "Bytes written to recordings."),
    "failures": Row("envmon_recorder_failures", "Times a recording could not be written."),
    "failing": Row("envmon_recorder_failing", "1 while nothing can be recorded.", gauge=True),
}
"""By the name ``watch_recorder`` is given the number."""

MQTT: Mapping[str, Row] = {
    "connected": Row("envmon_mqtt_connected", "1 while the broker is connected.", gauge=True),
    "waiting": Row("envmon_mqtt_waiting", "States the broker has not yet acknowledged.", gauge=True),
    "sent": Row("envmon_mqtt_sent", "Messages the broker acknowledged."),
    "refused": Row("envmon_mqtt_refused", "Messages the broker refused; see its ACL."),
    "dropped": Row("envmon_mqtt_dropped", "States dropped, oldest first: the queue was full."),
    "replaced": Row("envmon_mqtt_replaced", "States replaced by a newer one before being sent."),
    "reconnects": Row("envmon_mqtt_reconnects", "Connections made after the first."),
}
"""By the field name of ``MqttCounts``."""


class DaemonMetrics:
    """The registry: its own instruments, and the numbers others keep. ``now_ns``: the clock events are stamped by."""

    def __init__(self, version: str, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads
        self._now_ns = now_ns
        self._registry = registry = CollectorRegistry()
        Info("envmon_build", "The version that runs.", registry=registry).info({"version": version})
        self._publish_lag = Histogram(
            "envmon_publish_lag_seconds",
            "From the answer of a device to what others can see of it: a unit's state acknowledged by the broker "
            "(at QoS 0 handed over to it), or the device's readings on the next scrape.",
            labelnames=["to"],
            buckets=LAG_S,
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def publish_lag(self, to: str) -> Callable[[int], None]:
        """Return who is told, once it can be seen at ``to`` (``mqtt``, ``metrics``), when (ns) a device answered it."""
        lag, now_ns = self._publish_lag.labels(to), self._now_ns
        return lambda answered_ns: lag.observe((now_ns() - answered_ns) / 1e9)

    def watch_mqtt(self, counts: Callable[[], MqttCounts | None]) -> None:
        """Show these counters from now on; None, where no broker is configured, shows nothing."""

        def numbers() -> Mapping[str, Any]:
            told = counts()
            return {} if told is None else {key: getattr(told, key) for key in MQTT}

        self._registry.register(_Watched(MQTT, numbers))

    def watch_journal(self, numbers: Callable[[], Mapping[str, Any]]) -> None:
        """Show these numbers from now on: a key of ``JOURNAL`` each."""
        self._registry.register(_Watched(JOURNAL, numbers))

    def watch_runtime(self, counters: Callable[[], Mapping[str, Any]]) -> None:
        """Show these numbers from now on: a key of ``RUNTIME`` each, any other is not shown."""
        self._registry.register(_Watched(RUNTIME, counters))

    def watch_pages(self, numbers: Callable[[], Mapping[str, Mapping[str, float]]]) -> None:
        """Show these numbers by pager from now on: a key of ``PAGES`` each, any other is not shown."""
        self._registry.register(_Watched(PAGES, numbers))

    def watch_traps(self, numbers: Callable[[], Mapping[str, Any]]) -> None:
        """Show these numbers from now on: a key of ``TRAPS`` each; nothing where none are received."""
        self._registry.register(_Watched(TRAPS, numbers))

    def watch_recorder(self, numbers: Callable[[], Mapping[str, Any]]) -> None:
        """Show these numbers from now on: a key of ``RECORDER`` each."""
        self._registry.register(_Watched(RECORDER, numbers))

    def families(self) -> Iterator[Metric]:
        """Every family as it would be exposed now."""
        yield from self._registry.collect()

    def render(self) -> bytes:
        """Return the text exposition format 0.0.4."""
        return generate_latest(self._registry)


class _Watched(Collector):
    """Numbers somebody else keeps, asked for at scrape time."""

    def __init__(self, rows: Mapping[str, Row], numbers: Callable[[], Mapping[str, Any]]) -> None:
        self._rows = rows
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        for key, value in self._numbers().items():
            if row := self._rows.get(key):
                yield row.metric(value)
