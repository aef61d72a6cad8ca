"""The shape of what acts: edges of every kind, and the lease that gives the right to command them.

Rules
  - The text under a key is its meaning, in the file's reference and in the JSON Schema; there is no second copy.
  - Which keys belong to which kind is in ``lever_entries``.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from envmon.config.edge_settings import DnsSettings, EdgeSettings, SipSettings
from envmon.config.settings import LeaseSettings, ProofSettings
from envmon.config.shape_parts import BrokerEntry, Entry, TlsEntry, default
from envmon.config.shape_rest import RestEntry
from envmon.config.values import (
    AbsolutePath,
    Between,
    Domain,
    Duration,
    Host,
    HostPort,
    Name,
    SecretRef,
    SipUri,
    Text,
    Url,
)


class DnsRecordEntry(Entry):
    """The SRV record set (RFC 2782) that carries a route."""

    name: Domain
    """Its owner name, in full, such as _sip._udp.voice.example."""
    primary: HostPort
    """Target and port of the primary site; port 5060 unless given."""
    backup: HostPort
    """Target and port of the backup site; port 5060 unless given."""


class DnsEntry(Entry):
    """A zone that takes dynamic updates (RFC 2136), signed with TSIG (RFC 8945)."""

    server: HostPort
    """The zone's primary name server; port 53 unless given."""
    zone: Domain
    """The zone."""
    key: Domain
    """Name of the TSIG key; the key itself is the edge's token, in base64."""
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = default(DnsSettings, "algorithm")
    """Algorithm of the TSIG key."""
    ttl: Annotated[Duration, AfterValidator(Between(1, 3600))] = default(DnsSettings, "ttl_s")
    """Time to live of the records: for so long a resolver may go on sending calls where they went."""
    records: Annotated[dict[Name, DnsRecordEntry], Field(min_length=1)]
    """The record set of each route this edge carries, by the route's name."""


class DispatcherRouteEntry(Entry):
    """The destinations of the primary site that carry a route."""

    set: Annotated[int, Field(ge=0, le=2_147_483_647)]
    """The dispatcher set they stand in."""
    uris: Annotated[list[SipUri], Field(min_length=1)]
    """Their URIs, as dispatcher.list shows them; all of them are disabled to move the route."""


class DispatcherEntry(Entry):
    """Kamailio's dispatcher module, commanded over its JSON-RPC."""

    routes: Annotated[dict[Name, DispatcherRouteEntry], Field(min_length=1)]
    """What is disabled for each route this edge carries, by the route's name."""


class ProbeEntry(Entry):
    """How probe calls speak SIP."""

    transport: Literal["udp", "tcp", "tls"] = default(SipSettings, "transport")
    """What carries them."""
    tls: TlsEntry | None = None
    """Authority and client certificate; without this key the system's authorities are trusted."""
    tls_name: Host | None = None
    """The name its certificate must carry; the host of sip unless given."""
    username: Text | None = None
    """User for the login the edge asks for (Digest, MD5 or SHA-256)."""
    password: SecretRef | None = None
    """Its password."""
    allow: Annotated[list[HostPort], Field(max_length=64)] = []
    """Where else than to the edge an answer may lead a call: its route, its audio; any port unless given."""
    audio: Literal["none", "echo"] = "none"
    """echo: the far end of probe calls sends audio back; a call counts only when at least half of it returns."""


class EdgeEntry(Entry):
    """Something that decides where new calls go."""

    kind: Literal["kamailio", "dispatcher", "dns", "webhook", "rest", "command", "simulated"]
    """How it is commanded; simulated moves no call."""
    zone: Name
    """The zone or place it stands in."""
    url: Url | None = None
    """Where it takes commands; for kamailio, dispatcher (its JSON-RPC) and webhook."""
    sip: HostPort
    """Where it takes calls, for probe calls; port 5060 unless given, 5061 with transport: tls."""
    sip_backup: HostPort | None = None
    """Where probe calls to the backup go; sip unless given. For levers that no call passes through, such as DNS."""
    token: SecretRef | None = None
    """Bearer token it asks for; for webhook the key requests are signed with, for dns the TSIG key; rest says how."""
    probe_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$")] = default(EdgeSettings, "probe_user")
    """User part a probe call dials to reach the backup."""
    probe: ProbeEntry = ProbeEntry()
    """How probe calls speak SIP."""
    deadline: Annotated[Duration, AfterValidator(Between(0.1, 12))] = default(EdgeSettings, "deadline_s")
    """Time one command may take."""
    dns: DnsEntry | None = None
    """The zone and the records, for kind dns."""
    dispatcher: DispatcherEntry | None = None
    """The sets and the destinations, for kind dispatcher."""
    rest: RestEntry | None = None
    """A carrier's own API, for kind rest; config/carriers holds examples."""
    command: Annotated[list[Text], Field(min_length=1)] | None = None
    """The program, by its absolute path, and its arguments, for kind command; no shell reads them."""


class EndpointEntry(Entry):
    """A member of the etcd cluster."""

    url: Url
    """Its client URL."""
    zone: Name
    """The zone or place it stands in."""


class TopicEntry(BrokerEntry):
    """A topic of a broker, such as the state the backup's own envmon publishes."""

    topic: Annotated[str, Field(pattern=r"^[^#+\s]{1,1000}$")]
    """The topic, without wildcards: envmon/v1/SITE/state is an envmon's own."""


class ProofEntry(Entry):
    """Who is asked about one thing the backup needs; the name of the item is its key."""

    url: Url | None = None
    """Where it is told, as JSON; with the source's boot and seq, so that an old answer is known as one."""
    token: SecretRef | None = None
    """Bearer token it asks for."""
    mqtt: TopicEntry | None = None
    """Where it is published, as JSON with boot and seq; what the broker kept (retained) counts for nothing."""
    sip: HostPort | None = None
    """What must answer OPTIONS with 2xx, such as the carrier; port 5060 unless given, 5061 with transport: tls."""
    probe: ProbeEntry | None = None
    """How sip is spoken to."""
    call: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$")] | None = None
    """A canary: a listed number called through sip; command, given $ENVMON_CALL_ID, tells if it was recorded."""
    command: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None
    """Program and arguments that tell it on standard output, as JSON."""
    ours: AbsolutePath | None = None
    """File with the digest of our own do-not-record list, for list parity; made anew as often as the list is."""
    oldest: Annotated[Duration, AfterValidator(Between(60, 31_536_000))] = default(ProofSettings, "oldest_s")
    """How long ago either do-not-record list, and our own digest, may have been written anew, for list parity."""
    every: Annotated[Duration, AfterValidator(Between(1, 600))] = default(ProofSettings, "every_s")
    """How often it is asked; an answer stands for four times as long."""
    deadline: Annotated[Duration, AfterValidator(Between(0.1, 60))] = default(ProofSettings, "deadline_s")
    """Time one question may take; with mqtt, which waits for the next message, 15s unless given."""


class LeaseEntry(Entry):
    """The right to act: local without a standby, etcd with one; what a standby goes on from lies there, too."""

    kind: Literal["local", "etcd"] = default(LeaseSettings, "kind")
    """What keeps it."""
    endpoints: dict[Name, EndpointEntry] = {}
    """Every voting member of the etcd cluster, by a name you choose."""
    ttl: Annotated[Duration, AfterValidator(Between(4, 10))] = default(LeaseSettings, "ttl_s")
    """How long a silent holder keeps it, in whole seconds; another has taken over after twice as long."""
    username: Text | None = None
    """etcd user."""
    password: SecretRef | None = None
    """Its password."""
    tls: TlsEntry | None = None
    """Authority and client certificate for https endpoints; without this key the system's authorities are trusted."""
