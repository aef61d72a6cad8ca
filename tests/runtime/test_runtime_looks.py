"""Polls out of turn: asked for, bounded, and answered by any poll that begins later."""

from itertools import pairwise

from envmon.runtime.looks import LEAST_S, SHARE, Looks, gap_s


def test_the_gap_is_a_share_of_the_interval():
    assert gap_s(0.5) == LEAST_S
    assert gap_s(30.0) == 30.0 / SHARE


def test_a_quiet_device_is_looked_at_at_once_and_once():
    looks = Looks()
    looks.began("a", 0.0)
    looks.ask("a", 2.0, 10.0)
    looks.ask("a", 2.0, 10.1)
    assert looks.next_due(()) == 10.0
    assert looks.take(10.1, ()) == ["a"]
    looks.began("a", 10.1)
    assert looks.take(99.0, ()) == []
    assert looks.next_due(()) is None


def test_a_device_never_polled_is_looked_at_at_once():
    looks = Looks()
    looks.ask("a", 2.0, 10.0)
    assert looks.take(10.0, ()) == ["a"]


def test_a_device_that_was_just_polled_waits_for_its_gap():
    looks = Looks()
    looks.began("a", 10.0)
    looks.ask("a", 2.0, 10.5)
    assert looks.take(11.9, ()) == []
    assert looks.next_due(()) == 12.0
    assert looks.take(12.0, ()) == ["a"]


def test_a_poll_in_flight_does_not_answer_what_came_after_it_began():
    looks = Looks()
    looks.began("a", 10.0)
    looks.ask("a", 2.0, 10.5)
    assert looks.next_due({"a"}) is None
    assert looks.take(20.0, {"a"}) == []
    assert looks.take(20.0, ()) == ["a"]


def test_a_poll_of_its_own_slot_answers_it():
    looks = Looks()
    looks.began("a", 10.0)
    looks.ask("a", 2.0, 10.5)
    looks.began("a", 11.0)
    assert looks.take(99.0, ()) == []


def test_a_device_that_calls_without_end_is_looked_at_once_a_gap():
    looks = Looks()
    began = []
    for tenth in range(1000):
        now = tenth / 10
        looks.ask("a", 2.0, now)
        for device in looks.take(now, ()):
            looks.began(device, now)
            began.append(now)
    assert len(began) == 50
    assert all(later - earlier >= 2.0 for earlier, later in pairwise(began))
