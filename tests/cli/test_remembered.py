"""Who decides and who is told when a daemon starts with a configuration that nobody has accepted."""

from dataclasses import replace
from pathlib import Path

import pytest

from envmon.cli.remembered import guarded
from envmon.config import load
from envmon.config.compile_people import certified, groups, reached
from envmon.config.settings import Certified, OrdersSettings, PagerSettings, PeopleSettings, Settings
from envmon.core.world import NEVER, World
from envmon.model.event import Access
from envmon.model.verdict import Mode
from envmon.profiles.loader import load_builtin

EXAMPLE = Path(__file__).parents[2] / "config" / "envmon.example.yaml"
ANN = Certified("cn:Ann", "ann", Access.OPERATOR)
DOOR = OrdersSettings("127.0.0.1", 9714, Path("/c"), Path("/k"), Path("/ca"), (ANN,))


def having(settings: Settings, **changed: object) -> Settings:
    """Settings with these changes, and the policy they compile to."""
    new = replace(settings, **changed)
    policy = replace(new.policy, pagers=reached(new.pagers), groups=groups(new.people), certified=certified(new.orders))
    return replace(new, policy=policy)


@pytest.fixture(scope="module")
def settings() -> Settings:
    people = PeopleSettings(("noc",), ("leads",))
    return having(load(EXAMPLE, profiles=load_builtin()), people=people, orders=DOOR)


def start(old: Settings, new: Settings, mode: Mode = Mode.HELD) -> Settings:
    return guarded(new, World(policy=old.policy, mode=mode), NEVER)


def test_what_is_not_looser_starts_as_it_is(settings: Settings) -> None:
    more = having(settings, pagers=(*settings.pagers, PagerSettings("boss", "webhook", "noc", "http://localhost/")))
    for new in (settings, more, having(settings, orders=None)):
        assert start(settings, new) is new
    assert guarded(settings, World(), NEVER) is settings, "nothing is remembered"


def test_pagers_groups_and_the_door_stay_as_they_were_until_two_accept(settings: Settings) -> None:
    mine = (PagerSettings("mine", "command", "noc", "", argv=("/bin/true",)),)
    evil = replace(DOOR, people=(ANN, Certified("cn:Eve", "eve", Access.APPROVER)))
    new = having(settings, pagers=mine, people=PeopleSettings((), ("eve",)), orders=evil)
    kept = start(settings, new)
    assert (kept.pagers, kept.people, kept.orders) == (settings.pagers, settings.people, None)
    assert kept.devices == new.devices
    assert start(settings, new, Mode.OBSERVE) is new, "in observe an engineer is still writing it"
    own_authority = having(settings, orders=replace(DOOR, client_ca=Path("/mine")))
    assert start(settings, own_authority).orders is None
    assert start(settings, having(settings, pagers=mine)).orders == DOOR


def test_whoever_gives_orders_by_a_file_without_groups_is_nobody_new(settings: Settings) -> None:
    everybody = having(settings, people=PeopleSettings())
    assert start(settings, everybody).people == settings.people
    narrower = having(settings, pagers=())
    assert start(everybody, narrower).people == narrower.people
