"""Writes deploy/prometheus/METRICS.md from the code: ``python -m envmon.publishers.catalog > METRICS.md``."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from envmon.publishers.daemon_metrics import JOURNAL, PAGES, RECORDER, RUNTIME, TRAPS, DaemonMetrics, Row
from envmon.publishers.families import FAMILIES, Family
from envmon.publishers.mqtt import MqttCounts

_INTRO = """# Metrics

Written by `python -m envmon.publishers.catalog`; do not edit. Units are base units, ratios run from 0 to 1. A reading
that is bad or missing has no value series; `envmon_reading_fault` says why. `zone`, `role`, `severity` and `reason` are
left out where there is none; `unit` is the piece of plant, or the device where it serves none.
The usual `process_*` families (CPU, memory, file descriptors) are there as well.
"""


def catalog() -> str:
    """Render the document."""
    daemon = DaemonMetrics("0")
    daemon.watch_mqtt(MqttCounts)
    daemon.publish_lag("mqtt")
    daemon.watch_runtime(lambda: _zeros(RUNTIME))
    daemon.watch_pages(lambda: _zeros(PAGES))
    daemon.watch_journal(lambda: _zeros(JOURNAL))
    daemon.watch_traps(lambda: _zeros(TRAPS))
    daemon.watch_recorder(lambda: _zeros(RECORDER))
    return "\n".join([_INTRO, _table("Plant, zones and routes", iter(FAMILIES)), _table("The daemon", _own(daemon))])


def _zeros(rows: Mapping[str, Row]) -> Mapping[str, Any]:
    return {key: {"": 0} if row.label else 0 for key, row in rows.items()}


def _own(daemon: DaemonMetrics) -> Iterator[Family]:
    for metric in daemon.families():
        if metric.name.startswith("process_"):
            continue
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        labels = tuple(label for label in metric.samples[0].labels if label != "le")
        yield Family(metric.name + suffix, metric.type, metric.documentation, labels)


def _table(title: str, families: Iterator[Family]) -> str:
    rows = [f"| `{f.name}` | {f.kind} | {', '.join(f.labels)} | {f.help} |" for f in families]
    return "\n".join([f"## {title}", "", "| name | type | labels | meaning |", "| --- | --- | --- | --- |", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(catalog())
