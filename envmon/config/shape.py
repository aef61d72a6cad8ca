"""The shape of a configuration file: every key, its kind, its default and what it means.

Rules
  - The text under a key is its meaning, in the file's reference and in the JSON Schema; there is no second copy.
  - Defaults come from the frozen settings and the policy; this file repeats none of their numbers.
  - What one key can say about itself is here; what two keys say about each other is in ``entries`` and ``references``.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from envmon.config.settings import (
    DeviceSettings,
    EdgeSettings,
    MqttSettings,
    PagerSettings,
    SerialSettings,
    SnmpSettings,
)
from envmon.config.values import (
    AbsolutePath,
    Baud,
    Between,
    Duration,
    Endpoint,
    Host,
    HostPort,
    Listen,
    ListenAt,
    Name,
    SecretRef,
    StopBits,
    Text,
    Url,
)
from envmon.model.policy import Limits, Policy, RoutePolicy, ZonePolicy


def default(kind: type, field: str) -> Any:
    """Return the default a frozen dataclass gives to a field."""
    return next(each.default for each in fields(kind) if each.name == field)


class Entry(BaseModel):
    """A mapping of the file: every key is known, every value is of its own kind, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


Celsius = Annotated[float, Field(ge=5, le=60)]
Power = Annotated[float, Field(gt=0, le=100_000)]
Count = Annotated[int, Field(ge=1, le=1_000)]


class DaemonEntry(Entry):
    """This daemon: where it stands and where it keeps its state."""

    zone: Name
    """The zone or place whose loss would take this daemon with it."""
    state_dir: AbsolutePath = "/var/lib/envmon"
    """Directory of the journal, the epoch and the recorder."""
    socket: AbsolutePath = "/run/envmon/envmon.sock"
    """Unix socket on which operators' orders arrive."""


class LimitsEntry(Entry):
    """Zone temperatures; recommended < allowable < service."""

    recommended_c: Celsius = default(Limits, "recommended")
    """Upper end of the recommended envelope, degC (ASHRAE TC 9.9); warmer is an alarm."""
    allowable_c: Celsius = default(Limits, "allowable")
    """Upper end of the allowable envelope, degC; hotter is evidence of a cooling loss."""
    service_c: Celsius = default(Limits, "service")
    """Where the equipment shuts down, degC; time to limit is counted to here."""
    deadband_k: Annotated[float, Field(gt=0, le=10)] = default(Limits, "deadband")
    """How far below recommended a zone must cool before its alarm clears, K."""


class UnitEntry(Entry):
    """A piece of cooling plant."""

    sensible_kw: Power
    """Sensible cooling capacity at this room's conditions, kW."""


class ZoneEntry(Entry):
    """A thermal area, the load that heats it and the units that cool it."""

    at: Literal["here", "backup"] = "here"
    """Which site the zone is part of."""
    it_load_kw: Power
    """Heat the equipment gives off, kW."""
    limits: LimitsEntry = LimitsEntry()
    """Temperatures the zone can bear."""
    units: Annotated[dict[Name, UnitEntry], Field(min_length=1)]
    """The cooling units of the zone; each is served by one device."""
    units_needed: Count
    """How many units must run to carry the load; any of them, so the smallest must do."""
    heat_capacity_kj_per_k_kw: Annotated[float, Field(ge=1, le=1_000)] = default(ZonePolicy, "heat_capacity")
    """Heat the room stores, kJ per K per kW of load; bounds its warming until its own rate is measured."""
    slew_k_per_min: Annotated[float, Field(gt=0, le=20)] = round(default(ZonePolicy, "slew") * 60, 3)
    """How fast a silent sensor is assumed to warm, K per minute."""
    restart_expected: Annotated[Duration, AfterValidator(Between(10, 1800))] = default(ZonePolicy, "restart_s")
    """Within what time units come back by themselves after a power transfer."""
    min_inlets: Count = default(ZonePolicy, "min_inlets")
    """How many good rack inlet sensors the zone needs before its temperature counts as known."""


class BackupEntry(Entry):
    """The site that takes the calls."""

    site: Name
    """Its name."""


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
    """What its points mean here where no profile can know: point: role (rack_1_temp: rack_inlet_temp)."""
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
    commissioned: StrictBool = False
    """Somebody compared its readings with what it shows; without that a profile made of excerpts does not vote."""


class TrapsEntry(Entry):
    """SNMP traps and informs (versions 1, 2c and 3): one from a device here makes envmon poll it at once."""

    listen: ListenAt
    """IP address and port to listen on, 0.0.0.0:162 for all; a port below 1024 needs deploy/systemd/traps.conf."""
    community: SecretRef | None = None
    """A community accepted from any device here, beside the log-in it is polled with."""


class EdgeEntry(Entry):
    """A SIP proxy that decides where new calls go."""

    kind: Literal["kamailio", "simulated"]
    """How it is commanded; simulated moves no call."""
    zone: Name
    """The zone or place it stands in."""
    url: Url
    """Where it takes commands."""
    sip: HostPort
    """Where it takes calls, UDP, for probe calls; port 5060 unless given."""
    token: SecretRef | None = None
    """Bearer token it asks for."""
    probe_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$")] = default(EdgeSettings, "probe_user")
    """User part a probe call dials to reach the backup."""
    deadline: Annotated[Duration, AfterValidator(Between(0.1, 30))] = default(EdgeSettings, "deadline_s")
    """Time one command may take."""


class RouteEntry(Entry):
    """A class of calls that moves as one."""

    edges: list[Name] = []
    """The edges that carry it."""
    depends_on: Annotated[list[Name], Field(min_length=1)]
    """The zones here whose loss ends its calls."""
    backup: list[Name] = []
    """The zones of the backup site that must be good before it moves."""
    max_call: Annotated[Duration, AfterValidator(Between(1, 14_400))] = default(RoutePolicy, "max_call_s")
    """The longest call worth waiting for: the drain."""
    verify: Annotated[Duration, AfterValidator(Between(1, 1800))] = default(RoutePolicy, "verify_s")
    """Time to prove that the calls moved."""
    margin: Annotated[Duration, AfterValidator(Between(0, 3600))] = default(RoutePolicy, "margin_s")
    """Time in hand on top of drain and verification."""
    soak: Annotated[Duration, AfterValidator(Between(1, 172_800))] = default(RoutePolicy, "soak_s")
    """How long repaired zones must stay good before failback."""
    proof_calls: Annotated[int, Field(ge=1, le=10_000)] = default(RoutePolicy, "proof_calls")
    """New calls that prove a move by the edges' counters; with fewer, probe calls do."""


class TlsEntry(Entry):
    """TLS towards the broker; {} trusts the system's authorities."""

    ca: AbsolutePath | None = None
    """PEM file of the authority that signed the broker's certificate."""
    cert: AbsolutePath | None = None
    """PEM file of the client certificate."""
    key: AbsolutePath | None = None
    """PEM file of its key."""


class MqttEntry(Entry):
    """The broker readings are published to."""

    host: Host
    """Its address."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Default: 8883 with tls, 1883 without."""
    zone: Name
    """The zone or place it stands in."""
    version: Literal["3.1.1", "5"] = default(MqttSettings, "version")
    """Protocol version, in quotes."""
    prefix: Annotated[str, Field(pattern=r"^[^#+/\s]+(/[^#+/\s]+)*$")] = default(MqttSettings, "prefix")
    """First levels of every topic."""
    client_id: Text | None = None
    """Client identifier; made from the site's name unless given."""
    username: Text | None = None
    """User name."""
    password: SecretRef | None = None
    """Password."""
    tls: TlsEntry | None = None
    """TLS; without this key the connection is in clear."""
    qos: Annotated[int, Field(ge=0, le=1)] = default(MqttSettings, "qos")
    """Quality of service of readings."""
    queue: Annotated[int, Field(ge=100, le=1_000_000)] = default(MqttSettings, "queue")
    """Messages kept while the broker is away; the oldest go first."""


class HttpEntry(Entry):
    """Metrics, health and status over HTTP."""

    listen: Listen
    """Address and port to listen on."""


class PublishEntry(Entry):
    """Where readings go; nothing here can slow or stop the loop."""

    mqtt: MqttEntry | None = None
    """MQTT; nothing is published without this key."""
    http: HttpEntry | None = None
    """HTTP; nothing is served without this key."""


class PagerEntry(Entry):
    """A way to reach people."""

    kind: Literal["webhook", "simulated"]
    """How pages are delivered; simulated reaches nobody."""
    zone: Name
    """The zone or place its path starts in."""
    url: Url
    """Where pages are posted."""
    token: SecretRef | None = None
    """Bearer token it asks for."""
    deadline: Annotated[Duration, AfterValidator(Between(0.1, 60))] = default(PagerSettings, "deadline_s")
    """Time one delivery may take."""


class JudgementEntry(Entry):
    """How much evidence, and how fresh."""

    stale: Annotated[Duration, AfterValidator(Between(1, 1800))] = default(Policy, "stale_s")
    """A reading older than this no longer votes; at least twice the slowest every."""
    quorum_kinds: Annotated[int, Field(ge=2, le=3)] = default(Policy, "quorum_kinds")
    """Kinds of evidence that must agree: inlet air, cooling air, plant."""
    quorum_paths: Annotated[int, Field(ge=1, le=3)] = default(Policy, "quorum_paths")
    """Network paths they must come over; no more than quorum_kinds."""
    quorum_stands: Annotated[Duration, AfterValidator(Between(60, 3600))] = default(Policy, "quorum_stands_s")
    """How long a measured quorum stands in a room that went blind."""
    probe_stands: Annotated[Duration, AfterValidator(Between(5, 600))] = default(Policy, "probe_stands_s")
    """How long an answered probe call proves the backup."""
    edge_stands: Annotated[Duration, AfterValidator(Between(2, 300))] = default(Policy, "edge_stands_s")
    """How long an edge's answer counts as its state."""


class SiteFile(Entry):
    """A whole configuration."""

    site: Name
    """The name of this site; the first word of every point and topic."""
    mode: Literal["observe", "automatic"] = "observe"
    """What a first start does; afterwards the journal remembers. automatic moves calls by itself."""
    daemon: DaemonEntry
    """Where this daemon stands and keeps its state."""
    places: list[Name] = []
    """Rooms that are not judged but where things stand."""
    zones: Annotated[dict[Name, ZoneEntry], Field(min_length=1)]
    """The thermal areas, here and at the backup site."""
    backup: BackupEntry | None = None
    """The backup site; needed by zones that are at: backup."""
    devices: Annotated[dict[Name, DeviceEntry], Field(min_length=1)]
    """What is polled."""
    traps: TrapsEntry | None = None
    """SNMP notifications; none are received without this key."""
    edges: dict[Name, EdgeEntry] = {}
    """The SIP proxies that can be commanded."""
    routes: dict[Name, RouteEntry] = {}
    """The classes of calls that can move."""
    publish: PublishEntry = PublishEntry()
    """Where readings go."""
    pagers: dict[Name, PagerEntry] = {}
    """Whom to tell."""
    judgement: JudgementEntry = JudgementEntry()
    """How much evidence is enough."""
