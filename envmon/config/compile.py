"""A sound configuration file to the frozen settings and the policy that the daemon runs on."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from envmon.config.compile_levers import dispatcher_of, rest_of
from envmon.config.compile_people import certified, groups, orders, pagers, people, reached
from envmon.config.edge_settings import (
    DnsRecord,
    DnsSettings,
    EdgeSettings,
    SipSettings,
)
from envmon.config.lever_entries import all_or_nothing
from envmon.config.settings import (
    DaemonSettings,
    DeviceSettings,
    HttpSettings,
    LeaseMember,
    LeaseSettings,
    MqttSettings,
    ProofSettings,
    SerialSettings,
    Settings,
    SipAsked,
    SnmpSettings,
    TrapSettings,
    WeatherSettings,
)
from envmon.config.shape import (
    LimitsEntry,
    MqttEntry,
    RouteEntry,
    SiteFile,
    ZoneEntry,
)
from envmon.config.shape_devices import DeviceEntry, SerialEntry, SnmpEntry, TrapsEntry
from envmon.config.shape_levers import DnsEntry, EdgeEntry, LeaseEntry, ProbeEntry, ProofEntry
from envmon.config.shape_parts import BrokerEntry
from envmon.config.shape_weather import WeatherEntry
from envmon.config.values import Address
from envmon.model.policy import FeedPolicy, Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.reading import Role
from envmon.model.verdict import Mode

NEXT_MESSAGE_S = 15.0  # an envmon renews its state every ten seconds


def compile_settings(site: SiteFile, text: str, placement_faults: tuple[str, ...]) -> Settings:
    """Build the settings of a site whose references hold."""
    http = site.publish.http
    return Settings(
        policy=_policy(site, placement_faults),
        daemon=DaemonSettings(
            zone=site.daemon.zone,
            state_dir=Path(site.daemon.state_dir),
            socket=Path(site.daemon.socket),
            mode=Mode(site.mode),
            recordings_mb=site.daemon.recordings_mb,
        ),
        devices=tuple(_device(name, entry) for name, entry in site.devices.items()),
        edges=tuple(_edge(name, entry, Path(site.daemon.state_dir)) for name, entry in site.edges.items()),
        pagers=pagers(site),
        mqtt=_mqtt(site.publish.mqtt) if site.publish.mqtt else None,
        http=HttpSettings(http.listen.host, http.listen.port) if http else None,
        text=text,
        digest=sha256(text.encode()).hexdigest(),
        places=tuple(site.places),
        backup_site=site.backup.site if site.backup else "",
        traps=_traps(site.traps) if site.traps else None,
        lease=_lease(site.lease),
        proofs=tuple(_proof(route, *proof) for route, each in site.routes.items() for proof in each.proofs.items()),
        weather=tuple(_weather(name, entry) for name, entry in site.weather.items()),
        people=people(site),
        probe_every_s=site.judgement.probe_every,
        orders=orders(site),
    )


def _policy(site: SiteFile, placement_faults: tuple[str, ...]) -> Policy:
    judgement = site.judgement
    return Policy(
        site=site.site,
        zones=tuple(_zone(name, entry) for name, entry in site.zones.items()),
        routes=tuple(_route(site, name, entry) for name, entry in site.routes.items()),
        devices=tuple(site.devices),
        stale_s=judgement.stale,
        quorum_kinds=judgement.quorum_kinds,
        quorum_paths=judgement.quorum_paths,
        quorum_stands_s=judgement.quorum_stands,
        probe_stands_s=judgement.probe_stands,
        edge_stands_s=judgement.edge_stands,
        hold_s=site.people.hold,
        start_automatic=site.mode == "automatic",
        placement_faults=placement_faults,
        feeds=tuple(FeedPolicy(name, entry.every) for name, entry in site.weather.items()),
        pagers=reached(pagers(site)),
        groups=groups(people(site)),
        certified=certified(orders(site)),
    )


def _zone(name: str, entry: ZoneEntry) -> ZonePolicy:
    return ZonePolicy(
        id=name,
        here=entry.at == "here",
        it_load_kw=entry.it_load_kw,
        limits=_limits(entry.limits),
        units=tuple(UnitPolicy(unit, each.sensible_kw) for unit, each in entry.units.items()),
        needed=entry.units_needed,
        heat_capacity=entry.heat_capacity_kj_per_k_kw,
        slew=entry.slew_k_per_min / 60,
        restart_s=entry.restart_expected,
        min_inlets=entry.min_inlets,
    )


def _limits(entry: LimitsEntry) -> Limits:
    return Limits(entry.recommended_c, entry.allowable_c, entry.service_c, entry.deadband_k)


def _route(site: SiteFile, name: str, entry: RouteEntry) -> RoutePolicy:
    edges = [site.edges[edge] for edge in entry.edges]
    return RoutePolicy(
        id=name,
        edges=tuple(entry.edges),
        zones=tuple(entry.depends_on),
        backup_zones=tuple(entry.backup),
        max_call_s=entry.max_call,
        verify_s=entry.verify,
        margin_s=entry.margin,
        soak_s=entry.soak,
        proof_calls=entry.proof_calls,
        stages=(100,) if any(map(all_or_nothing, edges)) else tuple(entry.stages),
        dwell_s=entry.dwell,
        drain_floor_s=entry.drain_floor,
        quiet=entry.drill_window,
        learns=all(edge.kind != "simulated" for edge in edges),
        proofs=tuple(entry.proofs),
        proof_stands_s=max((4 * each.every for each in entry.proofs.values()), default=120.0),
        capacity_margin=entry.capacity_margin,
    )


def _device(name: str, entry: DeviceEntry) -> DeviceSettings:
    zone, _, unit = (entry.serves or "").partition(".")
    fronts = entry.fronts or {}
    return DeviceSettings(
        id=name,
        profile=entry.profile,
        host=entry.address.host,
        port=entry.address.port,
        zone=zone or entry.zone or "",
        serves=unit,
        path=entry.path or entry.address.host,
        interval_s=entry.every,
        deadline_s=entry.deadline,
        unit_id=entry.unit_id,
        transport=entry.transport,
        serial=_serial(entry.serial) if entry.serial else SerialSettings(),
        snmp=_snmp(entry.snmp) if entry.snmp else SnmpSettings(),
        fronts=tuple((number, *_zone_unit(served)) for number, served in fronts.items()),
        roles=tuple((point, Role(word)) for point, word in (entry.roles or {}).items()),
        commissioned=entry.commissioned is True,
        record=Path(entry.commissioned) if isinstance(entry.commissioned, str) else None,
    )


def _zone_unit(served: str) -> tuple[str, str]:
    zone, _, unit = served.partition(".")
    return zone, unit


def _serial(entry: SerialEntry) -> SerialSettings:
    return SerialSettings(entry.baud, entry.parity, entry.stop_bits)


def _snmp(entry: SnmpEntry) -> SnmpSettings:
    return SnmpSettings(
        version=entry.version,
        community=entry.community,
        user=entry.user or "",
        auth_protocol=entry.auth,
        auth_password=entry.auth_password,
        privacy_protocol=entry.privacy,
        privacy_password=entry.privacy_password,
        context=entry.context or "",
    )


def _traps(entry: TrapsEntry) -> TrapSettings:
    return TrapSettings(entry.listen.host, entry.listen.port, entry.community)


def _edge(name: str, entry: EdgeEntry, state_dir: Path) -> EdgeSettings:
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
        dispatcher=dispatcher_of(entry.dispatcher, state_dir / f"edge-{name}.epochs") if entry.dispatcher else None,
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


def _proof(route: str, item: str, entry: ProofEntry) -> ProofSettings:
    waits = entry.mqtt is not None and "deadline" not in entry.model_fields_set
    way = _way(entry.probe or ProbeEntry())
    return ProofSettings(
        route=route,
        item=item,
        url=entry.url or "",
        token=entry.token,
        argv=tuple(entry.command or ()),
        ours=_path(entry.ours),
        oldest_s=entry.oldest,
        every_s=entry.every,
        deadline_s=NEXT_MESSAGE_S if waits else entry.deadline,
        broker=_broker(entry.mqtt) if entry.mqtt else None,
        topic=entry.mqtt.topic if entry.mqtt else "",
        sip=SipAsked(entry.sip.host, _sip_port(entry.sip, way), way, entry.call or "") if entry.sip else None,
    )


def _way(entry: ProbeEntry) -> SipSettings:
    tls = entry.tls
    return SipSettings(
        transport=entry.transport,
        tls_ca=_path(tls.ca) if tls else None,
        tls_cert=_path(tls.cert) if tls else None,
        tls_key=_path(tls.key) if tls else None,
        tls_name=entry.tls_name or "",
        username=entry.username or "",
        password=entry.password,
        allow=tuple((each.host.lower(), each.port) for each in entry.allow),
        echo=entry.audio == "echo",
    )


def _sip_port(given: Address, way: SipSettings) -> int:
    return given.port or (5061 if way.transport == "tls" else 5060)


def _lease(entry: LeaseEntry) -> LeaseSettings:
    return LeaseSettings(
        kind=entry.kind,
        members=tuple(LeaseMember(name, each.url, each.zone) for name, each in entry.endpoints.items()),
        ttl_s=entry.ttl,
        user=entry.username or "",
        password=entry.password,
        tls_ca=_path(entry.tls.ca) if entry.tls else None,
        tls_cert=_path(entry.tls.cert) if entry.tls else None,
        tls_key=_path(entry.tls.key) if entry.tls else None,
    )


def _mqtt(entry: MqttEntry) -> MqttSettings:
    return replace(_broker(entry), zone=entry.zone, prefix=entry.prefix, qos=entry.qos, queue=entry.queue)


def _broker(entry: BrokerEntry) -> MqttSettings:
    tls = entry.tls
    return MqttSettings(
        host=entry.host,
        port=entry.port or (8883 if tls else 1883),
        zone="",
        version=entry.version,
        client_id=entry.client_id or "",
        username=entry.username or "",
        password=entry.password,
        tls_ca=_path(tls.ca) if tls else None,
        tls_cert=_path(tls.cert) if tls else None,
        tls_key=_path(tls.key) if tls else None,
        tls=tls is not None,
    )


def _weather(name: str, entry: WeatherEntry) -> WeatherSettings:
    return WeatherSettings(
        id=name,
        kind=entry.kind,
        url=entry.url,
        contact=entry.contact,
        every_s=entry.every,
        deadline_s=entry.deadline,
        areas=tuple(entry.areas),
        point=(entry.point.lat, entry.point.lon) if entry.point else None,
        events=tuple(entry.events),
        severity=entry.severity,
        hosts=tuple(entry.hosts),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
