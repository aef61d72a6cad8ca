"""The schedule: even slots, a fixed grid, nothing queued."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from envmon.runtime.slots import SLOTS, Schedule


@given(
    devices=st.integers(1, 90),
    interval=st.sampled_from([0.5, 1.0, 5.0, 7.0]),
    start=st.floats(0, 1e7),
)
def test_every_device_has_one_poll_an_interval_in_even_bursts(devices: int, interval: float, start: float) -> None:
    schedule = Schedule({f"d{n}": interval for n in range(devices)}, start)
    bursts: list[list[str]] = []
    polls: Counter[str] = Counter()
    while (due := schedule.next_due()) is not None and due <= start + 3 * interval:
        taken = schedule.take(due)
        assert all(missed == 0 for _, missed in taken)
        bursts.append([device for device, _ in taken])
        polls.update(bursts[-1])
    assert set(polls) == {f"d{n}" for n in range(devices)}
    assert all(2 <= count <= 4 for count in polls.values())
    assert max(map(len, bursts)) <= -(-devices // SLOTS) * 2  # float rounding may join two slots, never more
    assert len(bursts) <= SLOTS * 3 + 1


def test_what_passed_is_counted_once_and_not_caught_up() -> None:
    schedule = Schedule({"a": 1.0}, 0.0)
    due = schedule.next_due()
    assert due is not None
    assert schedule.take(due + 3.5) == [("a", 3)]
    assert schedule.take(due + 3.5) == []
    assert schedule.next_due() == due + 4.0


def test_a_changed_interval_takes_force_at_once_and_ends() -> None:
    schedule = Schedule({"a": 60.0, "b": 60.0}, 0.0)
    schedule.change("a", 2.0, 10.0)
    due = schedule.next_due()
    assert due is not None and 10.0 < due <= 12.0
    assert schedule.take(due) == [("a", 0)]
    schedule.change("a", 60.0, 13.0)
    assert [name for at in range(13, 75) for name, _ in schedule.take(float(at))].count("a") == 1
    assert schedule.interval("a") == 60.0


def test_no_devices_are_never_due() -> None:
    assert Schedule({}, 0.0).next_due() is None
