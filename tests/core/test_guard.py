"""A policy that is looser takes force only when two people say so."""

import dataclasses
from dataclasses import fields, replace

import pytest
from room import Room, policy
from test_consent import approve, ask, ids

from envmon.core.guard import TABLES, Looser, loosened
from envmon.core.snapshot import dump, load
from envmon.model.event import Command, PolicyLoaded
from envmon.model.policy import Policy, UnitPolicy
from envmon.model.verdict import Mode

FACTOR = {Looser.MORE: 2, Looser.LESS: 0}
EVERY = [(kind, name, way) for kind, table in TABLES.items() for name, way in table.items()]


def offer(room: Room, new: Policy, digest: str = "new") -> list[str]:
    return ids(room.tell(PolicyLoaded(room.at, new, digest, "envmon (reload)")))


def service(celsius: float) -> Policy:
    base = policy()
    first = replace(base.zones[0], limits=replace(base.zones[0].limits, service=celsius))
    return replace(base, zones=(first, *base.zones[1:]))


def with_change(kind: type, change: dict[str, object]) -> Policy:
    """The policy of the tests with one field of one part changed."""
    base = policy()
    zone, route = base.zones[0], base.routes[0]
    changed = {
        "Policy": lambda: replace(base, **change),
        "ZonePolicy": lambda: replace(base, zones=(replace(zone, **change), *base.zones[1:])),
        "Limits": lambda: replace(base, zones=(replace(zone, limits=replace(zone.limits, **change)), *base.zones[1:])),
        "UnitPolicy": lambda: replace(
            base, zones=(replace(zone, units=(replace(zone.units[0], **change), *zone.units[1:])), *base.zones[1:])
        ),
        "RoutePolicy": lambda: replace(base, routes=(replace(route, **change), *base.routes[1:])),
    }
    return changed[kind.__name__]()


def test_every_field_of_a_policy_says_what_makes_it_looser():
    for kind, table in TABLES.items():
        assert table.keys() == {field.name for field in fields(kind)}, kind.__name__


@pytest.mark.parametrize(("kind", "name", "way"), [each for each in EVERY if each[2] in FACTOR], ids=str)
def test_each_number_is_looser_one_way_and_not_the_other(kind, name, way):
    base = policy()
    zone = base.zones[0]
    holder = {"Policy": base, "ZonePolicy": zone, "Limits": zone.limits, "UnitPolicy": zone.units[0]}
    before = getattr(holder.get(kind.__name__, base.routes[0]), name)
    changed = with_change(kind, {name: (before or 1) * FACTOR[way]})
    assert any(name in phrase for phrase in loosened(base, changed)), name
    assert loosened(changed, base) == (), name


ON_CALL, MOVED, BOSS = 'on_call {"url":"https://a"}', 'on_call {"url":"https://b"}', 'boss {"url":"https://b"}'
ANN, BOB = "operator ann", "approver bob"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({"pagers": (ON_CALL, BOSS)}, {"pagers": (BOSS,)}, ["pagers: on_call is gone or changed"]),
        ({"pagers": (ON_CALL,)}, {"pagers": (MOVED, BOSS)}, ["pagers: on_call is gone or changed"]),
        ({"pagers": (ON_CALL,)}, {"pagers": (BOSS, ON_CALL)}, []),
        ({"groups": (ANN,)}, {"groups": (ANN, BOB)}, ["groups: approver bob is new"]),
        ({"groups": (ANN, BOB)}, {"groups": (BOB,)}, []),
        ({"groups": (ANN, BOB)}, {"groups": ()}, ["groups: everybody is new"]),
        ({"groups": ()}, {"groups": (ANN, BOB)}, []),
        ({"groups": ()}, {"groups": ()}, []),
        ({"certified": ("authority a",)}, {"certified": ("authority b",)}, ["certified: authority b is new"]),
        ({"certified": ("authority a", ANN)}, {"certified": ("authority a",)}, []),
    ],
)  # fmt: skip
def test_whoever_is_paged_no_more_and_whoever_may_order_from_now_on_is_looser(before, after, says):
    assert list(loosened(replace(policy(), **before), replace(policy(), **after))) == says


SETS = (Looser.GONE, Looser.EITHER, Looser.PARTS, Looser.CLOSED)


@pytest.mark.parametrize(("kind", "name", "way"), [each for each in EVERY if each[2] in SETS], ids=str)
def test_of_each_set_what_goes_is_looser_and_what_comes_where_it_vouches_or_acts(kind, name, way):
    base = policy()
    zone, route = base.zones[0], base.routes[0]
    holder = {"Policy": base, "ZonePolicy": zone, "Limits": zone.limits, "UnitPolicy": zone.units[0]}
    before = getattr(holder.get(kind.__name__, route), name)
    if not isinstance(before, tuple):
        return  # one part, with a table of its own
    parts = {"zones": replace(zone, id="new"), "routes": replace(route, id="new")}
    ghost = UnitPolicy("new", 9_999.0)
    new = parts.get(name, "new") if kind is Policy else ghost if name in ("units", "plant") else "new"
    more = with_change(kind, {name: (*before, new)})
    comes = [phrase for phrase in loosened(base, more) if f"{name}: new" in phrase and phrase.endswith("is new")]
    assert bool(comes) is (way in (Looser.EITHER, Looser.CLOSED)), name
    assert loosened(base, more) == tuple(comes)
    (gone,) = loosened(more, base)
    assert gone.endswith(f"{name}: new is gone")
    again = with_change(kind, {name: tuple(reversed((*before, new)))})
    assert loosened(more, again) == (), "their order says nothing"


def test_cooling_that_nobody_saw_waits_for_two_people():
    room = Room().armed()
    zone = room.policy.zones[0]
    ghost = replace(zone, units=(*zone.units, UnitPolicy("ghost", 9_999.0)))
    assert offer(room, replace(room.policy, zones=(ghost, *room.policy.zones[1:]))) == ["G20"]
    assert room.world.proposal is not None
    assert room.world.proposal.looser == ("hall_a.units: ghost of 9999 kW is new",)
    assert room.world.policy == room.policy


def test_what_disappears_is_looser_and_what_is_watched_besides_is_not():
    base = policy()
    zone, route = base.zones[0], base.routes[0]
    for changed, says in (
        (replace(base, zones=base.zones[:1]), "zones: hall_b is gone"),
        (replace(base, routes=()), "routes: outbound is gone"),
        (replace(base, devices=base.devices[1:]), "devices: hall_a_crac_1 is gone"),
        (replace(base, zones=(replace(zone, units=zone.units[1:]), base.zones[1])), "hall_a.units: hall_a_crac_1 is"),
        (replace(base, routes=(replace(route, edges=("edge_1",)),)), "outbound.edges: edge_2 is gone"),
        (replace(base, routes=(replace(route, backup_zones=()),)), "outbound.backup_zones: hall_b is gone"),
        (replace(base, zones=(replace(zone, here=False), base.zones[1])), "hall_a.here True -> False"),
    ):
        (phrase,) = loosened(base, changed)
        assert phrase.startswith(says)
    more = replace(base, devices=(*base.devices, "new"), zones=(*base.zones, replace(zone, id="hall_c")))
    assert loosened(base, more) == ()


def test_a_looser_policy_waits_for_two_people():
    room = Room().armed()
    assert offer(room, service(45.0)) == ["G20"]
    assert room.policy == room.world.policy
    assert room.world.digest == "digest"
    room.run(1)
    assert "envmon/dallas/policy/looser" in room.world.raised
    assert ids(ask(room, Command.ACCEPT, "ann")) == ["P20"]
    (request,) = room.world.requests
    assert "hall_a.limits.service 40 -> 45" in "".join(room.world.requests[request].state)
    assert ids(approve(room, request, "bob")) == ["P34", "G30"]
    assert (room.world.policy, room.world.digest) == (service(45.0), "new")
    room.run(1)
    assert "envmon/dallas/policy/looser" not in room.world.raised
    assert ids(ask(room, Command.ACCEPT, "ann")) == ["G31"]


def test_what_two_people_accept_is_what_the_first_one_saw():
    room = Room().armed()
    offer(room, service(45.0))
    ask(room, Command.ACCEPT, "ann")
    (request,) = room.world.requests
    offer(room, service(60.0), "newer")
    (answer,) = approve(room, request, "bob")
    assert answer.rule == "P33"
    assert "service 40 -> 60" in answer.why
    assert room.world.policy == room.policy


def test_a_stricter_policy_takes_force_and_ends_the_proposal():
    room = Room().armed()
    offer(room, service(45.0))
    assert offer(room, service(38.0), "strict") == []
    assert (room.world.digest, room.world.proposal) == ("strict", None)


def test_a_restart_is_no_way_round():
    room = Room().armed()
    world = load(dump(room.world), room.at)
    assert world.policy == room.policy
    room.world = dataclasses.replace(world, lease=room.world.lease)
    assert offer(room, service(45.0)) == ["G20"]
    assert room.world.policy == room.policy


def test_in_observe_the_policy_is_being_written():
    room = Room().run(12)
    assert room.world.mode is Mode.OBSERVE
    assert offer(room, service(45.0)) == []
    assert room.world.digest == "new"
