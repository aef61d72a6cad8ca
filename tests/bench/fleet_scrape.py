"""How long a page of 100,000 samples keeps envmon's loop: the product's own publisher, filled as by a fleet."""

import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from envmon.model.event import DeviceBatch, Stamp  # noqa: E402 - the product beside this folder, not an installed one
from envmon.model.reading import Point  # noqa: E402
from envmon.model.readings import Readings, sheet_of  # noqa: E402
from envmon.publishers.daemon_metrics import DaemonMetrics  # noqa: E402
from envmon.publishers.metrics import MetricsPublisher  # noqa: E402

SAMPLES = 100_000
POINTS = 20
SCRAPES = 20


def loop_time() -> tuple[float, int]:
    """The median of some scrapes in ms of this thread's CPU time, and how many samples the page has."""
    metrics = MetricsPublisher("bench", DaemonMetrics("bench"))
    for device in range(SAMPLES // (POINTS + 2) + 1):  # two samples a device beside its points
        points = [_point(device, number) for number in range(POINTS)]
        numbers = tuple(20 + (device + number) % 100 / 10 for number in range(POINTS))
        metrics.offer_batch(DeviceBatch(Stamp(1, 1.8e9, "bench"), f"d{device}", Readings(sheet_of(points), numbers)))
    samples = sum(1 for line in metrics.scrape().splitlines() if line[:1] != b"#")
    taken = []
    for _ in range(SCRAPES):
        begun = time.thread_time()
        metrics.scrape()
        taken.append(time.thread_time() - begun)
    return statistics.median(taken) * 1000, samples


def _point(device: int, number: int) -> Point:
    zone, name = f"hall_{device // 50}", f"point_{number}"
    measure = ("degC", "kW", "", "%")[number % 4]
    return Point(f"bench.{zone}.d{device}.{name}", name, f"d{device}", "path", zone, None, None, measure)
