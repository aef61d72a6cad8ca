"""What moves calls, proves the backup and keeps the right to act, from the file's entries to the frozen settings."""

from pathlib import Path

from envmon.config.compile_brokers import broker, tls_files
from envmon.config.edge_settings import (
    DispatcherSettings,
    DispatcherTargets,
    DnsRecord,
    DnsSettings,
    EdgeSettings,
    RestRoute,
    RestSettings,
    SipSettings,
)
from envmon.config.settings import LeaseMember, LeaseSettings, ProofSettings, SipAsked
from envmon.config.shape_levers import DispatcherEntry, DnsEntry, EdgeEntry, LeaseEntry, ProbeEntry, ProofEntry
from envmon.config.shape_rest import RestEntry
from envmon.config.values import Address

NEXT_MESSAGE_S = 15.0  # an envmon renews its state every ten seconds


def edge(name: str, entry: EdgeEntry, state_dir: Path) -> EdgeSettings:
    """Compile one edge; what it must remember by itself lies in ``state_dir``."""
    backup, way = entry.sip_backup, _way(entry.probe)
    return EdgeSettings(
        id=name,
        kind=entry.kind,
        zone=entry.zone,
        url=entry.url or "",
        sip_host=entry.sip.host,
        sip_port=_sip_port(entry.sip, way),
        token=entry.token,
        probe_user=entry.probe_user,
        deadline_s=entry.deadline,
        sip_backup_host=backup.host if backup else "",
        sip_backup_port=_sip_port(backup, way) if backup else 0,
        dns=_dns(entry.dns) if entry.dns else None,
        dispatcher=_dispatcher(entry.dispatcher, state_dir / f"edge-{name}.epochs") if entry.dispatcher else None,
        rest=rest_of(entry.rest, state_dir / f"edge-{name}.epochs") if entry.rest else None,
        argv=tuple(entry.command or ()),
        way=way,
    )


def _dns(entry: DnsEntry) -> DnsSettings:
    return DnsSettings(
        host=entry.server.host,
        port=entry.server.port or 53,
        zone=entry.zone,
        key=entry.key,
        records=tuple(
            DnsRecord(route, each.name, _target(each.primary), _target(each.backup))
            for route, each in entry.records.items()
        ),
        algorithm=entry.algorithm,
        ttl_s=entry.ttl,
    )


def _target(given: Address) -> tuple[str, int]:
    return given.host.lower(), given.port or 5060


def _dispatcher(entry: DispatcherEntry, memory: Path) -> DispatcherSettings:
    targets = (DispatcherTargets(route, each.set, tuple(each.uris)) for route, each in entry.routes.items())
    return DispatcherSettings(tuple(targets), memory)


def rest_of(entry: RestEntry, memory: Path) -> RestSettings:
    """Compile the template of a carrier's API; the epochs are kept in the file ``memory``."""
    routes = (
        RestRoute(
            route=route,
            url=each.url,
            method=each.method,
            form=each.body == "form",
            fields=tuple(each.fields.items()),
            read=each.read,
            read_url=each.read_url or "",
            primary=each.primary,
            backup=each.backup,
            expect=tuple(each.expect.items()),
        )
        for route, each in entry.routes.items()
    )
    return RestSettings(tuple(routes), memory, entry.username or "", entry.header or "")


def proof(route: str, item: str, entry: ProofEntry) -> ProofSettings:
    """Compile whom to ask for one thing the backup must prove."""
    waits = entry.mqtt is not None and "deadline" not in entry.model_fields_set
    way = _way(entry.probe or ProbeEntry())
    return ProofSettings(
        route=route,
        item=item,
        url=entry.url or "",
        token=entry.token,
        argv=tuple(entry.command or ()),
        ours=Path(entry.ours) if entry.ours else None,
        oldest_s=entry.oldest,
        every_s=entry.every,
        deadline_s=NEXT_MESSAGE_S if waits else entry.deadline,
        broker=broker(entry.mqtt) if entry.mqtt else None,
        topic=entry.mqtt.topic if entry.mqtt else "",
        sip=SipAsked(entry.sip.host, _sip_port(entry.sip, way), way, entry.call or "") if entry.sip else None,
    )


def _way(entry: ProbeEntry) -> SipSettings:
    ca, cert, key = tls_files(entry.tls)
    return SipSettings(
        transport=entry.transport,
        tls_ca=ca,
        tls_cert=cert,
        tls_key=key,
        tls_name=entry.tls_name or "",
        username=entry.username or "",
        password=entry.password,
        allow=tuple((each.host.lower(), each.port) for each in entry.allow),
        echo=entry.audio == "echo",
    )


def _sip_port(given: Address, way: SipSettings) -> int:
    return given.port or (5061 if way.transport == "tls" else 5060)


def lease(entry: LeaseEntry) -> LeaseSettings:
    """Compile what keeps the right to act."""
    ca, cert, key = tls_files(entry.tls)
    return LeaseSettings(
        kind=entry.kind,
        members=tuple(LeaseMember(name, each.url, each.zone) for name, each in entry.endpoints.items()),
        ttl_s=entry.ttl,
        user=entry.username or "",
        password=entry.password,
        tls_ca=ca,
        tls_cert=cert,
        tls_key=key,
    )
