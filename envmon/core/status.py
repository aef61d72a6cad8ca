"""The world in plain values: what the status page, MQTT, the metrics and ``envmon status`` show."""

from typing import Any

from envmon.core import clock
from envmon.core.aside import Aside
from envmon.core.consent import waiting
from envmon.core.heir import as_heir, lacking_of
from envmon.core.heir_rules import HEIR_RULES
from envmon.core.judge import say_limit
from envmon.core.memory import standing_by
from envmon.core.mode_rules import MODE_RULES
from envmon.core.pages import wanted
from envmon.core.proof import calls_left, proof
from envmon.core.readiness import reachable, readiness, ready
from envmon.core.route_facts import edges, power_may_go, threat
from envmon.core.route_rules import ROUTE_RULES
from envmon.core.route_words import Proven
from envmon.core.storm import known, near, power, reasons
from envmon.core.world import SECOND, RouteState, World, ZoneState
from envmon.model.policy import Policy, RoutePolicy
from envmon.model.verdict import Mode, Position

SENTENCES = {row.id: row.sentence for rows in (ROUTE_RULES, MODE_RULES, HEIR_RULES) for row in rows}


def status(world: World) -> dict[str, Any]:
    """The whole status; numbers keep their unit in their name, None means not known.

    A standby shows mode, routes and orders as it would take them over.
    """
    standby = _standby(world)
    world = as_heir(world)
    policy = world.policy
    if policy is None:
        return {"site": "", "mode": world.mode.value, "time": world.now.wall, "zones": {}, "routes": {}, "devices": {}}
    return {
        "site": policy.site,
        "time": world.now.wall,
        "mode": world.mode.value,
        "mode_why": " ".join(filter(None, (SENTENCES.get(world.mode_rule, ""), world.mode_why))),
        "hold": _hold(world),
        "policy": world.digest,
        "looser_policy": list(world.proposal.looser) if world.proposal else [],
        "armed": _armed(world, policy),
        "lease": {"held": world.lease.held, "epoch": world.lease.epoch, "detail": world.lease.detail},
        "standby": standby,
        "zones": {zone.id: _zone(world.zones[zone.id], here=zone.here) for zone in policy.zones},
        "routes": {route.id: _route(world, policy, route) for route in policy.routes},
        "devices": {name: {"up": error == "", "error": error} for name, error in world.devices.items()},
        "requests": waiting(world),
        "pages": dict(world.raised),
        "storm": _storm(world, policy),
        "maintenance": {name: _aside(world, each) for name, each in world.aside.maintenance.items()},
        "shelved": _shelved(world, policy),
    }


def _standby(world: World) -> dict[str, Any] | None:
    """Whom this one stands by for, and whether it could go on for them; None while it does not stand by."""
    if world.policy is None or not standing_by(world):
        return None
    lacking = lacking_of(world, world.policy)
    return {"for": world.lease.holder, "inherits": not lacking, "why": lacking or "all that was decided is known here"}


def _hold(world: World) -> dict[str, Any] | None:
    """The hold by order, with its end; None while nothing is held, or held by rule without an end."""
    hold = world.hold
    if hold is None or not hold.until_ns:
        return None
    left_s = max(0, (hold.until_ns - world.now.mono_ns) // SECOND)
    return {"who": hold.who, "reason": hold.reason, "until": hold.until, "left_s": left_s}


def _aside(world: World, each: Aside) -> dict[str, Any]:
    left_s = max(0, (each.until_ns - world.now.mono_ns) // SECOND)
    return {"who": each.who, "reason": each.reason, "until": each.until, "left_s": left_s}


def _shelved(world: World, policy: Policy) -> dict[str, Any]:
    """Shelved pages, each with what it would say now, "" when its condition is gone."""
    says = {page.key: page.summary for page in wanted(world, policy)} if world.aside.shelved else {}
    return {key: {**_aside(world, each), "says": says.get(key, "")} for key, each in world.aside.shelved.items()}


def _storm(world: World, policy: Policy) -> dict[str, Any]:
    """The posture, what it rests on, and how each weather service does."""
    sky = world.sky
    return {
        "posture": sky.posture.value,
        "why": "; ".join(reasons(sky, policy, world.now, power(world, policy))),
        "warnings": [
            {
                "event": each.warning.event,
                "severity": each.warning.severity,
                "until": each.warning.until,
                "headline": each.warning.headline,
            }
            for each in near(sky, policy, world.now)
        ],
        "feeds": {
            feed.id: {
                "known": known(feed, sky.feeds[feed.id], world.now),
                "error": sky.feeds[feed.id].error,
                "warnings": len(sky.feeds[feed.id].standing),
            }
            for feed in policy.feeds
        },
    }


def _armed(world: World, policy: Policy) -> dict[str, Any]:
    """Can envmon act now, and if not, why."""
    if world.mode is not Mode.AUTOMATIC:
        return {"now": False, "why": f"the mode is {world.mode}"}
    if not policy.routes:
        return {"now": False, "why": "no route is configured"}
    for route in policy.routes:
        if not world.lease.held:
            return {"now": False, "why": f"the lease is not held: {world.lease.detail}"}
        items = readiness(world, policy, route)
        failing = [f"{item.name}: {item.why}" for item in items if item.wanting]
        if failing:
            return {"now": False, "why": f"{route.id}: {'; '.join(failing)}"}
        if world.routes[route.id].latched:
            return {"now": False, "why": f"{route.id}: the one automatic failover of this episode is spent"}
    return {"now": True, "why": "automatic, ready, lease held"}


def _zone(state: ZoneState, *, here: bool) -> dict[str, Any]:
    judgement = state.judgement
    limit = judgement.time_to_limit
    return {
        "here": here,
        "verdict": judgement.verdict.value,
        "basis": judgement.basis.value,
        "phase": state.phase.value,
        "temperature_c": judgement.temperature,
        "worst_c": judgement.worst,
        "time_to_limit": {
            "sight": limit.sight.value,
            "lower_s": limit.lower,
            "median_s": limit.median,
            "says": say_limit(limit),
        },
        "power": {"left_s": judgement.power_left_s, "says": judgement.power_says},
        "margin_kw": judgement.margin_kw,
        "n_plus": judgement.spare_units,
        "lost_units": list(judgement.lost_units),
        "no_vote": {name: doubt.why for name, doubt in state.doubts.items()},
        "evidence": [
            {"kind": vote.kind.value, "says": vote.says, "points": list(vote.points)} for vote in judgement.votes
        ],
        "quorum": judgement.quorum,
        "why": judgement.why,
    }


def _proof(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Proven:
    """What is being proven, or that it was."""
    arrived = {Position.BACKUP: "T20", Position.PRIMARY: "T40"}.get(state.position)
    return Proven.PROVEN if arrived in state.announced else proof(world, policy, route, state)


def _route(world: World, policy: Policy, route: RoutePolicy) -> dict[str, Any]:
    state = world.routes[route.id]
    items = readiness(world, policy, route)
    alive = reachable(world, policy, route)
    shown = {edge: view.status.percent for edge in alive if (view := state.edges[edge]).status is not None}
    return {
        "position": state.position.value,
        "commanded": state.commanded,
        "percent": shown[alive[0]] if len(set(shown.values())) == 1 else None,
        "edges": {edge: shown.get(edge) for edge in route.edges},
        "edges_say": edges(world, policy, route, state).value,
        "proof": _proof(world, policy, route, state).value,
        "threat": threat(world, policy, route).value,
        "power_may_go": power_may_go(world, policy, route),
        "calls_left": calls_left(world, policy, route, state),
        "episode": state.episode,
        "latched": state.latched,
        "drills": [
            {"time": each.wall, "verify_s": round(each.verify_s, 1), "drain_s": each.drain_s}
            for each in state.measured
            if each.drill
        ],
        "ready": ready(world, items, state.act_ns).value,
        "readiness": {item.name: {"pass": item.passed, "why": item.why, "waived": item.waived} for item in items},
        "time_to_evacuate_s": clock.evacuate_s(route, state),
        "why": SENTENCES.get(state.standing, ""),
    }
