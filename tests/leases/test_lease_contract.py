"""What every lease must do, whatever keeps it. A new kind joins by one more entry in ``KINDS``."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

import envmon
from envmon.config.settings import LeaseMember, LeaseSettings
from envmon.leases import LEASES
from envmon.leases.contract import Kept, Lease, LeaseError
from envmon.leases.etcd import EtcdLease
from envmon.leases.local import LocalLease
from tests.leases.etcd_cluster import Cluster

pytestmark = pytest.mark.xdist_group("leases")  # its tests share one cluster

TTL_S = 4.0
PAUSE_S = 0.05


def etcd(place: Path) -> Lease:
    members = json.loads((place / "members").read_text())
    return EtcdLease(LeaseSettings("etcd", tuple(LeaseMember(*each) for each in members), TTL_S), place.name)


KINDS: dict[str, Callable[[Path], Lease]] = {"local": LocalLease, "etcd": etcd}
CHILD_ENV = {**os.environ, "PYTHONPATH": f"{Path(envmon.__file__).parents[1]}:{Path(__file__).parent}"}

HOLDER = """
import asyncio
import sys
from pathlib import Path
from test_lease_contract import KINDS

async def hold():
    async with KINDS[sys.argv[1]](Path(sys.argv[2])) as lease:
        while True:
            print(await lease.acquire(0), flush=True)
            if sys.argv[3] == "once":
                await asyncio.sleep(60)

asyncio.run(hold())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path_factory.mktemp("etcd")) as started:
        yield started


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path: Path, cluster: Cluster) -> str:
    members = [(member.id, member.url, member.zone) for member in cluster.settings().members]
    (tmp_path / "members").write_text(json.dumps(members))
    return str(request.param)


async def taken(lease: Lease, above: int, seconds: float) -> int:
    """Take a lease that becomes free within ``seconds``."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await lease.acquire(above)
        except LeaseError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(PAUSE_S)


def start_holder(kind: str, place: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, kind, str(place), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=CHILD_ENV)


def test_every_kind_of_the_product_is_tested() -> None:
    assert set(KINDS) == set(LEASES)


async def test_an_epoch_only_with_the_lease(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind](tmp_path) as lease:
        assert not await lease.held()
        assert await lease.acquire(0) == 1
        assert await lease.held()
    assert not await lease.held()


async def test_the_epoch_grows_over_holders_and_over_what_the_edges_show(kind: str, tmp_path: Path) -> None:
    epochs = []
    for above in (0, 0, 41, 7, 42, 43):
        async with KINDS[kind](tmp_path) as lease:
            epochs.append(await lease.acquire(above))
    assert epochs == [1, 2, 42, 43, 44, 45]


async def test_a_holder_that_asks_again_gets_a_new_epoch(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind](tmp_path) as lease:
        assert [await lease.acquire(0), await lease.acquire(9), await lease.acquire(0)] == [1, 10, 11]
        assert await lease.held()


async def test_a_second_holder_is_told_who_holds_it(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind](tmp_path) as first:
        assert await first.acquire(5) == 6
        async with KINDS[kind](tmp_path) as second:
            with pytest.raises(LeaseError, match=rf"held by (\S+, )?process {os.getpid()}$"):
                await second.acquire(100)
            assert not await second.held()
        assert await first.held()
    async with KINDS[kind](tmp_path) as third:
        assert await third.acquire(0) == 7, "a refused one uses up no epoch"


@pytest.mark.parametrize("above", [2**31 - 1, 2**31, 2**40])
async def test_epochs_stay_below_two_to_the_31(kind: str, tmp_path: Path, above: int) -> None:
    async with KINDS[kind](tmp_path) as lease:
        with pytest.raises(LeaseError, match="no epoch is left above"):
            await lease.acquire(above)
        assert not await lease.held()
        assert await lease.acquire(2**31 - 2) == 2**31 - 1


async def test_kill_9_frees_the_lease_and_no_epoch_comes_twice(kind: str, tmp_path: Path) -> None:
    given: list[int] = []
    for _ in range(4 if kind == "local" else 2):
        with start_holder(kind, tmp_path, "again and again") as holder:
            assert holder.stdout is not None
            given += [int(holder.stdout.readline()) for _ in range(3)]
            holder.kill()
            given += [int(line) for line in holder.stdout if line.endswith("\n")]
        async with KINDS[kind](tmp_path) as lease:
            given.append(await taken(lease, 0, 40.0))
    assert given == sorted(set(given)), "grows, never repeats"


async def test_a_frozen_holder_of_a_local_lease_keeps_it(tmp_path: Path) -> None:
    """Without a standby nobody else may act: a lease that runs out would only lose the right."""
    with start_holder("local", tmp_path, "once") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        try:
            async with LocalLease(tmp_path) as lease:
                with pytest.raises(LeaseError, match=f"held by process {holder.pid}$"):
                    await lease.acquire(0)
        finally:
            holder.kill()


async def test_what_is_kept_is_found_by_whoever_follows_and_by_who_is_refused(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind](tmp_path) as first:
        epoch = await first.acquire(0)
        await first.keep(epoch, "what was decided")
        left = Kept("what was decided", epoch, epoch) if first.ttl_s else Kept()
        async with KINDS[kind](tmp_path) as second:
            assert second.kept == Kept()
            with pytest.raises(LeaseError):
                await second.acquire(0)
            assert second.kept == left
        await first.keep(epoch, "more was decided")
    async with KINDS[kind](tmp_path) as third:
        await third.acquire(0)
        assert third.kept == replace(left, text="more was decided" if third.ttl_s else "")
