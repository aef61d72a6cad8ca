"""How long the mind may pause: until then a tick changes nothing but the time.

Rules
  - It pauses only after a tick that decided and wanted nothing; news ends the pause at once (``news``).
  - Every comparison of an age with a bar that concerns a route or the site has its moment here; those of a zone are in
    ``rest``. While calls are being moved there is no pause.
"""

from collections.abc import Iterator

from envmon.core.modes import STAMP_EVERY_S
from envmon.core.news import MOVING
from envmon.core.pages import SILENT_PAGE_S
from envmon.core.readiness import CALL_S
from envmon.core.rest import first
from envmon.core.route_facts import GRACE_DOUBLINGS, GRACE_S
from envmon.core.sky import Sky
from envmon.core.storm import AHEAD_S, ANSWERS, BLIND_STANDS_S, HOLD_S, PROBE_S, UNKNOWN_PAGE_S
from envmon.core.world import RouteState, World
from envmon.model.policy import Policy, RoutePolicy

Moments = Iterator[tuple[int | None, float]]


def pause_until_ns(world: World, policy: Policy) -> int:
    """The next moment that has to be looked at without news; 0 for the next second."""
    if any(state.position in MOVING for state in world.routes.values()):
        return 0
    now_ns = world.now.mono_ns
    next_ns = min((world.zones[zone.id].rest_until_ns for zone in policy.zones), default=0)
    for route in policy.routes:
        next_ns = first(_route(world, policy, route, world.routes[route.id]), now_ns, next_ns)
    return first(_site(world, policy), now_ns, next_ns)


def _route(world: World, policy: Policy, route: RoutePolicy, state: RouteState) -> Moments:
    yield from ((view.at_ns, policy.edge_stands_s) for view in state.edges.values())
    yield from ((view.at_ns, policy.probe_stands_s) for view in state.probes.values())
    yield from ((view.at_ns, route.proof_stands_s) for view in state.reports.values())
    yield from ((world.zones[zone].good_since_ns, route.soak_s) for zone in route.zones)
    yield state.asserted_ns, GRACE_S * 2 ** min(state.asserts, GRACE_DOUBLINGS)
    yield state.act_ns, CALL_S
    yield state.rolled_back_ns, route.dwell_s
    yield state.command_ns, route.max_call_s


def _site(world: World, policy: Policy) -> Moments:
    yield from ((since_ns, SILENT_PAGE_S) for since_ns in world.silent_ns.values())
    yield from ((each.until_ns, 0.0) for each in (*world.requests.values(), *world.notices.values()))
    yield from ((each.until_ns, 0.0) for each in (*world.aside.maintenance.values(), *world.aside.shelved.values()))
    yield world.lease.stamped_ns, STAMP_EVERY_S
    yield from _sky(world.sky, policy)


def _sky(sky: Sky, policy: Policy) -> Moments:
    yield sky.asked_ns, PROBE_S
    yield sky.reason_ns, HOLD_S
    yield sky.since_ns, UNKNOWN_PAGE_S
    for feed in policy.feeds:
        view = sky.feeds[feed.id]
        yield view.answered_ns, ANSWERS * feed.every_s
        for each in view.standing:
            yield each.onset_ns, -AHEAD_S
            yield each.until_ns, 0.0
            yield each.until_ns, BLIND_STANDS_S
