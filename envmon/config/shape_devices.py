"""The shape of what is polled and of what calls: devices, their lines and log-ins, SNMP notifications.

Rules
  - As ``shape``: the text under a key is its meaning, in the file's reference and in the JSON Schema.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from envmon.config.settings import DeviceSettings, SerialSettings, SnmpSettings
from envmon.config.shape_parts import Entry, default
from envmon.config.values import (
    Baud,
    Between,
    Duration,
    Endpoint,
    ListenAt,
    Name,
    Proof,
    SecretRef,
    StopBits,
    Text,
)


class SnmpEntry(Entry):
    """How to log in to an SNMP agent."""

    version: Literal["1", "2c", "3"] = default(SnmpSettings, "version")
    """Protocol version, in quotes."""
    community: SecretRef | None = None
    """Versions 1 and 2c: the read community."""
    user: Text | None = None
    """Version 3: the user name (RFC 3414)."""
    auth: Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"] = default(SnmpSettings, "auth_protocol")
    """Version 3: authentication protocol."""
    auth_password: SecretRef | None = None
    """Version 3: authentication password; without it nothing is authenticated."""
    privacy: Literal["des", "aes128", "aes256"] = default(SnmpSettings, "privacy_protocol")
    """Version 3: privacy protocol."""
    privacy_password: SecretRef | None = None
    """Version 3: privacy password; without it nothing is encrypted."""
    context: Text | None = None
    """Version 3: the context to ask in, where an agent speaks for several devices (RFC 3411)."""


class SerialEntry(Entry):
    """How a serial line is driven; eight data bits. All devices of one line say the same."""

    baud: Baud = default(SerialSettings, "baud")
    """Bits per second."""
    parity: Literal["none", "even", "odd"] = default(SerialSettings, "parity")
    """Parity bit."""
    stop_bits: StopBits = default(SerialSettings, "stop_bits")
    """Stop bits; with parity none the specification wants 2, many units want 1."""


Served = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]


RoleWord = Literal[
    "supply_temp",
    "return_temp",
    "rack_inlet_temp",
    "chilled_water_supply_temp",
    "chilled_water_return_temp",
    "chilled_water_flow",
    "cooling_output",
    "cooling_demand",
    "fan_speed",
    "airflow",
    "compressor",
    "unit_running",
    "alarm",
    "alarm_count",
    "on_battery",
    "battery_time_left",
    "on_generator",
    "fuel_time_left",
    "setpoint",
    "humidity",
    "leak",
    "comm_ok",
]
"""The roles of ``model.reading.Role``."""


class DeviceEntry(Entry):
    """A network endpoint that is polled."""

    profile: Text
    """What kind of device it is: the name of a profile."""
    address: Endpoint
    """Host or host:port, without a port the protocol's own (SNMP 161, Modbus 502); or a serial line: /dev/ttyUSB0."""
    serves: Served | None = None
    """The unit its readings belong to, as zone.unit."""
    fronts: dict[str, Served] | None = None
    """For a device that fronts several units: its own number for each, in quotes, and the unit, as zone.unit."""
    zone: Name | None = None
    """For a device that serves no unit: the zone or place it stands in."""
    roles: dict[str, RoleWord] | None = None
    """What its points mean where no profile can know: rack_1_temp: rack_inlet_temp, or on_source_2: on_generator."""
    every: Annotated[Duration, AfterValidator(Between(0.5, 600))] = default(DeviceSettings, "interval_s")
    """Time between two polls."""
    deadline: Annotated[Duration, AfterValidator(Between(0.1, 60))] = default(DeviceSettings, "deadline_s")
    """Time one poll may take; shorter than every."""
    path: Name | None = None
    """The gateway or switch its readings come through; devices that share one are one witness. Default: its host."""
    unit_id: Annotated[int, Field(ge=0, le=255)] = default(DeviceSettings, "unit_id")
    """Modbus unit identifier; devices behind one gateway or on one line differ in it and take turns."""
    transport: Literal["tcp", "rtu_over_tcp", "rtu"] = default(DeviceSettings, "transport")
    """How Modbus travels: Modbus TCP, RTU frames through a gateway that passes them on, or RTU on a serial line."""
    serial: SerialEntry | None = None
    """Transport rtu: how the line is driven."""
    snmp: SnmpEntry | None = None
    """SNMP log-in, for a profile that speaks SNMP."""
    commissioned: Proof = False
    """The record that envmon commission wrote, or true: somebody compared its readings with what it shows."""


class TrapsEntry(Entry):
    """SNMP traps and informs (versions 1, 2c and 3): one from a device here makes envmon poll it at once."""

    listen: ListenAt
    """IP address and port to listen on, 0.0.0.0:162 for all; a port below 1024 needs deploy/systemd/traps.conf."""
    community: SecretRef | None = None
    """A community accepted from any device here, beside the log-in it is polled with."""
