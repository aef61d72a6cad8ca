"""Recorded SNMP walks, decoded by the shipped profiles, against what the devices are known to have said.

Give the folder with ``--devices DIR``: DIR/snmprec holds walks (``OID|TAG|VALUE`` lines), DIR/expected a JSON of
readings beside each. A profile is tried on every walk that has at least three quarters of its points.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envmon.model.reading import Quality, Reading, Role
from envmon.profiles.bind import BoundPoint, bind
from envmon.profiles.decode import decode_snmp
from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Oid, Profile

Walk = dict[str, int | str | bytes | None]

TO_MEASURE = {"W": ("kW", 0.001), "kPa": ("Pa", 1000.0), "l/min": ("l/s", 1 / 60), "%RH": ("%", 1.0), "min": ("s", 60)}
NOT_COMPARED = {
    # The recording's expectation multiplies percent by a model's rating; the MIB says percent.
    "1.3.6.1.4.1.9839.2606.2.1.3.16.0",
}


@pytest.fixture
def devices(pytestconfig: pytest.Config) -> Path:
    folder = pytestconfig.getoption("--devices")
    if folder is None:
        pytest.skip("no folder of recorded walks: give one with --devices DIR")
    assert isinstance(folder, Path)
    assert (folder / "snmprec").is_dir(), f"{folder} has no snmprec folder"
    return folder


def read_walk(file: Path) -> Walk:
    walk: Walk = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        oid, tag, value = (*line.split("|", 2), "", "")[:3]
        match tag:
            case "2" | "65" | "66" | "67" | "70":
                walk[oid] = int(value)
            case "4x":
                walk[oid] = bytes.fromhex(value)
            case "5":
                walk[oid] = None
            case _:
                walk[oid] = value
    return walk


def oid_of(bound: BoundPoint) -> str:
    assert isinstance(bound.spec.address, Oid)
    return bound.spec.address.oid


def decode(walk: Walk, bound: BoundPoint) -> Reading:
    check = bound.spec.cross_check
    twin = walk.get(check.address.oid) if check is not None and isinstance(check.address, Oid) else None
    return decode_snmp(bound, walk.get(oid_of(bound)), twin)


def matches(devices: Path) -> Iterator[tuple[Profile, str, Walk, tuple[BoundPoint, ...]]]:
    profiles = [profile for profile in load_builtin().values() if profile.snmp is not None]
    for file in sorted((devices / "snmprec").glob("*.snmprec")):
        walk = read_walk(file)
        for profile in profiles:
            points = bind(profile, site="site", device=file.stem, path="path", zone=None, serves="")
            if sum(oid_of(bound) in walk for bound in points) >= 0.75 * len(points):
                yield profile, file.stem, walk, points


def expected_value(row: dict[str, Any], measure: str) -> float:
    if "device_says" in row:  # the device's own words win over anybody's reading of them
        return float(row["device_says"]["text"].split()[0])
    target, factor = TO_MEASURE.get(row["unit"], (row["unit"], 1.0))
    assert measure in {target, ""}, f"{row['oid']}: expectation in {row['unit']}, decoded to {measure}"
    return float(row["value"]) * factor


def test_every_recorded_profile_has_a_recording(devices: Path) -> None:
    found = {profile.name for profile, *_ in matches(devices)}
    assert found == {name for name, p in load_builtin().items() if p.evidence == "recorded"}


def test_decoded_values_are_the_expected_ones(devices: Path) -> None:
    compared = 0
    for profile, name, walk, points in matches(devices):
        rows = json.loads((devices / "expected" / f"{name}.json").read_text())["readings"]
        known = {row["oid"]: row for row in rows if not row.get("caution")}
        for bound in points:
            row = known.get(oid_of(bound))
            reading = decode(walk, bound)
            if row is None or oid_of(bound) in NOT_COMPARED or reading.value is None:
                continue
            where = f"{profile.name} on {name}: {bound.spec.name}"
            if bound.spec.is_number:
                assert reading.value == pytest.approx(expected_value(row, bound.spec.measure)), where
            elif "expected_severity" in row:
                assert reading.severity == row["expected_severity"], where
            compared += 1
    assert compared >= 30


def test_every_reading_of_a_healthy_recording_is_good_or_known_not_to_be(devices: Path) -> None:
    spoilt = {
        (profile.name, bound.spec.name, reading.reason.value)
        for profile, _, walk, points in matches(devices)
        for bound in points
        if not (reading := decode(walk, bound)).good
    }
    sentinels = {("apc-inrow-rc", "containment_dp", "sentinel"), ("rfc1628-ups", "time_remaining", "sentinel")}
    assert sentinels <= spoilt
    assert spoilt <= sentinels | {
        ("rfc1628-ups", "load_line_1", "absent"),
        ("rfc1628-ups", "active_alarms", "absent"),
        ("rfc1628-ups", "time_on_battery", "absent"),
    }


def test_a_broken_answer_never_decodes_to_a_value_that_may_vote(devices: Path) -> None:
    for _, _, walk, points in matches(devices):
        for bound in points:
            for broken in (None, -2147483648, 2147483647, "--", "not available", b"\xff\xff"):
                reading = decode({**walk, oid_of(bound): broken}, bound)
                if bound.spec.role in {Role.SUPPLY_TEMP, Role.RETURN_TEMP, Role.RACK_INLET_TEMP} or bound.spec.states:
                    assert reading.quality in {Quality.BAD, Quality.MISSING}
