"""Drivers read devices; each protocol is one entry of ``DRIVERS`` behind ``contract.Driver``."""

import random
import time
from collections.abc import Callable, Mapping
from functools import partial

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import Driver
from envmon.drivers.modbus import ModbusDriver
from envmon.drivers.modbus_line import Lines
from envmon.drivers.paced import Group, PacedDriver, paces
from envmon.drivers.snmp import SnmpDriver
from envmon.drivers.snmp_agent import Agent
from envmon.profiles.bind import BoundPoint, Place
from envmon.profiles.schema import Profile, Protocol


def _modbus(_device: DeviceSettings, _profile: Profile, lines: Lines) -> Callable[..., Driver]:
    return partial(ModbusDriver, lines=lines)


def _snmp(device: DeviceSettings, profile: Profile, _lines: Lines) -> Callable[..., Driver]:
    return partial(SnmpDriver, agent=Agent(device, profile))


DRIVERS: Mapping[Protocol, Callable[[DeviceSettings, Profile, Lines], Callable[..., Driver]]] = {
    Protocol.MODBUS: _modbus,
    Protocol.SNMP: _snmp,
}
"""How the drivers of one device are built, all of its groups with the same line or agent."""


def open_driver(
    device: DeviceSettings,
    profile: Profile,
    points: tuple[BoundPoint, ...],
    *,
    at: Place | None = None,
    lines: Lines | None = None,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> Driver:
    """Build the driver of one device; ``points`` are ``profiles.bind.bind`` of the same device and profile.

    ``at`` is the place those points were bound to; the rows of a profile's tables are bound to it when they are found.
    Modbus devices opened with the same ``lines`` share the connection where they share the address.
    Points with an interval of their own are read by a driver of their own, at their own pace (``paced``), over the same
    line or session.
    ``clock`` is monotonic seconds and ``jitter`` gives 0.0 up to 1.0: what the backoff runs on.
    """
    there = at or Place("", device.id, device.path, device.zone, device.serves)
    if at is None and (profile.tables or profile.conditions):
        raise ValueError(f"{profile.name} has tables: say where its rows belong")
    built = DRIVERS[profile.protocol](device, profile, lines or Lines())
    groups = [
        Group(interval_s, own, built(device, part, own, at=there, clock=clock, jitter=jitter))
        for interval_s, part, own in paces(profile, points)
    ]
    return groups[0].driver if len(groups) == 1 else PacedDriver(device, groups, clock)


def longest_poll_s(device: DeviceSettings, profile: Profile) -> float:
    """Return the seconds a poll may take in all: a Modbus device may wait one interval for others on its line."""
    waits = max(device.interval_s, device.deadline_s) if profile.protocol is Protocol.MODBUS else 0.0
    return device.deadline_s + waits
