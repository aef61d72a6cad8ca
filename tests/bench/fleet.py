"""Measures pollers side by side on simulated fleets: CPU a point, late polls, publish lag, memory, scrapes.

    python tests/bench/fleet.py                               every run but the soak, and what is wanted of each
    python tests/bench/fleet.py mix --quick                   500 SNMP + 500 Modbus devices, under a minute
    python tests/bench/fleet.py large v3 --only envmon --repeat 3      the best of three
    python tests/bench/fleet.py soak                          15 minutes

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
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho
from fleet_rig import WORLD_CORE, BenchError, Fleet, broker, cpu_s, get, rss_mb
from fleet_runs import RUNS, Group, Result, Run
from fleet_scrape import loop_time
from fleet_subjects import Collectd, Envmon, Process, SnmpExporter, zone_of

SCRAPE_S = 5.0
SCRAPE_MS = 20.0
SUBJECTS = {kind.name: kind for kind in (Envmon, Collectd, SnmpExporter)}


class Window(NamedTuple):
    """Seconds."""

    settle: float
    seconds: float


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


def measure(run: str, subject: Process, fleets: Sequence[Fleet], ear: Ear | None, asked: Window) -> Result:
    """Let it settle, then watch it; devices with a fault are not counted."""
    time.sleep(asked.settle)
    for fleet in fleets:
        fleet.tell("reset")
    if ear:
        ear.ages.clear()
    scraper = Scraper(subject.http)
    begun, cpu = time.monotonic(), cpu_s(subject.pid)
    try:
        time.sleep(asked.seconds / 3)
        third, rss = time.monotonic(), rss_mb(subject.pid)
        time.sleep(asked.seconds * 2 / 3)
        counts = [fleet.counts() for fleet in fleets]
        took, spent, now_mb = time.monotonic() - begun, cpu_s(subject.pid) - cpu, rss_mb(subject.pid)
        growth = (now_mb - rss) / (time.monotonic() - third) * 60
    finally:
        scraper.close()
    sound = [count for count, fleet in zip(counts, fleets, strict=True) if not fleet.group.fault]
    points = sum(count.points for count in counts)
    ages = sorted(ear.ages) if ear else []
    return Result(
        run,
        subject.name,
        points_s=points / took,
        us_point=spent * 1e6 / max(points, 1),
        core=spent / took,
        late=sum(count.late for count in sound),
        never=sum(count.never for count in sound),
        gap_ms=max(count.gap_ms for count in sound),
        lag_p50=ages[len(ages) // 2] if ages else None,
        lag_p99=ages[len(ages) * 99 // 100] if ages else None,
        rss_mb=now_mb,
        growth_mb_min=growth,
        scrape_ms=min(scraper.took) * 1000 if scraper.took else None,
        samples=scraper.samples,
    )


@contextlib.contextmanager
def world(groups: Sequence[Group], folder: Path) -> Iterator[tuple[list[Fleet], int]]:
    """The fleets and the broker."""
    fleets = [Fleet(number, group, folder) for number, group in enumerate(groups)]
    with contextlib.ExitStack() as stack:
        for fleet in fleets:
            stack.callback(fleet.stop)
            fleet.start()
        yield fleets, stack.enter_context(broker(folder))


def once(run: Run, kind: type[Process], asked: Window, folder: Path) -> Result:
    with world(run.groups, folder) as (fleets, port):
        subject = kind(folder, fleets, port)
        if not subject.fleets:
            raise BenchError(f"{subject.name} reads no device of this fleet")
        zones = [zone_of(fleet, 0) for fleet in fleets if not fleet.group.fault]
        ear = Ear(port, zones) if kind is Envmon else None
        try:
            for fleet in fleets:
                fleet.break_()
            subject.start()
            return measure(run.name, subject, subject.fleets, ear, asked)
        finally:
            subject.stop()
            if ear:
                ear.close()


def best(run: Run, name: str, asked: argparse.Namespace) -> Result:
    """The one with the least CPU."""
    window = Window(asked.settle, run.seconds or asked.seconds)
    results = []
    for _ in range(1 if run.seconds else asked.repeat):
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            results.append(once(run, SUBJECTS[name], window, Path(folder)))
    return min(results, key=lambda result: result.us_point)


def show(result: Result) -> str:
    lag = "-" if result.lag_p99 is None else f"{result.lag_p50 * 1000:.0f} / {result.lag_p99 * 1000:.0f}"  # type: ignore[operator]
    scrape = "-" if result.scrape_ms is None else f"{result.scrape_ms:.0f} ({result.samples})"
    return (
        f"| {result.run:6} | {result.subject:13} | {result.points_s:8.0f} | {result.us_point:8.2f} "
        f"| {result.core * 100:5.1f} | {result.late:5d} | {result.never:5d} | {result.gap_ms:7.0f} | {lag:>11} "
        f"| {result.rss_mb:6.1f} | {result.growth_mb_min:+8.2f} | {scrape:>14} |"
    )


TITLES = {
    "run": 6, "subject": 13, "points/s": 8, "us/point": 8, "core%": 5, "late": 5, "never": 5, "gap ms": 7,
    "lag p50/p99": 11, "RSS MB": 6, "MB/min": 8, "scrape ms (n)": 14,
}  # fmt: skip
HEAD = "\n".join(
    f"| {' | '.join(cells)} |"
    for cells in ([f"{name:{width}}" for name, width in TITLES.items()], ["-" * width for width in TITLES.values()])
)


def verdicts(results: Sequence[Result]) -> Iterator[str]:
    """What was wanted beside what was measured."""
    for name, run in RUNS.items():
        mine = {result.subject: result for result in results if result.run == name}
        for target in run.targets:
            value = target.measured(mine)
            if value is not None:
                yield f"| {run.says}: {target.what} | {target.limit:.4g} | {value:.4g} | {_met(value, target.limit)} |"


def _met(value: float, limit: float) -> str:
    return "yes" if value <= limit else "NO"


def scrape_verdict() -> str:
    """A page of 100,000 samples: how long it keeps the loop."""
    taken, samples = loop_time()
    says = f"a scrape of {samples} samples: time of the loop, ms"
    return f"| {says} | {SCRAPE_MS:g} | {taken:.4g} | {_met(taken, SCRAPE_MS)} |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*RUNS, "scrape"]
    says = "; ".join(f"{run.name}: {run.says}" for run in RUNS.values())
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help=f"{says}; scrape: a page of 100,000 samples; all but soak"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measured window")
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before it")
    parser.add_argument("--repeat", type=int, default=1, help="of each subject; the one with least CPU counts")
    parser.add_argument("--only", choices=SUBJECTS, action="append", help="measure this subject alone")
    parser.add_argument("--quick", action="store_true", help="short windows: under a minute for the three subjects")
    parser.add_argument("--json", type=Path, help="also write the results here")
    asked = parser.parse_args()
    asked.runs = asked.runs or [name for name in names if name != "soak"]
    if unknown := set(asked.runs) - set(names):
        parser.error(f"no run is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if asked.quick:
        asked.seconds, asked.settle = 7.0, 4.0
    return asked


def main() -> int:
    asked = arguments()
    if (os.cpu_count() or 1) < 2:
        print("two cores are needed: one for the subject, one for the devices", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {WORLD_CORE})
    print(f"20 points a device, every second; {asked.seconds:g} s, best of {asked.repeat}; "
          f"load before: {os.getloadavg()[0]:.1f}\n\n{HEAD}", flush=True)  # fmt: skip
    results, missing = [], []
    for run in (RUNS[name] for name in asked.runs if name in RUNS):
        for name in run.subjects:
            if asked.only and name not in asked.only:
                continue
            try:
                results.append(best(run, name, asked))
                print(show(results[-1]), flush=True)
            except BenchError as error:
                missing.append(f"{run.name}, {name}: {error}")
    told = [*verdicts(results), *([scrape_verdict()] if "scrape" in asked.runs else [])]
    print("\n".join(["", "| wanted of envmon | at most | measured | met |", "| --- | --- | --- | --- |", *told]))
    for text in dict.fromkeys(missing):
        print(f"not measured: {text}")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 1 if any("envmon" in text for text in missing) else 0


if __name__ == "__main__":
    sys.exit(main())
