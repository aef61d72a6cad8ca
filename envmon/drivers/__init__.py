"""Drivers read devices; each protocol is one entry of ``DRIVERS`` behind ``contract.Driver``."""

import random
import time
from collections.abc import Callable, Mapping

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import Driver
from envmon.drivers.modbus import ModbusDriver
from envmon.drivers.snmp import SnmpDriver
from envmon.profiles.bind import BoundPoint, Place
from envmon.profiles.schema import Profile, Protocol

DRIVERS: Mapping[Protocol, type[ModbusDriver] | type[SnmpDriver]] = {
    Protocol.MODBUS: ModbusDriver,
    Protocol.SNMP: SnmpDriver,
}


def open_driver(
    device: DeviceSettings,
    profile: Profile,
    points: tuple[BoundPoint, ...],
    *,
    at: Place | None = None,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> Driver:
    """Build the driver of one device; ``points`` are ``profiles.bind.bind`` of the same device and profile.

    ``at`` is the place those points were bound to; the rows of a profile's tables are bound to it when they are found.
    ``clock`` is monotonic seconds and ``jitter`` gives 0.0 up to 1.0: what the backoff runs on.
    """
    there = at or Place("", device.id, device.path, device.zone, device.serves)
    if at is None and (profile.tables or profile.conditions):
        raise ValueError(f"{profile.name} has tables: say where its rows belong")
    return DRIVERS[profile.protocol](device, profile, points, at=there, clock=clock, jitter=jitter)
