"""The course of a loss: the window a restart has, how it is earned, and what is for good."""

from dataclasses import replace

import pytest

from envmon.core.fresh import grouped
from envmon.core.loss import corroborate, follow, for_good, restart_expected
from envmon.core.world import SECOND, Judgement, Seen, ZoneState
from envmon.model.event import Stamp
from envmon.model.policy import UnitPolicy
from envmon.model.reading import Point, Reading, Role, UnitState
from tests.core.room import zone

ZONE = replace(
    zone("hall"),
    units=(UnitPolicy("crac", 60.0),),
    plant=(UnitPolicy("chiller", 60.0, restart_s=720.0),),
    restart_s=240.0,
)


class Loss:
    """A zone's loss, told second by second."""

    def __init__(self, shortfall: float = 1.0) -> None:
        self.state = ZoneState(judgement=Judgement(shortfall=shortfall))
        self.t = 1000

    @property
    def now(self) -> Stamp:
        return Stamp(self.t * SECOND, 0.0, "b")

    def run(
        self,
        seconds: int,
        *,
        losing: bool,
        shown: bool = False,
        starting: str = "",
        blind: bool = False,
        lost: tuple[str, ...] = (),
    ) -> "Loss":
        told: list[Seen] = []
        if starting:
            point = Point(starting, starting, starting, "p", "hall", starting, Role.UNIT_RUNNING, "")
            told.append(Seen(Reading(point, UnitState.STARTING.value), self.t * SECOND))
        for _ in range(seconds):
            self.t += 1
            self.state = follow(ZONE, self.state, grouped(told), self.now, losing=losing, lost=lost)
            self.state = corroborate(self.state, self.now, agreed=shown, sighted=not blind)
            if shown:
                self.state = replace(self.state, quorum_ns=self.now.mono_ns)
        return self

    @property
    def says(self) -> tuple[bool, bool]:
        return restart_expected(self.state, self.now), for_good(ZONE, self.state, self.now)


def test_a_restart_is_expected_until_the_room_has_shown_the_loss_for_a_window():
    loss = Loss().run(230, losing=True, shown=True)
    assert loss.says == (True, False)
    assert loss.run(20, losing=True, shown=True).says == (False, True)


def test_a_panel_that_says_so_alone_uses_up_no_window():
    loss = Loss().run(900, losing=True)
    assert loss.says == (True, False)
    assert loss.run(200, losing=True, shown=True).says == (True, False)


def test_a_starting_unit_has_its_own_restart_time_and_no_more():
    loss = Loss().run(600, losing=True, shown=True, starting="chiller")
    assert loss.says == (True, False)
    assert loss.run(130, losing=True, shown=True, starting="chiller").says == (False, True)
    gave_up = Loss().run(400, losing=True, shown=True, starting="chiller").run(2, losing=True, shown=True)
    assert gave_up.says == (False, True)


@pytest.mark.parametrize(("pause_s", "earned"), [(60, False), (300, True)])
def test_only_a_success_earns_the_next_window(pause_s, earned):
    loss = Loss().run(100, losing=True, shown=True).run(pause_s, losing=False).run(2, losing=True, shown=True)
    assert loss.says == (earned, False)


def test_a_window_that_ran_out_earns_none_until_a_success():
    loss = Loss().run(400, losing=True, shown=True).run(60, losing=False).run(2, losing=True)
    assert loss.says[0] is False
    loss.run(600, losing=False).run(2, losing=True)
    assert loss.says[0] is True


def test_a_small_shortfall_is_never_for_good():
    assert Loss(shortfall=0.2).run(900, losing=True, shown=True).says == (False, False)


def test_blindness_neither_shows_nor_breaks_what_was_shown():
    loss = Loss().run(100, losing=True, shown=True).run(200, losing=True, blind=True)
    assert loss.says == (False, True)
    broken = Loss().run(100, losing=True, shown=True).run(2, losing=True).run(200, losing=True, shown=True)
    assert broken.says[1] is False


def test_a_loss_that_no_quorum_showed_spends_no_window():
    loss = Loss().run(30, losing=True).run(10, losing=False).run(2, losing=True, shown=True)
    assert loss.says == (True, False)


@pytest.mark.parametrize(("heard", "over"), [("", False), ("crac", True)])
def test_silence_of_a_lost_unit_does_not_end_the_loss(heard, over):
    loss = Loss().run(30, losing=True, lost=("crac",)).run(30, losing=False, starting=heard)
    assert (loss.state.onset_ns is None) is over


def test_a_lost_unit_that_left_the_configuration_is_not_waited_for():
    loss = Loss().run(30, losing=True, lost=("gone",)).run(2, losing=False)
    assert loss.state.onset_ns is None
