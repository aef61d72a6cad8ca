"""The clocks: virtual seconds, stamps that never mix boots, beats that are not caught up."""

import time
from pathlib import Path

import pytest

from envmon.runtime.clock import Beat, ScaledClock, SystemClock, boot_id


async def test_scaled_clock_runs_its_speed_ahead() -> None:
    clock = ScaledClock(100.0, 1_000_000.0)
    real, virtual = time.monotonic(), clock.now()
    await clock.sleep(20.0)
    slept, passed = time.monotonic() - real, clock.now() - virtual
    assert 0.2 <= slept < 5.0
    assert passed >= 20.0
    assert passed == pytest.approx(slept * 100, rel=0.2)
    stamp = clock.stamp()
    assert stamp.wall - 1_000_000.0 == pytest.approx(stamp.mono_ns / 1e9, abs=1e-3)


def test_scaled_clock_refuses_to_stand_still() -> None:
    with pytest.raises(ValueError, match="forward"):
        ScaledClock(0.0, 0.0)


def test_system_stamps_name_this_boot_and_grow() -> None:
    clock = SystemClock()
    first, second = clock.stamp(), clock.stamp()
    assert second.mono_ns >= first.mono_ns
    assert first.boot_id == second.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert abs(first.wall - time.time()) < 5


def test_a_hidden_boot_id_never_matches_another_start(tmp_path: Path) -> None:
    first, second = boot_id(tmp_path / "none"), boot_id(tmp_path / "none")
    assert first.startswith("hidden-")
    assert first != second


async def test_beats_that_passed_are_one_beat() -> None:
    clock = ScaledClock(50.0, 0.0)
    beat = Beat(clock, 1.0)
    await beat.wait()
    start = clock.now()
    await clock.sleep(3.5)
    await beat.wait()
    await beat.wait()
    assert clock.now() - start >= 3.9  # one beat for the three that passed, at 3.5; then the grid again, at 4
