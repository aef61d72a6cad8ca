"""A month in which nothing happens, told to the real engine: how often it pages, and that it never moves a call.

    python tests/bench/quiet.py [--days 30] [--seed N] [-v]

One poll a minute of a hall with four inlets behind two gateways, three units and a UPS, and of its backup. The air
swings with the day and the load, doors open, units rotate, two are serviced, one gateway restarts every week, every
sensor is noisy, and five of them break for a while, each in a way of its own. Exits with 1 when a call moved, or when
the pages are more than one a day.

Rules
  - The recording is made here from sums of sines and steps; it shares nothing with the scenarios but the site's form.
  - What is counted is what a person would get: pages raised, of every urgency but info.
"""

import argparse
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from scenarios import HERE, Play

POLL_S = 60
DAY_S = 86_400
START = datetime(2026, 6, 1, tzinfo=UTC)
INLETS = {"inlet1": ("gw1", 0.2), "inlet2": ("gw4", -0.3), "inlet3": ("gw1", 0.1), "inlet4": ("gw4", 0.4)}
RUNNING, STANDBY, STARTING, MAINTENANCE = 1, 2, 3, 5
SERVICED = {1: 8, 2: 19}  # unit -> day, from 09:00 for three hours
FAULTS = (  # day, sensor, hours, what it reads instead
    (4, "primary.inlet1", 20.0, "stuck"),
    (9, "primary.inlet4", 30.0, "drift"),
    (14, "primary.inlet2", 3.0, "times ten"),
    (20, "primary.return1", 6.0, "noise"),
    (25, "primary.inlet3", 5.0, "spikes"),
)


def scenario(days: int) -> dict[str, Any]:
    """The two sites as the scenarios describe a site."""
    return {
        "sites": {HERE: _site(HERE, it_kw=60, unit_kw=36), "backup": _site("backup", it_kw=30, unit_kw=18)},
        "limits": {"recommended_c": 27.0, "allowable_c": 32.0, "service_c": 40.0},
        "drain_s": 300,
        "sample_s": POLL_S,
        "duration_s": days * DAY_S,
    }


def _site(name: str, *, it_kw: float, unit_kw: float) -> dict[str, Any]:
    sensors = [{"id": f"{name}.{s}", "kind": "inlet", "gw": f"{name}.{gw}"} for s, (gw, _) in INLETS.items()]
    sensors.append({"id": f"{name}.return1", "kind": "return", "gw": f"{name}.gw1"})
    units = [{"id": f"{name}.crac{n}", "type": "dx", "kw": unit_kw} for n in (1, 2, 3)]
    return {"zones": [{"id": f"{name}_hall", "it_kw": it_kw, "units": units, "sensors": sensors}]}


class Hall:
    """One site's true air and units, minute by minute."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.chance = chance
        self.lead = 0
        self.opened_s = -DAY_S
        self.changed_s = -DAY_S
        self.last: dict[str, float] = {}

    def rows(self, t: int) -> Iterator[tuple[str, str, float]]:
        """(network path, point, value) of every point."""
        hour = t % DAY_S / 3600
        day = math.sin(2 * math.pi * (hour - 9) / 24)
        if 7 <= hour < 19 and self.chance.random() < 4 / 720:  # four times in a working day
            self.opened_s = t
        if t % DAY_S == 6 * 3600:
            self.lead, self.changed_s = (self.lead + 1) % 3, t
        door = 1.6 * math.exp(-(t - self.opened_s) / 420)
        change = 0.9 * math.exp(-(t - self.changed_s) / 600)
        inlet = 22.0 + 0.5 * day + 0.6 * door + change + 0.3 * math.sin(2 * math.pi * t / 2700)
        back = inlet + 10.5 + 1.2 * day
        for n, (sensor, (gw, bias)) in enumerate(INLETS.items()):
            near = door if n == 0 else 0.0
            yield f"{self.name}.{gw}", f"{self.name}.{sensor}", self._noisy(inlet + near + bias)
        yield f"{self.name}.gw1", f"{self.name}.return1", self._noisy(back)
        for n in range(3):
            yield from self._unit(n, t, inlet - 1.0, back)
        yield f"{self.name}.gw3", "power.ups_on_battery", 0.0

    def _unit(self, n: int, t: int, supply: float, back: float) -> Iterator[tuple[str, str, float]]:
        unit, path = f"{self.name}.crac{n + 1}", f"{self.name}.gw2"
        state = STANDBY if n == self.lead else RUNNING
        if n == (self.lead - 1) % 3 and t - self.changed_s < 180:
            state = STARTING
        day, hour = divmod(t, DAY_S)
        if self.name == HERE and SERVICED.get(n) == day and 9 <= hour / 3600 < 12:
            state = MAINTENANCE
        elif self.name == HERE and n == self.lead and SERVICED.get((n + 1) % 3) == day and 9 <= hour / 3600 < 12:
            state = RUNNING
        yield path, f"{unit}.state", state
        yield path, f"{unit}.alarm", 0.0
        yield path, f"{unit}.supply_c", self._noisy(supply if state == RUNNING else supply + 1.0)
        yield path, f"{unit}.return_c", self._noisy(back)
        yield path, f"{unit}.load_pct", 80.0 if state == RUNNING else 0.0

    def _noisy(self, value: float) -> float:
        return round(value + self.chance.gauss(0.0, 0.12), 1)


def broken(point: str, t: int, value: float, last: dict[str, float], chance: random.Random) -> float:
    """What the sensor reads, when it is one of the five and this is its time."""
    for day, sensor, hours, kind in FAULTS:
        since_s = t - day * DAY_S - 10 * 3600
        if point != sensor or not 0 <= since_s < hours * 3600:
            continue
        match kind:
            case "stuck":
                return last.setdefault(sensor, value)
            case "drift":
                return round(value + 0.4 * since_s / 3600, 1)
            case "times ten":
                return value * 10
            case "noise":
                return round(value + chance.gauss(0.0, 4.0), 1)
            case "spikes":
                return value + (25.0 if chance.random() < 0.1 else 0.0)
    return value


def polls(t: int, halls: list[Hall], chance: random.Random, last: dict[str, float]) -> list[list[Any]]:
    """One poll of both sites, as the scenarios' readings are written."""
    wall = (START + timedelta(seconds=t)).isoformat().replace("+00:00", "Z")
    restarting = t % (7 * DAY_S) in range(3 * 3600, 3 * 3600 + 240)
    rows: list[list[Any]] = []
    for hall in halls:
        for path, point, value in hall.rows(t):
            silent = restarting and path == f"{HERE}.gw4"
            told = broken(point, t, value, last, chance)
            rows.append([t, wall, hall.name, path, point, "" if silent else told, "timeout" if silent else "ok"])
    backup = {"sip_options_ok": 1, "calls_capacity_pct": 35, "dnr_list_age_s": 120, "dnr_hash_match": 1}
    rows += [
        [t, wall, "backup", "backup.ctl", f"status.{key}", value, "ok"]
        for key, value in {**backup, "route_preflight_ok": 1}.items()
    ]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", action="store_true", help="print every page and decision")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    halls = [Hall(HERE, chance), Hall("backup", chance)]
    play = Play(scenario(asked.days), [])
    play.begin()
    last: dict[str, float] = {}
    readings = 0
    began = time.process_time()
    for t in range(0, asked.days * DAY_S, POLL_S):
        rows = polls(t, halls, chance, last)
        readings += len(rows)
        play.moment(t, rows, edge=True, tick=True)
    spent = time.process_time() - began
    acts = Counter(act for _, act in play.done.acts)
    days = Counter(t // DAY_S for t, act in play.done.acts if act == "alarm")
    if asked.v:
        print("\n".join(play.done.told))
    print(
        f"{asked.days} days, {readings} readings in {spent:.0f} s of CPU: {acts['failover']} shifts, {acts['alarm']} "
        f"pages, {acts['alarm'] / asked.days:.2f} a day, at most {max(days.values(), default=0)} in one"
    )
    return int(acts["failover"] > 0 or acts["alarm"] > asked.days)


if __name__ == "__main__":
    sys.exit(main())
