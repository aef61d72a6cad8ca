"""What the keys of an edge, of its DNS records and of the lease say about each other.

Rules
  - ``KEYS`` is which keys belong to which kind of edge: needed ones, then allowed ones; any other is a fault.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from envmon.config.shape import PagerEntry
from envmon.config.shape_levers import DnsEntry, EdgeEntry, LeaseEntry, ProbeEntry, ProofEntry

ALL_OR_NOTHING = frozenset({"dns", "dispatcher"})  # kinds that move every new call or none
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "kamailio": (("url",), ("token",)),
    "dispatcher": (("url", "token", "dispatcher"), ()),
    "dns": (("token", "dns"), ()),
    "webhook": (("url", "token"), ()),
    "rest": (("token", "rest"), ()),
    "command": (("command",), ()),
    "simulated": ((), ("url", "token")),
}
_NEEDED = {
    "url": "url: URL",
    "token": "token: credential:NAME",
    "dns": "dns: {server: ..., zone: ..., key: ..., records: ...}",
    "dispatcher": "dispatcher: {routes: ...}",
    "rest": "rest: {routes: ...}",
    "command": "command: [/path/to/program]",
}
_ETCD_KEYS = ("endpoints", "ttl", "username", "password", "tls")

Lever = EdgeEntry | DnsEntry | LeaseEntry | PagerEntry | ProbeEntry | ProofEntry


def lever_findings(entry: Lever) -> Iterator[tuple[str, str]]:
    """What is wrong within one of these entries: the key, and the text."""
    match entry:
        case EdgeEntry():
            yield from edge_findings(entry)
        case DnsEntry():
            yield from dns_findings(entry)
        case LeaseEntry():
            yield from lease_findings(entry)
        case PagerEntry():
            yield from pager_findings(entry)
        case ProbeEntry():
            yield from probe_findings(entry)
        case ProofEntry():
            yield from proof_findings(entry)


def all_or_nothing(edge: EdgeEntry) -> bool:
    """Whether the edge can hold 0 and 100 percent only."""
    told = edge.rest is not None and any(route.primary is not None for route in edge.rest.routes.values())
    return told or edge.kind in ALL_OR_NOTHING


def edge_findings(edge: EdgeEntry) -> Iterator[tuple[str, str]]:
    """Keys that the edge's kind needs and lacks, or has no use for."""
    needed, allowed = KEYS[edge.kind]
    for key, words in _NEEDED.items():
        if key in needed and getattr(edge, key) is None:
            yield key, f"is missing: kind {edge.kind} needs {words}"
        elif key not in (*needed, *allowed) and key in edge.model_fields_set:
            yield key, f"does not belong to kind {edge.kind}; leave it out"
    if edge.command and not edge.command[0].startswith("/"):
        yield "command", "the program must be an absolute path, such as /usr/local/bin/move-calls"


def dns_findings(dns: DnsEntry) -> Iterator[tuple[str, str]]:
    """Records that one update of the zone could not reach, or whose targets are no host names."""
    if dns.ttl != round(dns.ttl):
        yield "ttl", "must be whole seconds: DNS counts no others"
    for route, record in dns.records.items():
        if not f".{record.name}".endswith(f".{dns.zone}"):
            yield "records", f"{route}: {record.name} is not in the zone {dns.zone}"
        for site in (record.primary, record.backup):
            if _is_address(site.host):
                yield "records", f"{route}: an SRV target is a host name, not an address (RFC 2782)"
        if record.primary == record.backup:
            yield "records", f"{route}: primary and backup are the same; nothing would move"
    names = [record.name for record in dns.records.values()]
    if len(set(names)) < len(names):
        yield "records", "two routes share one name; they would move as one, give each its own"


def lease_findings(lease: LeaseEntry) -> Iterator[tuple[str, str]]:
    """Keys that the kind of lease needs and lacks, or has no use for."""
    if lease.kind == "local":
        for key in _ETCD_KEYS:
            if key in lease.model_fields_set:
                yield key, "belongs to kind etcd; set kind: etcd, or leave it out"
        return
    if not lease.endpoints:
        yield "endpoints", "is missing: kind etcd needs endpoints: {NAME: {url: URL, zone: ZONE}}"
    if lease.ttl != round(lease.ttl):
        yield "ttl", "must be whole seconds: etcd counts no others"
    if (lease.username is None) != (lease.password is None):
        missing = "username" if lease.username is None else "password"
        yield missing, "is missing: username and password go together"
    urls = [endpoint.url.rstrip("/").lower() for endpoint in lease.endpoints.values()]
    if len(set(urls)) < len(urls):
        yield "endpoints", "two of them have one url; a member counts once"
    if lease.tls is not None and any(url.startswith("http:") for url in urls):
        yield "tls", "is of no use to an http: endpoint; write https:"


def proof_findings(proof: ProofEntry) -> Iterator[tuple[str, str]]:
    """One of four ways to ask; a canary is a call and a program."""
    ways = [key for key in ("url", "mqtt", "sip", "command") if getattr(proof, key) is not None]
    canary = proof.call is not None
    if canary and set(ways) != {"sip", "command"}:
        yield "call", "is a canary: it needs sip: HOST to call through, and command: that tells what became of the call"
    elif not canary and len(ways) != 1:
        yield "", "is asked by url:, mqtt:, sip: or command:; give one of the four"
    if proof.command is not None and not proof.command[0].startswith("/"):
        yield "command", "the program must be an absolute path, such as /usr/local/bin/spare-calls"
    if proof.ours is None and "oldest" in proof.model_fields_set:
        yield "oldest", "belongs to ours, which names the digest it is about; leave it out"
    for key, owner in (("token", "url"), ("probe", "sip")):
        if getattr(proof, key) is not None and owner not in ways:
            yield key, f"belongs to {owner}; leave it out"


def probe_findings(probe: ProbeEntry) -> Iterator[tuple[str, str]]:
    """Keys of a transport that is not used, and half a login."""
    for key in ("tls", "tls_name"):
        if getattr(probe, key) is not None and probe.transport != "tls":
            yield key, "belongs to transport: tls"
    if (probe.username is None) != (probe.password is None):
        missing = "username" if probe.username is None else "password"
        yield missing, "is missing: username and password go together"


def pager_findings(pager: PagerEntry) -> Iterator[tuple[str, str]]:
    """Keys that the kind of pager needs and lacks, or has no use for."""
    if pager.kind == "command":
        if pager.command is None:
            yield "command", "is missing: kind command needs command: [/path/to/program]"
        elif not pager.command[0].startswith("/"):
            yield "command", "the program must be an absolute path, such as /usr/local/bin/power-may-go"
        for key in ("url", "token"):
            if key in pager.model_fields_set:
                yield key, "does not belong to kind command; leave it out"
        return
    if pager.command is not None:
        yield "command", f"does not belong to kind {pager.kind}; leave it out"
    if pager.url is None:
        yield "url", f"is missing: kind {pager.kind} needs url: URL"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
