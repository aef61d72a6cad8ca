"""Batches and statuses as the loop makes them."""

import time
from typing import Any

from envmon.model.event import DeviceBatch, Stamp
from envmon.model.reading import Point, Quality, Reading, Reason, Role, Severity


def point(name: str, measure: str = "", **where: Any) -> Point:
    device = where.get("device", "crac_3_card")
    unit = where.get("unit", "crac_3")
    zone = where.get("zone", "hall_a")
    parts = ["dallas", zone, unit or device, name]
    identity = ".".join(part for part in parts if part)
    return Point(identity, name, device, "10.0.0.3", zone, unit, where.get("role"), measure)


SUPPLY = point("supply_air_temp", "degC", role=Role.SUPPLY_TEMP)
HUMIDITY = point("return_humidity", "%", role=Role.HUMIDITY)
FAN = point("fan_speed", "%", role=Role.FAN_SPEED)
OUTPUT = point("cooling_output", "kW", role=Role.COOLING_OUTPUT)
STATE = point("unit_state", role=Role.UNIT_RUNNING)
FLOW = point("water_flow", "l/s", role=Role.CHILLED_WATER_FLOW)


def batch(
    *readings: Reading, device: str = "crac_3_card", error: str = "", wall: float = 1_800_000_000.0
) -> DeviceBatch:
    return DeviceBatch(Stamp(time.monotonic_ns(), wall, "boot"), device, readings, error)


def unit_readings(supply: float = 18.5) -> tuple[Reading, ...]:
    return (
        Reading(SUPPLY, supply),
        Reading(HUMIDITY, 57.0),
        Reading(FAN, 80.0),
        Reading(OUTPUT, 42.5),
        Reading(STATE, "running", severity=Severity.OK),
        Reading(FLOW, None, Quality.MISSING, Reason.ABSENT),
    )


def status(verdict: str = "ok", temperature: float = 24.5, position: str = "primary", **more: Any) -> dict[str, Any]:
    return {
        "site": "dallas",
        "mode": "automatic",
        "armed": {"now": True, "why": ""},
        "lease": {"held": True, "epoch": 7},
        "zones": {
            "hall_a": {
                "verdict": verdict,
                "basis": "measured",
                "phase": "normal",
                "here": True,
                "temperature_c": temperature,
                "worst_c": 25.0,
                "lost_units": ["crac_2"],
                "time_to_limit": {"sight": "forecast", "lower_s": 900.0, "median_s": 1200.0},
                "margin_kw": 35.0,
                "n_plus": 1,
                "evidence": [],
                "why": "two units run",
            }
        },
        "routes": {
            "outbound": {
                "position": position,
                "percent": 0,
                "commanded": 0,
                "proof": "proven",
                "edges": {"edge_1": 50},
                "edges_say": "pending",
                "threat": "watch",
                "latched": False,
                "ready": "no",
                "time_to_evacuate_s": 480.0,
                "calls_left": 3,
                "why": "",
                "readiness": {"probe": {"pass": True, "why": ""}, "parity": {"pass": None, "why": "not asked yet"}},
            }
        },
        "pages": {"zone:hall_a:redundancy": "error"},
        "storm": {"posture": "storm"},
        "hold": {"who": "ann", "reason": "storm", "until": 1_800_003_600.0, "left_s": 3_600},
        "maintenance": {"unit:hall_a.crac_2": {"left_s": 60}},
        "shelved": {},
        "time": 1_800_000_000.0,
        **more,
    }
