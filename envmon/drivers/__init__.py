"""Drivers read devices; each protocol is one entry of ``DRIVERS`` behind ``contract.Driver``."""

import random
import time
from collections.abc import Callable, Mapping

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import Driver
from envmon.drivers.modbus import ModbusDriver
from envmon.drivers.snmp import SnmpDriver
from envmon.profiles.schema import BoundPoint, Profile, Protocol

DRIVERS: Mapping[Protocol, type[ModbusDriver] | type[SnmpDriver]] = {
    Protocol.MODBUS: ModbusDriver,
    Protocol.SNMP: SnmpDriver,
}


def open_driver(
    device: DeviceSettings,
    profile: Profile,
    points: tuple[BoundPoint, ...],
    *,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> Driver:
    """Build the driver of one device; ``points`` are ``profiles.schema.bind`` of the same device and profile.

    ``clock`` is monotonic seconds and ``jitter`` gives 0.0 up to 1.0: what the backoff runs on.
    """
    return DRIVERS[profile.protocol](device, profile, points, clock=clock, jitter=jitter)
