"""Measures pollers side by side on a simulated fleet: CPU a point, late polls, publish lag, memory, scrapes.

    python tests/bench/fleet.py --quick                       500 SNMP + 500 Modbus devices, under a minute
    python tests/bench/fleet.py --snmp 2000 --modbus 2000 --seconds 900
    python tests/bench/fleet.py --only envmon --repeat 3      the best of three

The simulators, the broker and the listener run on core 1, the subject alone on core 0. See README.md beside this file.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as paho
from fleet_rig import WORLD_CORE, BenchError, Fleet, broker, cpu_s, get, rss_mb
from fleet_subjects import Collectd, Envmon, Process, SnmpExporter, zone_of

SCRAPE_S = 5.0
SUBJECTS = {kind.name: kind for kind in (Envmon, Collectd, SnmpExporter)}


@dataclass
class Result:
    """One subject over one window. ``late`` counts devices that ever waited over 1.5 s; lag is seconds."""

    subject: str
    points_s: float = 0.0
    us_point: float = 0.0
    core: float = 0.0
    late: int = 0
    never: int = 0
    gap_ms: float = 0.0
    lag_p50: float | None = None
    lag_p99: float | None = None
    rss_mb: float = 0.0
    growth_mb_min: float = 0.0
    scrape_ms: float | None = None
    samples: int = 0


class Ear:
    """A foreign subscriber to one zone of every protocol: how old a state is when it arrives."""

    def __init__(self, port: int, zones: Sequence[str]) -> None:
        self.ages: list[float] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: [client.subscribe(f"envmon/v1/bench/{zone}/#") for zone in zones]
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        if not message.retain:
            measured = datetime.fromisoformat(json.loads(message.payload)["time"]).timestamp()
            self.ages.append(time.time() - measured)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Scraper:
    """Fetches ``/metrics`` every few seconds, as Prometheus would; remembers how long the best and worst took."""

    def __init__(self, port: int) -> None:
        self.took: list[float] = []
        self.samples = 0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(SCRAPE_S):
            with contextlib.suppress(OSError):
                took, body = get(self._port, "/metrics")
                self.took.append(took)
                self.samples = sum(1 for line in body.splitlines() if line[:1] != b"#")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def measure(subject: Process, fleets: Sequence[Fleet], ear: Ear | None, settle: float, seconds: float) -> Result:
    """Let it settle, then watch it for ``seconds``."""
    time.sleep(settle)
    for fleet in fleets:
        fleet.tell("reset")
    if ear:
        ear.ages.clear()
    scraper = Scraper(subject.http)
    begun, cpu, rss = time.monotonic(), cpu_s(subject.pid), rss_mb(subject.pid)
    try:
        time.sleep(seconds)
        counts = [fleet.counts() for fleet in fleets]
        took, spent, now_mb = time.monotonic() - begun, cpu_s(subject.pid) - cpu, rss_mb(subject.pid)
    finally:
        scraper.close()
    points = sum(count.points for count in counts)
    ages = sorted(ear.ages) if ear else []
    return Result(
        subject.name,
        points_s=points / took,
        us_point=spent * 1e6 / max(points, 1),
        core=spent / took,
        late=sum(count.late for count in counts),
        never=sum(count.never for count in counts),
        gap_ms=max(count.gap_ms for count in counts),
        lag_p50=ages[len(ages) // 2] if ages else None,
        lag_p99=ages[len(ages) * 99 // 100] if ages else None,
        rss_mb=now_mb,
        growth_mb_min=(now_mb - rss) / took * 60,
        scrape_ms=min(scraper.took) * 1000 if scraper.took else None,
        samples=scraper.samples,
    )


@contextlib.contextmanager
def world(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[list[Fleet], int]]:
    """The fleet and the broker."""
    counts = {"snmp": asked.snmp, "modbus": asked.modbus}
    fleets = [Fleet(protocol, count, folder) for protocol, count in counts.items() if count]
    with contextlib.ExitStack() as stack:
        for fleet in fleets:
            stack.callback(fleet.stop)
            fleet.start()
        yield fleets, stack.enter_context(broker(folder))


def run(kind: type[Process], asked: argparse.Namespace, folder: Path) -> Result:
    with world(asked, folder) as (fleets, port):
        subject = kind(folder, fleets, port)
        if not subject.fleets:
            raise BenchError(f"{subject.name} reads no device of this fleet")
        ear = Ear(port, [zone_of(fleet, 0) for fleet in fleets]) if kind is Envmon else None
        try:
            subject.start()
            return measure(subject, subject.fleets, ear, asked.settle, asked.seconds)
        finally:
            subject.stop()
            if ear:
                ear.close()


def show(result: Result) -> str:
    lag = "-" if result.lag_p99 is None else f"{result.lag_p50 * 1000:.0f} / {result.lag_p99 * 1000:.0f}"  # type: ignore[operator]
    scrape = "-" if result.scrape_ms is None else f"{result.scrape_ms:.0f} ({result.samples})"
    return (
        f"| {result.subject:13} | {result.points_s:8.0f} | {result.us_point:8.2f} | {result.core * 100:5.1f} "
        f"| {result.late:5d} | {result.never:5d} | {result.gap_ms:7.0f} | {lag:>11} | {result.rss_mb:6.1f} "
        f"| {result.growth_mb_min:+8.2f} | {scrape:>14} |"
    )


TITLES = {
    "subject": 13, "points/s": 8, "us/point": 8, "core%": 5, "late": 5, "never": 5, "gap ms": 7, "lag p50/p99": 11,
    "RSS MB": 6, "MB/min": 8, "scrape ms (n)": 14,
}  # fmt: skip
HEAD = "\n".join(
    f"| {' | '.join(cells)} |"
    for cells in ([f"{name:{width}}" for name, width in TITLES.items()], ["-" * width for width in TITLES.values()])
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snmp", type=int, default=500, help="SNMP devices")
    parser.add_argument("--modbus", type=int, default=500, help="Modbus devices")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measured window")
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before it")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each subject; the one with least CPU counts")
    parser.add_argument("--only", choices=SUBJECTS, action="append", help="measure this subject alone")
    parser.add_argument("--quick", action="store_true", help="short windows: under a minute for all subjects")
    parser.add_argument("--json", type=Path, help="also write the results here")
    asked = parser.parse_args()
    if asked.quick:
        asked.seconds, asked.settle = 7.0, 4.0
    return asked


def main() -> int:
    asked = arguments()
    if (os.cpu_count() or 1) < 2:
        print("two cores are needed: one for the subject, one for the devices", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {WORLD_CORE})
    print(f"{asked.snmp} SNMP + {asked.modbus} Modbus devices, 20 points each, every second; {asked.seconds:g} s, "
          f"best of {asked.repeat}; load before: {os.getloadavg()[0]:.1f}\n\n{HEAD}", flush=True)  # fmt: skip
    results, missing = [], []
    for name in asked.only or SUBJECTS:
        runs = []
        for _ in range(asked.repeat):
            with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
                try:
                    runs.append(run(SUBJECTS[name], asked, Path(folder)))
                except BenchError as error:
                    missing.append(f"{name}: {error}")
                    break
        if runs:
            results.append(min(runs, key=lambda result: result.us_point))
            print(show(results[-1]), flush=True)
    for text in dict.fromkeys(missing):
        print(f"not measured: {text}")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 1 if missing and "envmon" in missing[0] else 0


if __name__ == "__main__":
    sys.exit(main())
