"""What a holder keeps under the lease in Debian's etcd: who can write it, who finds it, how old it is said to be."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from envmon.leases.contract import Kept, LeaseError, TakenError
from envmon.leases.etcd import LIMIT, EtcdLease
from tests.leases.etcd_cluster import NAMES, Cluster

pytestmark = pytest.mark.xdist_group("etcd-memory")  # its tests share one cluster

TTL_S = 4.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path_factory.mktemp("etcd")) as started:
        yield started


async def taken(lease: EtcdLease) -> int:
    for _ in range(400):
        try:
            return await lease.acquire(0)
        except LeaseError:
            await asyncio.sleep(0.1)
    return await lease.acquire(0)


async def delete_holder(cluster: Cluster, site: str) -> None:
    await cluster.ask("kv/deleterange", {"key": b64encode(f"/envmon/v1/{site}/holder".encode()).decode()})


async def test_who_has_lost_the_lease_cannot_write_even_while_it_believes_to_hold(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=TTL_S)
    async with EtcdLease(settings, "lost") as old, EtcdLease(settings, "lost") as new:
        epoch = await old.acquire(0)
        await old.keep(epoch, "the truth")
        await delete_holder(cluster, "lost")
        assert await old.held(), "it has not noticed yet"
        with pytest.raises(LeaseError, match="not ours any more"):
            await old.keep(epoch, "written after it was lost")
        assert await taken(new) == epoch + 1
        assert (new.kept.text, new.kept.epoch, new.former) == ("the truth", epoch, epoch)
        with pytest.raises(LeaseError, match="not ours"):
            await old.keep(epoch, "written after it was followed")
        await new.keep(epoch + 1, "the next truth")
        with pytest.raises(TakenError) as refused:
            await old.acquire(0)
        assert refused.value.holder in str(refused.value)
        assert (old.kept.text, old.kept.epoch) == ("the next truth", epoch + 1)


async def test_only_under_the_epoch_that_is_held(cluster: Cluster) -> None:
    async with EtcdLease(cluster.settings(ttl_s=TTL_S), "epochs") as lease:
        with pytest.raises(LeaseError, match="not ours under epoch 1"):
            await lease.keep(1, "before it was taken")
        assert [await lease.acquire(0), await lease.acquire(0)] == [1, 2]
        with pytest.raises(LeaseError, match="not ours under epoch 1"):
            await lease.keep(1, "what was decided under the epoch before")
        await lease.keep(2, "now")


async def test_a_holder_that_dies_before_it_kept_anything_leaves_the_memory_the_last_word(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=TTL_S)
    async with EtcdLease(settings, "chain") as first:
        await first.acquire(0)
        await first.keep(1, "the first one's")
    async with EtcdLease(settings, "chain") as second:
        assert await taken(second) == 2
    async with EtcdLease(settings, "chain") as third:
        assert await taken(third) == 3
        assert third.kept.text == "the first one's"
        assert third.kept.epoch == third.kept.latest == third.former == 2


async def test_a_memory_older_than_the_holder_before_is_never_called_its(cluster: Cluster) -> None:
    """Epoch 2 was held by an envmon that keeps nothing."""
    settings = cluster.settings(ttl_s=TTL_S)
    async with EtcdLease(settings, "older") as first:
        await first.acquire(0)
        await first.keep(1, "the first one's")
    await cluster.ask(
        "kv/put", {"key": b64encode(b"/envmon/v1/older/epoch").decode(), "value": b64encode(b"2").decode()}
    )
    for former in (2, 3):
        async with EtcdLease(settings, "older") as lease:
            await taken(lease)
            assert (lease.former, lease.kept.latest, lease.kept.epoch) == (former, former, 1)


async def test_a_large_memory_is_kept_and_one_too_large_is_refused(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=10.0)
    text = "é" * (LIMIT // 2)
    async with EtcdLease(settings, "large") as lease, EtcdLease(settings, "large") as other:
        epoch = await lease.acquire(0)
        await lease.keep(epoch, text)
        with pytest.raises(LeaseError, match=f"a memory of {LIMIT + 1} bytes is too much, {LIMIT} are allowed"):
            await lease.keep(epoch, text + "x")
        with pytest.raises(TakenError):
            await other.acquire(0)
        assert other.kept == Kept(text, epoch, epoch)


async def test_a_standby_that_looks_again_and_again_knows_how_old_a_memory_is(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=TTL_S)
    async with EtcdLease(settings, "age") as lease, EtcdLease(settings, "age") as standby:
        epoch = await lease.acquire(0)
        await lease.keep(epoch, "one")

        async def look() -> Kept:
            with pytest.raises(TakenError):
                await standby.acquire(0)
            return standby.kept

        assert (await look()).age_s is None, "it was there when we first looked"
        assert (await look()).age_s is None
        began = asyncio.get_running_loop().time()
        await look()
        await lease.keep(epoch, "two")
        await asyncio.sleep(0.3)
        seen = (await look()).age_s
        took = asyncio.get_running_loop().time() - began
        assert seen is not None and 0.3 <= seen <= took
        await asyncio.sleep(0.2)
        later = (await look()).age_s
        assert later is not None and later >= seen + 0.2, "it grows old"
        await asyncio.sleep(TTL_S + 0.1)
        await lease.keep(epoch, "three")
        assert (await look()).age_s is None, "we had not looked for long"


async def test_without_a_majority_nothing_is_kept_and_it_is_said_in_time(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster, EtcdLease(cluster.settings(ttl_s=TTL_S), "gone") as lease:
        epoch = await lease.acquire(0)
        for name in NAMES[:2]:
            cluster.freeze(name)
        try:
            began = asyncio.get_running_loop().time()
            with pytest.raises(LeaseError, match=r"etcd: .* has not answered within 0\.8 s"):
                await lease.keep(epoch, "unheard")
            assert asyncio.get_running_loop().time() - began < TTL_S
        finally:
            for name in NAMES[:2]:
                cluster.thaw(name)
