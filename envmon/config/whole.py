"""What only the whole site can say: whether its evidence can ever make a quorum, and stay fresh.

Rules
  - Looked at when nothing else is wrong: half a site gives misleading answers.
  - The quorum is asked of the core itself, with every witness voting: what fails here can never succeed there.
  - A profile whose roles nobody told is believed to see every kind.
"""

from collections.abc import Iterator, Mapping

from envmon.config.document import Document
from envmon.config.fault import Fault
from envmon.config.profiles_known import Known
from envmon.config.settings import DeviceSettings
from envmon.config.values import duration_text
from envmon.core.evidence import COOLING_AIR, quorum
from envmon.model.policy import Policy, ZonePolicy
from envmon.model.reading import Role
from envmon.model.verdict import Kind, Vote

_PLANT_ROLES = frozenset({Role.UNIT_RUNNING, Role.ALARM})
_WORDS = {Kind.INLET_AIR: "inlet air", Kind.COOLING_AIR: "cooling air", Kind.PLANT: "plant"}


def whole_faults(
    document: Document, policy: Policy, devices: tuple[DeviceSettings, ...], profiles: Mapping[str, Known]
) -> list[Fault]:
    """Every way in which the site as a whole cannot work."""
    return [*_stale(document, policy, devices), *_evidence(document, policy, devices, profiles)]


def _stale(document: Document, policy: Policy, devices: tuple[DeviceSettings, ...]) -> Iterator[Fault]:
    for device in devices:
        if policy.stale_s < 2 * device.interval_s:
            text = (
                f"{duration_text(device.interval_s)} is too slow for judgement.stale, {duration_text(policy.stale_s)}: "
                "one lost poll would silence it; at most half"
            )
            yield document.fault(("devices", device.id, "every"), text)


def _evidence(
    document: Document, policy: Policy, devices: tuple[DeviceSettings, ...], profiles: Mapping[str, Known]
) -> Iterator[Fault]:
    needed = {zone: route.id for route in reversed(policy.routes) for zone in route.zones}
    judged = {*needed, *(zone for route in policy.routes for zone in route.backup_zones)}
    for zone in policy.zones:
        there = [device for device in devices if zone.id in {device.zone, *(front for _, front, _ in device.fronts)}]
        cast = _votes(there, profiles)
        if zone.id in needed and not quorum(policy, cast):
            text = f"can never reach the quorum that route {needed[zone.id]} needs: {_why(policy, there, cast)}"
            yield document.fault(("zones", zone.id), text, key=True)
        if zone.id in judged:
            yield from _inlets(document, zone, there, profiles)


def _inlets(
    document: Document, zone: ZonePolicy, there: list[DeviceSettings], profiles: Mapping[str, Known]
) -> Iterator[Fault]:
    roles = [_roles(device, profiles[device.profile]) for device in there]
    if None in roles:
        return
    inlets = sum((some or ()).count(Role.RACK_INLET_TEMP) for some in roles)
    if inlets < zone.min_inlets:
        text = f"its devices have {inlets} rack inlet sensors, min_inlets is {zone.min_inlets}: it would stay unknown"
        yield document.fault(("zones", zone.id), text, key=True)


def _votes(there: list[DeviceSettings], profiles: Mapping[str, Known]) -> tuple[Vote, ...]:
    """Let every device cast every kind of vote it can."""
    witnesses: dict[Kind, list[DeviceSettings]] = {kind: [] for kind in Kind}
    for device in there:
        for kind in _kinds(device, profiles[device.profile]):
            witnesses[kind].append(device)
    return tuple(
        Vote(kind, (), tuple(dict.fromkeys(d.path for d in some)), tuple(d.id for d in some), "")
        for kind, some in witnesses.items()
        if some
    )


def _kinds(device: DeviceSettings, profile: Known) -> list[Kind]:
    told = _roles(device, profile)
    if told is None:
        return list(Kind)
    roles = frozenset(told)
    plant = Role.ON_BATTERY in roles or ((device.serves or device.fronts) and roles & _PLANT_ROLES)
    can = {
        Kind.INLET_AIR: Role.RACK_INLET_TEMP in roles,
        Kind.COOLING_AIR: roles.intersection(COOLING_AIR),
        Kind.PLANT: plant,
    }
    return [kind for kind in Kind if can[kind]]


def _roles(device: DeviceSettings, profile: Known) -> tuple[Role, ...] | None:
    return None if profile.roles is None else (*profile.roles, *(role for _, role in device.roles))


def _why(policy: Policy, there: list[DeviceSettings], cast: tuple[Vote, ...]) -> str:
    if len(cast) < policy.quorum_kinds:
        seen = " and ".join(_WORDS[vote.kind] for vote in cast) or "nothing"
        return f"quorum_kinds is {policy.quorum_kinds}, its devices can show {seen} only"
    shared: dict[str, list[str]] = {}
    for device in there:
        shared.setdefault(device.path, []).append(device.id)
    if len(shared) < policy.quorum_paths:
        together = "; ".join(
            f"{', '.join(names)} share path {path}" for path, names in shared.items() if len(names) > 1
        )
        return f"quorum_paths is {policy.quorum_paths}, its devices have {len(shared)}" + (
            f" ({together})" if together else ""
        )
    return (
        f"{policy.quorum_kinds} kinds must come from as many devices over {policy.quorum_paths} paths, "
        "but one device or path would have to be counted twice"
    )
