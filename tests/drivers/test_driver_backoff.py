"""The delays between tries of a dead device."""

import pytest
from driver_rig import Clock

from envmon.drivers.backoff import Backoff
from envmon.drivers.contract import DeviceError
from envmon.model.reading import Reason

DEAD = DeviceError(Reason.TIMEOUT, "no answer")


def delays(backoff: Backoff, clock: Clock, count: int) -> list[float]:
    found = []
    for _ in range(count):
        backoff.failed(DEAD)
        began = clock.now
        while True:
            try:
                backoff.check()
            except DeviceError:
                clock.now += 0.25
            else:
                break
        found.append(clock.now - began)
    return found


def test_delays_double_up_to_the_longest():
    clock = Clock()
    assert delays(Backoff(clock, lambda: 1.0), clock, 7) == [1, 2, 4, 8, 15, 15, 15]


def test_chance_takes_off_up_to_half():
    clock = Clock()
    assert delays(Backoff(clock, lambda: 0.0), clock, 4) == [0.5, 1, 2, 4]


def test_a_device_dead_for_years_does_not_overflow():
    clock = Clock()
    backoff = Backoff(clock, lambda: 1.0)
    for _ in range(100_000):
        backoff.failed(DEAD)
    clock.now += 15.1
    backoff.check()
    assert clock.now > 0


def test_the_error_says_why_and_when():
    clock = Clock()
    backoff = Backoff(clock, lambda: 1.0)
    backoff.failed(DEAD)
    with pytest.raises(DeviceError, match=r"^no answer; next try in 1\.0 s$") as caught:
        backoff.check()
    assert caught.value.reason is Reason.TIMEOUT


def test_success_starts_afresh():
    clock = Clock()
    backoff = Backoff(clock, lambda: 1.0)
    assert delays(backoff, clock, 3) == [1, 2, 4]
    backoff.succeeded()
    assert delays(backoff, clock, 2) == [1, 2]
