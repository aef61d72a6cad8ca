"""What the configuration compiles to: frozen settings for every adapter, beside the core's ``Policy``.

Rules
  - Credentials are ``Secret`` references; the text is read when a connection needs it, and never printed.
  - Durations are seconds, temperatures degC, powers kW.
"""

from dataclasses import dataclass
from pathlib import Path

from envmon.config.edge_settings import EdgeSettings, SipSettings
from envmon.config.secret import Secret
from envmon.model.event import Access
from envmon.model.policy import Policy
from envmon.model.reading import Role
from envmon.model.verdict import Mode


@dataclass(frozen=True, slots=True)
class SnmpSettings:
    """How to log in to an SNMP agent. ``version`` is "1", "2c" or "3" (RFC 3414 user-based security)."""

    version: str = "2c"
    community: Secret | None = None
    user: str = ""
    auth_protocol: str = "sha"  # md5 sha sha224 sha256 sha384 sha512
    auth_password: Secret | None = None
    privacy_protocol: str = "aes128"  # des aes128 aes256
    privacy_password: Secret | None = None
    context: str = ""  # version 3: RFC 3411 contextName


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """How a serial line is driven: ``baud`` bits per second, ``parity`` none, even or odd, eight data bits."""

    baud: int = 19_200  # with even parity, what every Modbus unit must know (V1.02, 2.5 and 3.2)
    parity: str = "even"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """A network endpoint we poll. ``serves`` is the plant unit its points belong to, "" for a sensor device.

    ``port`` 0 means the protocol's own (161, 502). ``transport`` (Modbus) is "tcp", "rtu_over_tcp" or "rtu"; for the
    last ``host`` is the path of a serial line, driven as ``serial`` says. ``path`` names its network path, the host
    unless given. ``fronts`` is (its own number for a unit behind it, zone, unit), ``roles`` are (point, role), which
    only the site can know. ``commissioned``: somebody says that its readings are what it shows, so that a profile made
    of excerpts may vote; ``record`` names the file that shows it, and ``confirmed``, ``differing`` and ``sentinels``
    (point ids, and raw numbers that mean "no value") are what it says, once it was read.
    """

    id: str
    profile: str
    host: str
    port: int
    zone: str
    serves: str
    path: str
    interval_s: float = 5.0
    deadline_s: float = 2.0
    unit_id: int = 1  # Modbus unit identifier
    transport: str = "tcp"
    serial: SerialSettings = SerialSettings()
    snmp: SnmpSettings = SnmpSettings()
    fronts: tuple[tuple[str, str, str], ...] = ()
    roles: tuple[tuple[str, Role], ...] = ()
    commissioned: bool = False
    record: Path | None = None
    confirmed: frozenset[str] = frozenset()
    differing: frozenset[str] = frozenset()
    sentinels: tuple[tuple[str, tuple[float, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class TrapSettings:
    """Where SNMP notifications arrive. ``community`` is accepted beside each device's own login."""

    host: str
    port: int = 162
    community: Secret | None = None


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """An MQTT broker. ``version`` is "3.1.1" or "5"."""

    host: str
    port: int
    zone: str
    version: str = "5"
    prefix: str = "envmon/v1"
    client_id: str = ""
    username: str = ""
    password: Secret | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls: bool = False
    qos: int = 1
    queue: int = 10_000  # messages kept while the broker is away; the oldest go first


@dataclass(frozen=True, slots=True)
class SipAsked:
    """A SIP address that is asked (OPTIONS), or called where there is a ``user``."""

    host: str
    port: int
    way: SipSettings = SipSettings()
    user: str = ""


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """Who is asked about one readiness item of a route: a URL, a topic of a broker, a SIP address, or a program.

    ``argv`` is a program and its arguments; beside a ``sip`` that is called, it tells what became of that call.
    ``ours`` is the file with the digest of our own list, for list parity, and ``oldest_s`` how old either list may be.
    """

    route: str
    item: str
    url: str = ""
    token: Secret | None = None
    argv: tuple[str, ...] = ()
    ours: Path | None = None
    oldest_s: float = 86_400.0
    every_s: float = 30.0
    deadline_s: float = 5.0
    broker: MqttSettings | None = None
    topic: str = ""
    sip: SipAsked | None = None


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where ``/metrics``, ``/healthz`` and the status are served."""

    host: str = "127.0.0.1"
    port: int = 9713


@dataclass(frozen=True, slots=True)
class PagerSettings:
    """One way to reach people. ``kind`` is a key of ``pagers.PAGERS``; ``zone`` is where its path starts.

    ``argv`` is a program and its arguments, for kind ``command``; ``only`` are the kinds of pages it gets, all of
    them if empty.
    """

    id: str
    kind: str
    zone: str
    url: str
    token: Secret | None = None
    deadline_s: float = 5.0
    argv: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """This daemon: where it stands, where it keeps its state, who may talk to it."""

    zone: str
    state_dir: Path
    socket: Path
    mode: Mode = Mode.OBSERVE
    recordings_mb: int = 256


@dataclass(frozen=True, slots=True)
class PeopleSettings:
    """System groups of those who give orders, and of those who may also be the second person. None: everybody."""

    operators: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()

    @property
    def configured(self) -> bool:
        """Whether groups are named at all."""
        return bool(self.operators or self.approvers)


@dataclass(frozen=True, slots=True)
class Certified:
    """Who a client certificate stands for: the system's user and what they may do.

    ``name`` is what the certificate must say: cn:, email:, dns: or uri: and the name, or sha256: and its fingerprint.
    """

    name: str
    user: str
    access: Access


@dataclass(frozen=True, slots=True)
class OrdersSettings:
    """Where orders arrive over HTTPS, with what certificate, and whose client certificates count for whom."""

    host: str
    port: int
    cert: Path
    key: Path
    client_ca: Path
    people: tuple[Certified, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseMember:
    """A member of the etcd cluster that keeps the lease. ``url`` is its client URL, ``zone`` where it stands."""

    id: str
    url: str
    zone: str


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """What keeps the right to act. ``kind`` is a key of ``leases.LEASES``; the rest belongs to etcd."""

    kind: str = "local"
    members: tuple[LeaseMember, ...] = ()
    ttl_s: float = 5.0  # whole seconds: etcd counts no others
    user: str = ""
    password: Secret | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class WeatherSettings:
    """A weather service. ``kind`` is a key of ``weather.FEEDS``; ``contact`` goes into the User-Agent it asks for.

    The site is where ``point`` (latitude, longitude, WGS 84 degrees) or one of ``areas`` is (SAME, UGC, EMMA_ID and
    the like). Heeded are warnings whose event is one of ``events`` (``*`` stands for any characters), or with none
    named those at least as severe as ``severity`` (CAP 1.2). ``hosts`` may serve documents an index links to.
    """

    id: str
    kind: str
    url: str
    contact: str
    every_s: float = 300.0
    deadline_s: float = 10.0
    areas: tuple[str, ...] = ()
    point: tuple[float, float] | None = None
    events: tuple[str, ...] = ()
    severity: str = "severe"
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole, valid configuration. ``text`` is what was read, ``digest`` its SHA-256."""

    policy: Policy
    daemon: DaemonSettings
    devices: tuple[DeviceSettings, ...]
    edges: tuple[EdgeSettings, ...]
    pagers: tuple[PagerSettings, ...]
    mqtt: MqttSettings | None
    http: HttpSettings | None
    text: str
    digest: str
    places: tuple[str, ...] = ()  # rooms where things stand but that are not judged
    backup_site: str = ""
    traps: TrapSettings | None = None
    lease: LeaseSettings = LeaseSettings()
    proofs: tuple[ProofSettings, ...] = ()
    weather: tuple[WeatherSettings, ...] = ()
    people: PeopleSettings = PeopleSettings()
    probe_every_s: float = 20.0
    orders: OrdersSettings | None = None
