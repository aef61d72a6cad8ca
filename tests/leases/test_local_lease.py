"""The local lease: what happens to its files, happens to the lease."""

import os
import shutil
from pathlib import Path

import pytest

from envmon.leases.contract import LeaseError
from envmon.leases.local import LocalLease


async def test_the_epoch_is_stored_when_it_is_returned(tmp_path: Path) -> None:
    async with LocalLease(tmp_path) as lease:
        assert await lease.acquire(11) == 12
        assert (tmp_path / "lease.epoch").read_text().strip() == "12"


async def test_the_epoch_is_synced_file_first_then_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        fsync(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, (tmp_path / "lease.epoch").exists()))

    monkeypatch.setattr(os, "fsync", watch)
    async with LocalLease(tmp_path) as lease:
        await lease.acquire(0)
    assert synced[:2] == [("lease.epoch.new", False), (tmp_path.name, True)]


async def test_the_space_for_the_next_epoch_is_on_disk_already(tmp_path: Path) -> None:
    async with LocalLease(tmp_path) as lease:
        await lease.acquire(0)
        inode = (tmp_path / "lease.epoch.new").stat().st_ino
        await lease.acquire(2**31 - 20)
        assert (tmp_path / "lease.epoch").stat().st_ino == inode, "written in place, then renamed"
        assert (tmp_path / "lease.epoch").stat().st_size == (tmp_path / "lease.epoch.new").stat().st_size == 11


async def test_a_removed_lock_file_loses_the_lease(tmp_path: Path) -> None:
    async with LocalLease(tmp_path) as lease:
        epoch = await lease.acquire(0)
        (tmp_path / "lease.lock").unlink()
        assert not await lease.held()
        async with LocalLease(tmp_path) as other:
            assert await other.acquire(0) == epoch + 1
            assert not await lease.held()
            with pytest.raises(LeaseError, match="held by process"):
                await lease.acquire(0)
        assert await lease.acquire(0) == epoch + 2


async def test_a_directory_restored_from_a_backup_loses_the_lease(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.mkdir()
    async with LocalLease(place) as lease:
        await lease.acquire(0)
        shutil.copytree(place, tmp_path / "backup")
        place.rename(tmp_path / "old")
        assert not await lease.held()
        (tmp_path / "backup").rename(place)
        assert not await lease.held()
        shutil.rmtree(place)
        with pytest.raises(LeaseError, match=r"lease\.lock cannot be opened: No such file or directory"):
            await lease.acquire(0)


@pytest.mark.parametrize("text", ["", "12x", "-4", "99999999999", "\x00\x00\x00", "\xe9"])
async def test_an_unreadable_epoch_is_never_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "lease.epoch").write_text(text, encoding="latin-1")
    async with LocalLease(tmp_path) as lease:
        with pytest.raises(LeaseError, match="not an epoch; write the greatest epoch any edge shows"):
            await lease.acquire(5)
        assert not await lease.held()
    assert (tmp_path / "lease.epoch").read_text(encoding="latin-1") == text


async def test_a_lost_epoch_file_goes_on_above_the_edges(tmp_path: Path) -> None:
    async with LocalLease(tmp_path) as lease:
        await lease.acquire(0)
        (tmp_path / "lease.epoch").unlink()
        assert await lease.acquire(500) == 501


async def test_a_disk_that_refuses_is_an_error_and_no_lease(tmp_path: Path) -> None:
    (tmp_path / "lease.epoch.new").mkdir()
    async with LocalLease(tmp_path) as lease:
        with pytest.raises(LeaseError, match=r"lease\.epoch cannot be written: Is a directory"):
            await lease.acquire(0)
        assert not await lease.held()
        (tmp_path / "lease.epoch.new").rmdir()
        assert await lease.acquire(0) == 1
