"""A sound configuration file to the frozen settings and the policy that the daemon runs on."""

from hashlib import sha256
from pathlib import Path

from envmon.config.compile_brokers import mqtt
from envmon.config.compile_devices import device, traps
from envmon.config.compile_levers import edge, lease, proof
from envmon.config.compile_people import certified, groups, orders, pagers, people, reached
from envmon.config.lever_entries import all_or_nothing
from envmon.config.settings import (
    DaemonSettings,
    HttpSettings,
    Settings,
    WeatherSettings,
)
from envmon.config.shape import (
    LimitsEntry,
    RouteEntry,
    SiteFile,
    ZoneEntry,
)
from envmon.config.shape_weather import WeatherEntry
from envmon.model.policy import FeedPolicy, Limits, Policy, RoutePolicy, UnitPolicy, ZonePolicy
from envmon.model.verdict import Mode


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
        devices=tuple(device(name, entry) for name, entry in site.devices.items()),
        edges=tuple(edge(name, entry, Path(site.daemon.state_dir)) for name, entry in site.edges.items()),
        pagers=pagers(site),
        mqtt=mqtt(site.publish.mqtt) if site.publish.mqtt else None,
        http=HttpSettings(http.listen.host, http.listen.port) if http else None,
        text=text,
        digest=sha256(text.encode()).hexdigest(),
        places=tuple(site.places),
        backup_site=site.backup.site if site.backup else "",
        traps=traps(site.traps) if site.traps else None,
        lease=lease(site.lease),
        proofs=tuple(proof(route, *item) for route, each in site.routes.items() for item in each.proofs.items()),
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
