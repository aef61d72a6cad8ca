"""What the fleet benchmark runs: which devices, who reads them, and what is wanted of envmon there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SOAK_S = 900.0


@dataclass
class Result:
    """One subject over one window. ``late`` counts devices that ever waited over 1.5 s; lag is seconds."""

    run: str
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


@dataclass(frozen=True)
class Group:
    """Some simulated devices of one protocol; ``fault`` is what the simulator is told of them when they are up."""

    protocol: str
    count: int
    version: str = "2c"
    fault: str = ""


@dataclass(frozen=True)
class Target:
    """What is wanted: at most ``limit`` of what is measured, by the subjects of one run; None: not measured."""

    what: str
    limit: float
    measured: Callable[[Mapping[str, Result]], float | None]


@dataclass(frozen=True)
class Run:
    """Devices, who reads them one after another, and what is wanted."""

    name: str
    says: str
    groups: tuple[Group, ...]
    subjects: tuple[str, ...] = ("envmon",)
    targets: tuple[Target, ...] = ()
    seconds: float | None = None


def _of(field: str, worth: float = 1.0) -> Callable[[Mapping[str, Result]], float | None]:
    def measured(results: Mapping[str, Result]) -> float | None:
        value = getattr(results["envmon"], field) if "envmon" in results else None
        return None if value is None else value * worth

    return measured


def _share(results: Mapping[str, Result]) -> float | None:
    """envmon's CPU a point as a share of snmp_exporter's, percent."""
    if not {"envmon", "snmp_exporter"} <= set(results):
        return None
    return results["envmon"].us_point / results["snmp_exporter"].us_point * 100


def _cost(limit: float) -> Target:
    return Target("CPU a point, µs", limit, _of("us_point"))


LATE = Target("devices polled late", 0, _of("late"))
LARGE = (Group("snmp", 2000), Group("modbus", 2000))
RUNS = {
    run.name: run
    for run in (
        Run(
            "mix",
            "500 SNMP + 500 Modbus",
            (Group("snmp", 500), Group("modbus", 500)),
            ("envmon", "collectd", "snmp_exporter"),
            (_cost(8.0), LATE),
        ),
        Run(
            "snmp",
            "500 SNMP alone",
            (Group("snmp", 500),),
            ("envmon", "snmp_exporter"),
            (Target("of snmp_exporter's CPU, %", 100 / 3, _share), LATE),
        ),
        Run("v3", "500 SNMPv3 authPriv (SHA-1, AES-128)", (Group("snmp", 500, "3"),), targets=(_cost(10.0), LATE)),
        Run(
            "faults",
            "900 devices, and 100 that are dead or answer after 900 ms",
            (
                Group("snmp", 450),
                Group("modbus", 450),
                Group("snmp", 25, fault="down 0 24"),
                Group("modbus", 25, fault="down 0 24"),
                Group("snmp", 25, fault="delay 0 24 900"),
                Group("modbus", 25, fault="delay 0 24 900"),
            ),
            targets=(Target("other devices polled late", 0, _of("late")),),
        ),
        Run(
            "large",
            "2,000 SNMP + 2,000 Modbus",
            LARGE,
            targets=(
                LATE,
                Target("of a core, %", 65, _of("core", 100)),
                Target("memory, MB", 150, _of("rss_mb")),
                Target("publish lag p99, ms", 1000, _of("lag_p99", 1000)),
            ),
        ),
        Run("soak", "2,000 SNMP + 2,000 Modbus for 15 minutes", LARGE, targets=(
            LATE,
            Target("memory, MB", 150, _of("rss_mb")),
            Target("its growth after the first third, MB/min", 0.1, _of("growth_mb_min")),
        ), seconds=SOAK_S),
    )
}  # fmt: skip
