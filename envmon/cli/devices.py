"""``envmon poll DEVICE`` and ``envmon identify HOST``: what one device says, and what it is.

Rules
  - Reads only, once, beside whatever the daemon does; nothing is published and nothing is judged.
  - What a device refuses is told in one line with exit code 1; a reading that is not good is shown with its reason.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envmon.cli.configured import configured, place_of
from envmon.config import ConfigError, values
from envmon.config.settings import DeviceSettings, Settings, SnmpSettings
from envmon.drivers import open_driver
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_identify import ask_modbus
from envmon.drivers.snmp_identify import ask_snmp
from envmon.model.reading import Reading, Severity
from envmon.profiles.bind import BoundPoint, Place, bind_at
from envmon.profiles.identify import Facts, Match, identify
from envmon.profiles.loader import load_builtin
from envmon.profiles.schema import Profile, Protocol

_SETTLED_POLLS = 3  # the rows of a slow card's tables are found over several polls


def poll(config: Path, name: str, *, as_json: bool) -> int:
    """Read one configured device and print its readings."""
    try:
        site = configured(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    settings = site.settings
    try:
        device = named(settings, config, name)
        profile = site.profiles[device.profile]
        readings, _ = asyncio.run(read(device, profile, place_of(settings, device, profile)))
    except (DeviceError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps([_plain(each) for each in readings], indent=1) if as_json else "\n".join(_lines(readings)))
    return 0


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to an SNMP agent: with a community reference, or as the device ``like`` of ``config`` does."""

    community: str | None
    like: str | None
    config: Path

    def settings(self) -> SnmpSettings:
        """Return the log-in. Raises ConfigError and ValueError."""
        if self.like is None:
            return SnmpSettings(community=values.secret(self.community)) if self.community else SnmpSettings()
        devices = configured(self.config).settings.devices
        found = next((device.snmp for device in devices if device.id == self.like), None)
        if found is None:
            raise ValueError(f"{self.config}: no device is called {self.like}")
        return found


def identify_host(host: str, login: Login, *, modbus: bool, unit_id: int) -> int:
    """Ask a device what it is and print the profiles that fit, with the reasons."""
    profiles = load_builtin()
    try:
        there = values.address(host)
        asked = _asked(there.host, there.port, login.settings(), unit_id)
        asks = ask_modbus if modbus else ask_snmp
        facts = asyncio.run(asks(asked, profiles.values()))
    except (DeviceError, ConfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    matches = identify(profiles.values(), facts)
    print("\n".join(_told(facts, matches, profiles)))
    return 0 if matches else 1


def named(settings: Settings, config: Path, name: str) -> DeviceSettings:
    """Return the device of this name. Raises ValueError, saying which there are."""
    found = next((each for each in settings.devices if each.id == name), None)
    if found is None:
        known = ", ".join(sorted(each.id for each in settings.devices))
        raise ValueError(f"{config}: no device is called {name}; there are {known}")
    return found


async def read(
    device: DeviceSettings, profile: Profile, at: Place, points: tuple[BoundPoint, ...] | None = None
) -> tuple[Sequence[Reading], tuple[BoundPoint, ...]]:
    """Read a device once, all of it or ``points`` alone; returns the readings and the points. Raises DeviceError."""
    bound = bind_at(profile, at) if points is None else points
    async with open_driver(device, profile, bound, at=at) as driver:
        readings = await driver.poll()
        for _ in range(_SETTLED_POLLS if profile.tables else 0):
            before, readings = len(readings), await driver.poll()
            if len(readings) == before:
                break
        return readings, getattr(driver, "bound", bound)


def _asked(host: str, port: int, snmp: SnmpSettings, unit_id: int) -> DeviceSettings:
    return DeviceSettings(
        id="asked",
        profile="",
        host=host,
        port=port,
        zone="",
        serves="",
        path=host,
        unit_id=unit_id,
        snmp=snmp,
    )


def _told(facts: Facts, matches: tuple[Match, ...], profiles: Mapping[str, Profile]) -> Iterator[str]:
    if facts.protocol is Protocol.SNMP:
        yield f"sysObjectID {facts.sys_object_id or 'not told'}, sysDescr {facts.sys_descr or 'not told'}"
    for rank, match in enumerate(matches, 1):
        profile = profiles[match.profile]
        yield f"{rank}. {match.profile} ({profile.vendor}, {profile.kind}, {profile.evidence})"
        yield from (f"   {reason}" for reason in match.reasons)
    if not matches:
        yield "no profile fits; envmon/profiles/README.md says how to write one"


def _plain(reading: Reading) -> dict[str, object]:
    return {
        "id": reading.point.id,
        "role": reading.point.role,
        "value": reading.value,
        "unit": reading.point.measure,
        "quality": reading.quality,
        "reason": reading.reason,
        "severity": reading.severity,
    }


def _lines(readings: Sequence[Reading]) -> Iterator[str]:
    width = max((len(reading.point.id) for reading in readings), default=0)
    yield from (shown_as(reading, width) for reading in readings)


def shown_as(reading: Reading, width: int = 0) -> str:
    """Return one reading as a line: id, value, unit, state, role, and what is wrong with it."""
    value = "-" if reading.value is None else reading.value
    shown = f"{value:g}" if isinstance(value, float) else value
    state = f" ({reading.severity})" if reading.severity is not Severity.NONE else ""
    why = "" if reading.good else f"  {reading.quality}: {reading.reason}"
    role = f"  [{reading.point.role}]" if reading.point.role else ""
    return f"{reading.point.id:{width}}  {shown} {reading.point.measure}{state}{role}{why}".rstrip()
