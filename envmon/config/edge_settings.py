"""What the configuration compiles to for edges: how each kind is commanded, and how probe calls speak to it.

Rules
  - As in ``settings``: credentials are ``Secret`` references, durations are seconds.
"""

from dataclasses import dataclass
from pathlib import Path

from envmon.config.secret import Secret


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """The SRV record set that carries a route: its owner name, and where each site takes calls."""

    route: str
    name: str
    primary: tuple[str, int]
    backup: tuple[str, int]


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """A zone that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945)."""

    host: str
    port: int
    zone: str
    key: str
    records: tuple[DnsRecord, ...]
    algorithm: str = "hmac-sha256"
    ttl_s: float = 30.0


@dataclass(frozen=True, slots=True)
class DispatcherTargets:
    """The destinations of the primary site that carry a route: a set of Kamailio's dispatcher, and URIs in it."""

    route: str
    set: int
    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """What is disabled to move a route, and the file where its epochs are kept, for Kamailio keeps none."""

    targets: tuple[DispatcherTargets, ...]
    memory: Path


@dataclass(frozen=True, slots=True)
class RestRoute:
    """How a carrier's API moves a route: ``fields`` are written to ``url``, ``read`` is where its JSON shows the place.

    ``read_url`` is what is read, "" for ``url``; ``form``: the fields are a form, else JSON. ``primary`` and ``backup``
    are what the API holds for 0 and for 100 percent; None for both where it holds the percentage. ``expect`` is what
    else its answer must show, by JSON Pointer.
    """

    route: str
    url: str
    fields: tuple[tuple[str, str | int | bool], ...]
    read: str
    method: str = "PUT"
    form: bool = False
    read_url: str = ""
    primary: str | int | bool | None = None
    backup: str | int | bool | None = None
    expect: tuple[tuple[str, str | int | bool], ...] = ()

    @property
    def all_or_nothing(self) -> bool:
        """Whether only 0 and 100 percent can be held."""
        return self.primary is not None


@dataclass(frozen=True, slots=True)
class RestSettings:
    """A carrier's API, and the file of its epochs. ``username`` is for a Basic login, ``header`` carries the token."""

    routes: tuple[RestRoute, ...]
    memory: Path
    username: str = ""
    header: str = ""


@dataclass(frozen=True, slots=True)
class SipSettings:
    """How a probe call speaks SIP. ``transport`` is "udp", "tcp" or "tls"; ``tls_name`` is whom the certificate names.

    ``allow`` is where else than to the edge an answer may lead the call: (host, port), port 0 for any. ``echo``: the
    far end sends audio back, and a call counts only when it does.
    """

    transport: str = "udp"
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_name: str = ""
    username: str = ""
    password: Secret | None = None
    allow: tuple[tuple[str, int], ...] = ()
    echo: bool = False


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """A SIP edge. ``kind`` is a key of ``actuators.ACTUATORS``; ``sip`` is host:port for probe calls.

    ``sip_backup`` is where probe calls to the backup go, "" for the same place. ``argv`` is a program and its
    arguments; ``token`` is the bearer token, the key of signatures or the TSIG key, as the kind needs it.
    """

    id: str
    kind: str
    zone: str
    url: str
    sip_host: str
    sip_port: int
    token: Secret | None
    probe_user: str = "envmon-probe-backup"
    deadline_s: float = 2.0
    sip_backup_host: str = ""
    sip_backup_port: int = 0
    dns: DnsSettings | None = None
    dispatcher: DispatcherSettings | None = None
    rest: RestSettings | None = None
    argv: tuple[str, ...] = ()
    way: SipSettings = SipSettings()
