"""The shape of a configuration file: every key, its kind, its default and what it means.

Rules
  - The text under a key is its meaning, in the file's reference and in the JSON Schema; there is no second copy.
  - Defaults come from the frozen settings and the policy; this file repeats none of their numbers.
  - Devices have a file of their own, ``shape_devices``.
  - What one key can say about itself is here; what two keys say about each other is in ``entries`` and ``references``.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from envmon.config.settings import DaemonSettings, MqttSettings, PagerSettings, Settings
from envmon.config.shape_devices import DeviceEntry, TrapsEntry
from envmon.config.shape_levers import EdgeEntry, LeaseEntry, ProofEntry
from envmon.config.shape_parts import BrokerEntry, Entry, default
from envmon.config.shape_weather import WeatherEntry
from envmon.config.shape_web import WebEntry
from envmon.config.values import (
    AbsolutePath,
    Between,
    Duration,
    Listen,
    Name,
    SecretRef,
    Stages,
    Text,
    TimeWindow,
    Url,
)
from envmon.model.policy import Limits, Policy, RoutePolicy, ZonePolicy

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
    recordings_mb: Annotated[int, Field(ge=8, le=1_000_000)] = default(DaemonSettings, "recordings_mb")
    """Disk space for recordings in state_dir, kept episodes included, MB; the oldest go first."""


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
    restart_expected: Annotated[Duration, AfterValidator(Between(0, 1800))] = default(ZonePolicy, "restart_s")
    """Within what time units come back by themselves after a power transfer or a trip; 0s where none does."""
    min_inlets: Count = default(ZonePolicy, "min_inlets")
    """How many good rack inlet sensors the zone needs before its temperature counts as known."""


class BackupEntry(Entry):
    """The site that takes the calls."""

    site: Name
    """Its name."""


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
    """Time to prove that the calls moved, all stages together."""
    margin: Annotated[Duration, AfterValidator(Between(0, 3600))] = default(RoutePolicy, "margin_s")
    """Time in hand on top of drain and verification."""
    soak: Annotated[Duration, AfterValidator(Between(1, 172_800))] = default(RoutePolicy, "soak_s")
    """How long repaired zones must stay good before failback."""
    proof_calls: Annotated[int, Field(ge=1, le=10_000)] = default(RoutePolicy, "proof_calls")
    """New calls that prove a stage by the edges' counters; with fewer, probe calls do."""
    stages: Stages = list(default(RoutePolicy, "stages"))
    """Percent of new calls it moves by, rising to 100; each is proven before the next. [100] moves at once."""
    dwell: Annotated[Duration, AfterValidator(Between(0, 7_200))] = default(RoutePolicy, "dwell_s")
    """How much longer than an evacuation the primary must still have, to take calls back from a failing backup."""
    drain_floor: Annotated[Duration, AfterValidator(Between(1, 14_400))] = default(RoutePolicy, "drain_floor_s")
    """The shortest drain that drills and real moves may teach; the drain is max_call until they have."""
    proofs: dict[Name, ProofEntry] = {}
    """What else the backup needs, by item; call_capacity (too few, not none) and replication_age are soft, no other."""
    capacity_margin: Annotated[float, Field(ge=1, le=10)] = default(RoutePolicy, "capacity_margin")
    """Spare calls wanted at the backup (call_capacity), for each call in progress at the primary."""
    drill_window: TimeWindow | None = None
    """When drills are allowed, UTC: "02:00-05:00"; at any time without this key."""


class MqttEntry(BrokerEntry):
    """The broker readings are published to."""

    zone: Name
    """The zone or place it stands in."""
    prefix: Annotated[str, Field(pattern=r"^[^$#+/\s\x00][^#+/\s\x00]*(/[^#+/\s\x00]+)*$")] = default(
        MqttSettings, "prefix"
    )
    """First levels of every topic."""
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
    """A way to reach people, or a plant that waits for a word."""

    kind: Literal["webhook", "command", "simulated"]
    """How pages are delivered; simulated reaches nobody."""
    zone: Name
    """The zone or place its path starts in."""
    url: Url | None = None
    """Where pages are posted; a webhook needs it. 410 gives a page up, any other refusal is tried again for a day."""
    command: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None
    """Program and arguments that take a page as JSON; 110 gives it up, other codes but 0 are tried again for a day."""
    only: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None
    """The kinds of pages it gets: ids of rules, as T23 (power may go), or the last word of a key; all without."""
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
    probe_every: Annotated[Duration, AfterValidator(Between(2, 300))] = default(Settings, "probe_every_s")
    """How often a probe call goes through every edge to each site; more often when a decision waits for one."""
    edge_stands: Annotated[Duration, AfterValidator(Between(2, 300))] = default(Policy, "edge_stands_s")
    """How long an edge's answer counts as its state."""


class PeopleEntry(Entry):
    """Who may give orders. Who is in none of these groups may only look."""

    operators: list[Text] = []
    """System groups whose members may give orders."""
    approvers: list[Text] = []
    """System groups whose members may give orders and be the second person of an order that needs two."""
    hold: Annotated[Duration, AfterValidator(Between(900, 86_400))] = default(Policy, "hold_s")
    """When a hold ends that was ordered without an end."""


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
    profiles: list[AbsolutePath] = []
    """Directories of your own device profiles; every *.yaml file in them is one."""
    zones: Annotated[dict[Name, ZoneEntry], Field(min_length=1)]
    """The thermal areas, here and at the backup site."""
    backup: BackupEntry | None = None
    """The backup site; needed by zones that are at: backup."""
    devices: Annotated[dict[Name, DeviceEntry], Field(min_length=1)]
    """What is polled."""
    traps: TrapsEntry | None = None
    """SNMP notifications; none are received without this key."""
    lease: LeaseEntry = LeaseEntry()
    """What keeps the right to act."""
    people: PeopleEntry = PeopleEntry()
    """Who may give orders, by system group; without this key everybody who can open the socket."""
    web: WebEntry = WebEntry()
    """What is served over HTTPS."""
    edges: dict[Name, EdgeEntry] = {}
    """What can be commanded to send calls elsewhere."""
    routes: dict[Name, RouteEntry] = {}
    """The classes of calls that can move."""
    publish: PublishEntry = PublishEntry()
    """Where readings go."""
    pagers: dict[Name, PagerEntry] = {}
    """Whom to tell."""
    weather: dict[Name, WeatherEntry] = {}
    """Who warns of weather."""
    judgement: JudgementEntry = JudgementEntry()
    """How much evidence is enough."""
