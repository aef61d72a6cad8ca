"""Recorded devices through the real driver: ``python tests/bench/devices.py SNMPREC_DIR EXPECTED_DIR [NAME...]``.

Each recording (NAME.snmprec: ``OID|TAG|VALUE`` lines) is served by a small agent on loopback, identified and polled as
the daemon would, and compared with what is expected of it (NAME.json: a list ``readings`` of oid, class, unit, value,
expected_severity, and ``device_says`` where the device writes its value out). Exit code 1 on any wrong value.

  right     the expected value, within the resolution of the point
  refused   the profile knows the point and takes the raw value for "not available" or impossible
  wrong     another value, or good where critical is expected, or critical where good is
  other     the profile reads another quantity there (percent, where kW were computed of it): neither right nor wrong
  unread    no profile point for it: what coverage lacks
A reading marked ``caution`` is known to be wrong in its source: shown, never counted. Where the device writes its own
value out, that wins.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from envmon.config.secret import Secret  # noqa: E402
from envmon.config.settings import DeviceSettings, SnmpSettings  # noqa: E402
from envmon.drivers import open_driver  # noqa: E402
from envmon.drivers.paced import PacedDriver  # noqa: E402
from envmon.drivers.snmp import SnmpDriver  # noqa: E402
from envmon.drivers.snmp_identify import ask_snmp  # noqa: E402
from envmon.model.reading import Quality, Reading, Severity  # noqa: E402
from envmon.profiles.bind import bind_at, place  # noqa: E402
from envmon.profiles.identify import Match, identify  # noqa: E402
from envmon.profiles.loader import load_builtin  # noqa: E402
from envmon.profiles.schema import Profile  # noqa: E402
from envmon.profiles.schema_point import Oid  # noqa: E402
from envmon.profiles.units import UNITS  # noqa: E402
from envmon.sim.recording import RecordedDevice  # noqa: E402
from envmon.sim.snmp_agent import SnmpAgent  # noqa: E402

COUNTED = {  # what coverage is measured over
    "temperature", "humidity", "fanspeed", "airflow", "waterflow", "pressure", "power", "state", "cooling", "percent",
    "load", "count",
}  # fmt: skip
SAME = {"%RH": "%", "ratio": "", "count": "", "enum": "", "degree C": "degC", "°C": "degC", "C": "degC"}
NOT_ATOMIC = 0.2  # a walk reads a value and its text at two moments
RIGHT, REFUSED, WRONG, OTHER, UNREAD, CAUTION = "right", "refused", "wrong", "other", "unread", "caution"


Read = tuple[Reading, float]
"""A reading, and how far it may be from what is expected: 0 unless it was read at its cross-check."""


@dataclass
class Found:
    """What came of one recording."""

    name: str
    matches: tuple[Match, ...]
    points: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


async def examine(recording: Path, expected: Path, profiles: Mapping[str, Profile], community: Path) -> Found:
    """Serve, identify, poll and compare one recording."""
    rows = json.loads(expected.read_text(encoding="utf-8"))["readings"]  # noqa: ASYNC240 - nothing else runs here
    async with SnmpAgent(RecordedDevice.load(recording)) as agent:
        settings = DeviceSettings(
            id="device",
            profile="",
            host="127.0.0.1",
            port=agent.port,
            zone="",
            serves="",
            path="bench",
            deadline_s=60.0,
            snmp=SnmpSettings(community=Secret(f"file:{community}")),
        )
        found = Found(recording.stem, identify(profiles.values(), await ask_snmp(settings, profiles.values())))
        readings: dict[str, list[Read]] = {}
        if found.matches:
            profile = profiles[found.matches[0].profile]
            at = place(profile, site="bench", device="device", path="bench", zone=None, commissioned=True)
            async with open_driver(settings, profile, bind_at(profile, at), at=at) as driver:
                assert isinstance(driver, SnmpDriver | PacedDriver)
                by_id = {reading.point.id: reading for reading in await driver.poll()}
                for bound in driver.bound:
                    assert isinstance(bound.spec.address, Oid)
                    readings.setdefault(bound.spec.address.oid, []).append((by_id[bound.point.id], 0.0))
                    check = bound.spec.cross_check
                    if check is not None and isinstance(check.address, Oid):  # good only when both encodings agree
                        twin = (by_id[bound.point.id], check.tolerance)
                        readings.setdefault(check.address.oid, []).append(twin)
        found.points = sum(map(len, readings.values()))
    for row in rows:
        outcome, text = judge(row, readings.get(row["oid"], []))
        found.outcomes[outcome] += 1
        if row["class"] in COUNTED:
            found.counted[outcome] += 1
        line = f"{outcome:8} {row['oid']} {row['class']:11} {row['description'][:40]!r}: {text}"
        if outcome in (WRONG, OTHER, CAUTION):
            found.told.append(line)
        elif outcome is not RIGHT:
            found.left.append(line)
    return found


def judge(row: Mapping[str, Any], readings: list[Read]) -> tuple[str, str]:
    """Compare one expected reading with what was read at its OID."""
    if not readings:
        return UNREAD, f"expected {row['value']} {row['unit']} (raw {row['raw']!r})"
    verdicts = [_verdict(row, reading, slack) for reading, slack in readings]
    worst = next((v for v in verdicts if v[0] == WRONG), next((v for v in verdicts if v[0] == RIGHT), verdicts[0]))
    if worst[0] == WRONG and row.get("caution"):
        return CAUTION, worst[1]
    return worst


def _verdict(row: Mapping[str, Any], reading: Reading, slack: float) -> tuple[str, str]:
    name = reading.point.name
    if reading.quality in (Quality.BAD, Quality.MISSING):
        return REFUSED, f"{name} is {reading.reason}, expected {row['value']} {row['unit']} (raw {row['raw']!r})"
    if reading.severity is not Severity.NONE or row["class"] == "state":
        return _state(row, reading)
    assert isinstance(reading.value, float), f"{name} is no number: {reading.value!r}"
    expected = _expected(row, reading.point.measure)
    if not expected:
        return OTHER, f"{name} is {reading.value:g} {reading.point.measure}, expected {row['value']} {row['unit']}"
    if any(abs(reading.value - value) <= max(1e-6 * abs(value), 1e-9, slack) for value in expected):
        return RIGHT, ""
    wanted = " or ".join(f"{value:g}" for value in expected)
    return WRONG, f"{name} is {reading.value:g} {reading.point.measure}, expected {wanted}"


def _state(row: Mapping[str, Any], reading: Reading) -> tuple[str, str]:
    expected, ours = row.get("expected_severity"), reading.severity
    if ours is Severity.NONE:
        return (RIGHT if str(reading.value) in {row["raw"], f"{row['raw']}.0"} else OTHER), f"{reading.value}"
    contradicts = {expected, ours.value} == {"ok", "critical"}
    text = f"{reading.point.name} is {reading.value} ({ours}), expected {row.get('expected_state')} ({expected})"
    return (WRONG if contradicts else RIGHT), text


def _expected(row: Mapping[str, Any], measure: str) -> list[float]:
    """Return every value that is right, in ``measure``."""
    said = _said(row, measure)
    upstream = _in_measure(row["value"], row["unit"], measure)
    if said is None:
        return [] if upstream is None else [upstream]
    close = upstream is not None and abs(upstream - said) <= max(NOT_ATOMIC, 0.02 * abs(said))
    return [said, upstream] if close and upstream is not None else [said]


def _said(row: Mapping[str, Any], measure: str) -> float | None:
    """The number the device writes out itself, in ``measure``."""
    match = re.match(r"\s*(-?[0-9.]+)\s*(.*?)\s*$", str(row.get("device_says", {}).get("text", "")))
    if match is None or not match[2]:
        return None
    return _in_measure(float(match[1]), match[2], measure)


def _in_measure(value: float, unit: str, measure: str) -> float | None:
    unit = SAME.get(unit, unit)
    if unit == "" and measure in {"", "%"}:
        return float(value)
    if unit == "W" and measure == "kVA":  # sources that have no unit for apparent power
        unit = "VA"
    if unit not in UNITS or UNITS[unit].measure != measure:
        return None
    return (float(value) + UNITS[unit].before) * UNITS[unit].factor


async def main(arguments: argparse.Namespace) -> int:
    """Examine every recording and print the table."""
    profiles = load_builtin()
    totals: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    lines: list[str] = []
    print(
        f"{'recording':38} {'profile':26} {'points':>6} "
        f"{'right':>6} {'refused':>7} {'wrong':>6} {'other':>6} {'unread':>6} covered"
    )
    with tempfile.NamedTemporaryFile("w") as community:
        community.write("public")
        community.flush()
        for recording in sorted(arguments.snmprec.glob("*.snmprec")):
            expected = arguments.expected / f"{recording.stem}.json"
            if not expected.exists() or (arguments.names and recording.stem not in arguments.names):
                continue
            found = await examine(recording, expected, profiles, Path(community.name))
            totals += found.outcomes
            counted += found.counted
            print(_line(found))
            shown = [*found.told, *(found.left if arguments.left else [])]
            lines += [f"{found.name}: {line}" for line in shown]
    print(f"{'all':38} {'':26} {'':6} {_numbers(totals)} {_share(totals)}")
    print(f"{'of ' + ', '.join(sorted(COUNTED))}: {_share(counted)}")
    print("\n".join(lines))
    return 1 if totals[WRONG] else 0


def _line(found: Found) -> str:
    names = [match.profile for match in found.matches[:1]] or ["none fits"]
    more = f"{found.name:38} {names[0]:26} {found.points:6} {_numbers(found.outcomes)} {_share(found.outcomes)}"
    rivals = [match for match in found.matches[1:] if match.score == found.matches[0].score]
    return more + (f"  as good: {', '.join(match.profile for match in rivals)}" if rivals else "")


def _numbers(outcomes: Counter[str]) -> str:
    return f"{outcomes[RIGHT]:6} {outcomes[REFUSED]:7} {outcomes[WRONG]:6} {outcomes[OTHER]:6} {outcomes[UNREAD]:6}"


def _share(outcomes: Counter[str]) -> str:
    known = outcomes[RIGHT] + outcomes[REFUSED]
    return f"{100 * known / max(1, outcomes.total()):6.1f} %"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Recorded devices through the real driver.")
    parser.add_argument("snmprec", type=Path)
    parser.add_argument("expected", type=Path)
    parser.add_argument("names", nargs="*", help="only these recordings")
    parser.add_argument("--left", action="store_true", help="list what was refused or is unread, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(_arguments())))
