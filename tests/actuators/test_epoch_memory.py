"""Epochs on a disk that takes its time: the loop goes on, and an older epoch never lands on a newer one."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envmon.actuators import ACTUATORS
from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.epoch_file import Epochs, load, store
from envmon.actuators.epoch_memory import EpochMemory
from envmon.actuators.told import Voice
from envmon.config.edge_settings import EdgeSettings
from tests.actuators.levers import Carrier, Dispatcher
from tests.telephony.rig import until


class Disk:
    """Its syncs wait while it is slow; who touched it is noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ready = threading.Event()
        self.ready.set()
        self.syncs: list[bool] = []  # whether on the loop's thread
        self.reads: list[bool] = []
        self._fsync, read = os.fsync, Path.read_text

        def noted(path: Path, *args: Any, **more: Any) -> str:
            self.reads.append(threading.current_thread() is threading.main_thread())
            return read(path, *args, **more)

        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(Path, "read_text", noted)

    def fsync(self, file: int) -> None:
        here = threading.current_thread() is threading.main_thread()
        self.syncs.append(here)
        assert here or self.ready.wait(30.0)
        self._fsync(file)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(monkeypatch)
    yield made
    made.ready.set()


@pytest.fixture
def memory(tmp_path: Path) -> EpochMemory:
    return EpochMemory(tmp_path / "epochs", Voice("edge0", "here"))


async def worked(settings: EdgeSettings) -> None:
    async with ACTUATORS[settings.kind](settings) as edge:
        await edge.stamp(3)
        await edge.set_percent("outbound", 100, 4)
        with pytest.raises(Fenced):
            await edge.set_percent("outbound", 0, 3)
        assert (await edge.status())[0].fence == 4


async def test_a_carriers_epochs_and_token_are_never_waited_for_on_the_loop(tmp_path: Path, disk: Disk) -> None:
    async with Carrier(tmp_path, "percent-api") as api:
        settings = api.settings(deadline_s=15.0)
        disk.reads.clear()
        await worked(settings)
    assert disk.syncs and disk.reads and not any(disk.syncs + disk.reads)


async def test_a_dispatchers_neither(tmp_path: Path, disk: Disk) -> None:
    async with Dispatcher(tmp_path / "proxy") as proxy:
        settings = proxy.settings(deadline_s=15.0)
        disk.reads.clear()
        await worked(settings)
    assert disk.syncs and disk.reads and not any(disk.syncs + disk.reads)


async def test_a_change_that_was_given_up_ends_before_the_next_begins(memory: EpochMemory, disk: Disk) -> None:
    disk.ready.clear()
    given_up = [asyncio.ensure_future(memory.admit(epoch, {"out": (epoch, 0)})) for epoch in (5, 6)]
    await until(lambda: len(disk.syncs) == 1, 15.0, "the first change waits for the disk")
    for each in given_up:
        each.cancel()
    assert [type(told) for told in await asyncio.gather(*given_up, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 2
    newer = asyncio.ensure_future(memory.admit(9, {"in": (9, 0)}))
    assert (await memory.read()).fence == 0, "nothing is taken for stored that is not"
    assert len(disk.syncs) == 1 and not newer.done(), "one change at a time"
    disk.ready.set()
    await newer
    assert await memory.read() == Epochs(9, {"out": (5, 0), "in": (9, 0)})
    with pytest.raises(Fenced, match="epoch 9") as refusal:
        await memory.admit(5)
    assert refusal.value.fence == 9


async def test_what_is_stored_is_not_written_again(memory: EpochMemory, disk: Disk) -> None:
    await memory.admit(4, {"out": (4, 1)})
    written = len(disk.syncs)
    await memory.admit(4, {"out": (4, 1)})
    await memory.admit(4)
    assert len(disk.syncs) == written
    await memory.admit(4, {"out": (4, 2)})
    assert (await memory.read()).routes == {"out": (4, 2)}


async def test_a_disk_that_refuses_is_one_sentence_and_the_next_change_is_tried(tmp_path: Path) -> None:
    memory = EpochMemory(tmp_path / "gone" / "epochs", Voice("edge0", "here"))
    for _ in range(2):
        with pytest.raises(
            EdgeError, match=r"^edge edge0 at here: .* cannot be written: No such file .*check the disk"
        ):
            await memory.admit(1)
    (tmp_path / "gone").mkdir()
    await memory.admit(1)
    assert load(tmp_path / "gone" / "epochs") == Epochs(1)
    store(tmp_path / "gone" / "epochs", Epochs(2))
    with pytest.raises(Fenced):
        await memory.admit(1)
