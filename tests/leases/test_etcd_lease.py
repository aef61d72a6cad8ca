"""The etcd lease against Debian's etcd: killed and frozen holders, frozen leaders, dead clusters, wrong credentials."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from envmon.config.secret import Secret
from envmon.config.settings import LeaseMember, LeaseSettings
from envmon.leases.contract import LeaseError
from envmon.leases.etcd import EtcdLease
from tests.leases.etcd_cluster import NAMES, Cluster
from tests.ports import free_port

pytestmark = pytest.mark.xdist_group("etcd")  # its tests share one cluster

SLACK_S = 3.0  # on a busy machine
ROOT = Path(__file__).parents[2]
HOLDER = """
import asyncio, sys, time
from envmon.config.settings import LeaseMember, LeaseSettings
from envmon.leases.etcd import EtcdLease

async def hold():
    members = tuple(LeaseMember(url, url, "elsewhere") for url in sys.argv[3:])
    async with EtcdLease(LeaseSettings("etcd", members, float(sys.argv[2])), sys.argv[1]) as lease:
        print(await lease.acquire(0), flush=True)
        while True:
            held = await lease.held()
            print(int(held), time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
            await asyncio.sleep(0.01)

asyncio.run(hold())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """For tests that leave it as they found it."""
    async with Cluster(tmp_path_factory.mktemp("etcd")) as started:
        yield started


@pytest.fixture
async def own_cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """For tests that break it."""
    async with Cluster(tmp_path) as started:
        yield started


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@asynccontextmanager
async def holder(settings: LeaseSettings, site: str) -> AsyncIterator[subprocess.Popen[str]]:
    """Another process that holds the lease, and says every 10 ms whether it believes so."""
    urls = [member.url for member in settings.members]
    process = subprocess.Popen(  # noqa: ASYNC220 - it forks in a millisecond
        [sys.executable, "-c", HOLDER, site, str(settings.ttl_s), *urls],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


async def taken(lease: EtcdLease, seconds: float) -> int:
    deadline = now() + seconds
    while True:
        try:
            return await lease.acquire(0)
        except LeaseError:
            if now() > deadline:
                raise
            await asyncio.sleep(0.02)


async def until_held(lease: EtcdLease, wanted: bool, seconds: float) -> None:
    deadline = now() + seconds
    while await lease.held() is not wanted:
        assert now() < deadline, f"held is not {wanted} after {seconds} s"
        await asyncio.sleep(0.01)


async def test_kill_9_of_the_holder_hands_over_within_two_ttl(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=4.0)
    async with holder(settings, "kill9") as process, EtcdLease(settings, "kill9") as standby:
        epoch = int(await line(process))
        with pytest.raises(LeaseError, match=f"held by .*process {process.pid}$"):
            await standby.acquire(0)
        killed = now()
        process.kill()
        assert await taken(standby, 40.0) == epoch + 1
        assert standby.former == epoch
        assert now() - killed <= 2 * settings.ttl_s + SLACK_S


async def test_a_frozen_holder_knows_at_once_when_it_is_thawed(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=3.0)
    async with holder(settings, "frozen") as process, EtcdLease(settings, "frozen") as standby:
        epoch = int(await line(process))
        while (await line(process)).startswith("0"):
            raise AssertionError("the holder does not hold")
        process.send_signal(signal.SIGSTOP)
        assert await taken(standby, 40.0) == epoch + 1
        takeover = now()
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGCONT)
        samples = []
        while len(samples) < 20:
            held, at = (await line(process)).split()
            if float(at) > takeover:
                samples.append(held)
        assert set(samples) == {"0"}
        assert await standby.held()


async def test_what_a_holder_does_not_renew_it_no_longer_holds_before_etcd_gives_it_away(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=4.0)
    async with EtcdLease(settings, "deadline") as lease, EtcdLease(settings, "deadline") as standby:
        await lease.acquire(0)
        assert lease._renewing is not None
        lease._renewing.cancel()  # a holder whose renewals no longer leave
        await until_held(lease, False, 20.0)
        with pytest.raises(LeaseError, match="held by"):
            await standby.acquire(0)
        assert await taken(standby, 40.0) == 2
        assert not await lease.held()


async def one_holds(seen: list[tuple[bool, ...]], seconds: float) -> None:
    deadline = now() + seconds
    while not seen or not any(seen[-1]):
        assert now() < deadline, "nobody holds the lease although etcd is well"
        await asyncio.sleep(0.02)


async def test_a_frozen_leader_of_etcd_never_makes_two_holders(own_cluster: Cluster) -> None:
    settings = own_cluster.settings(ttl_s=4.0)
    leases = [EtcdLease(settings, "leader") for _ in range(2)]
    seen: list[tuple[bool, ...]] = []

    async def compete(lease: EtcdLease) -> None:
        while True:
            if not await lease.held():
                try:
                    await lease.acquire(0)
                except LeaseError:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(0.05)

    async def watch() -> None:
        while True:
            seen.append(tuple([await lease.held() for lease in leases]))
            await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(work) for work in (*map(compete, leases), watch())]
    try:
        for _ in range(2):
            await one_holds(seen, 40)
            frozen = await own_cluster.leader()
            own_cluster.freeze(frozen)
            await asyncio.sleep(5)
            own_cluster.thaw(frozen)
            await own_cluster.ready()
            await asyncio.sleep(1)
        await one_holds(seen, 40)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for lease in leases:
            await lease.__aexit__()
    assert (True, True) not in seen
    assert sum(any(each) for each in seen) > len(seen) / 8, "a frozen leader costs seconds, not the lease"


async def test_when_all_members_are_dead_the_lease_ends_and_comes_back_with_a_greater_epoch(
    own_cluster: Cluster,
) -> None:
    settings = own_cluster.settings(ttl_s=4.0)
    async with EtcdLease(settings, "dead") as lease:
        epoch = await lease.acquire(0)
        for name in NAMES:
            own_cluster.kill(name)
        died = now()
        await until_held(lease, False, 20.0)
        assert now() - died < settings.ttl_s
        with pytest.raises(LeaseError, match=r"etcd: one: Connect.*; two: Connect.*; three: Connect"):
            await lease.acquire(0)
        for name in NAMES:
            own_cluster.start(name)
        await own_cluster.ready()
        assert await taken(lease, 40) == epoch + 1


async def test_one_dead_and_one_frozen_member_are_passed_over(own_cluster: Cluster) -> None:
    leader = await own_cluster.leader()
    followers = [name for name in NAMES if name != leader]
    settings = own_cluster.settings(ttl_s=5.0)
    first = next(member for member in settings.members if member.id == followers[0])
    ordered = (first, *(member for member in settings.members if member.id != first.id))
    async with EtcdLease(replace(settings, members=ordered), "over") as lease:
        own_cluster.freeze(followers[0])
        assert await lease.acquire(6) == 7
        held_since = now()
        while now() - held_since < 2.5:
            assert await lease.held()
            await asyncio.sleep(0.05)
        own_cluster.thaw(followers[0])
    async with EtcdLease(replace(settings, members=ordered), "over") as lease:
        own_cluster.kill(followers[0])
        assert await lease.acquire(0) == 8


async def test_a_key_that_somebody_deletes_is_lost_within_a_renewal(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=6.0)
    async with EtcdLease(settings, "deleted") as lease, EtcdLease(settings, "deleted") as standby:
        await lease.acquire(0)
        await cluster.ask("kv/deleterange", {"key": b64encode(b"/envmon/v1/deleted/holder").decode()})
        deleted = now()
        taking = asyncio.create_task(taken(standby, 40))
        await until_held(lease, False, 3.2)  # without a look at the key it would be 3.6 s
        assert await taking >= 2
        assert now() - deleted > 0.6 * settings.ttl_s, "it waited for the former holder to notice"


async def test_a_holder_that_leaves_is_followed_at_once(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=15.0)
    for expected in (1, 2, 3):
        began = now()
        async with EtcdLease(settings, "leaves") as lease:
            assert await lease.acquire(0) == expected
        assert now() - began < 0.5 * settings.ttl_s


@pytest.mark.parametrize("text", ["12x", "-4", "99999999999", "\x00", "é", "١٢"])
async def test_an_unreadable_epoch_is_never_guessed(cluster: Cluster, text: str) -> None:
    site = f"unreadable{ord(text[0])}"
    key = b64encode(f"/envmon/v1/{site}/epoch".encode()).decode()
    await cluster.ask("kv/put", {"key": key, "value": b64encode(text.encode()).decode()})
    async with EtcdLease(cluster.settings(), site) as lease:
        with pytest.raises(LeaseError, match="not an epoch; put the greatest epoch any edge shows"):
            await lease.acquire(5)
        assert not await lease.held()


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


async def test_tls_and_an_authority_that_is_not_ours(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "members")
    other, _ = certificate(tmp_path, "other")
    async with Cluster(tmp_path, tls=(cert, key)) as cluster:
        async with EtcdLease(cluster.settings(tls_ca=cert), "tls") as lease:
            assert await lease.acquire(0) == 1
        for wrong in (other, None):
            async with EtcdLease(cluster.settings(tls_ca=wrong), "tls") as lease:
                with pytest.raises(LeaseError, match=r"one shows a certificate that is not trusted.*; three shows"):
                    await lease.acquire(0)
                assert not await lease.held()
        for missing in (tmp_path / "none.pem", key):
            async with EtcdLease(cluster.settings(tls_ca=missing), "tls") as lease:
                with pytest.raises(LeaseError, match=rf"lease\.tls\.ca: cannot use {missing}"):
                    await lease.acquire(0)
        async with EtcdLease(cluster.settings(tls_ca=cert, tls_cert=other, tls_key=key), "tls") as lease:
            with pytest.raises(LeaseError, match=r"lease\.tls\.cert: cannot use"):
                await lease.acquire(0)


async def test_user_and_password(own_cluster: Cluster, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("c0rrect-horse\n")
    settings = own_cluster.settings(user="envmon", password=Secret(f"file:{secret}"))
    prefix, end = b64encode(b"/envmon/v1/").decode(), b64encode(b"/envmon/v10").decode()
    for path, body in (
        ("auth/user/add", {"name": "root", "password": "r"}),
        ("auth/user/add", {"name": "envmon", "password": "c0rrect-horse"}),
        ("auth/role/add", {"name": "root"}),
        ("auth/role/add", {"name": "keeper"}),
        ("auth/role/grant", {"name": "keeper", "perm": {"permType": "READWRITE", "key": prefix, "range_end": end}}),
        ("auth/user/grant", {"user": "root", "role": "root"}),
        ("auth/user/grant", {"user": "envmon", "role": "keeper"}),
        ("auth/enable", {}),
    ):
        assert "error" not in await own_cluster.ask(path, body), path
    async with EtcdLease(settings, "login") as lease:
        assert await lease.acquire(0) == 1
        root = (await own_cluster.ask("auth/authenticate", {"name": "root", "password": "r"}))["token"]
        secret.write_text("battery-staple")  # a changed password ends every login
        changed = {"name": "envmon", "password": "battery-staple"}
        assert "error" not in await own_cluster.ask("auth/user/changepw", changed, token=root)
        assert await taken(lease, 40) >= 2
        secret.write_text("wrong")
        async with EtcdLease(settings, "login") as other:
            with pytest.raises(LeaseError, match=r"etcd refused: .*authentication failed") as refusal:
                await other.acquire(0)
        assert "wrong" not in str(refusal.value)
        secret.unlink()
        async with EtcdLease(settings, "login") as other:
            with pytest.raises(LeaseError, match="password: No such file"):
                await other.acquire(0)
    async with EtcdLease(own_cluster.settings(), "login") as lease:
        with pytest.raises(LeaseError, match=r"etcd refused: .*user name is empty"):
            await lease.acquire(0)


@asynccontextmanager
async def gateway(answer: Callable[[str, dict[str, Any]], Any]) -> AsyncIterator[LeaseSettings]:
    """A peer that speaks the gateway's protocol and answers what the test wants."""

    async def take(request: web.Request) -> web.StreamResponse:
        told = answer(request.path.removeprefix("/v3/"), await request.json())
        return told if isinstance(told, web.StreamResponse) else web.json_response(told)

    runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0.1)
    runner.app.router.add_route("*", "/{path:.*}", take)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield LeaseSettings("etcd", (LeaseMember("m", f"http://127.0.0.1:{port}", "z"),), 4.0)
    finally:
        await runner.cleanup()


async def test_an_answer_beyond_the_limit_is_named_and_never_cut() -> None:
    long = {"ID": "77", "TTL": "4", "more": "x" * 2_100_000}
    async with gateway(lambda _path, _body: long) as settings, EtcdLease(settings, "long") as lease:
        with pytest.raises(LeaseError, match="m: its answer is longer than 2000000 bytes"):
            await lease.acquire(0)


class Etcd:
    """Just enough of etcd for one holder; ``reads`` False: renewals are answered, the majority is not to be had."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, str]] = {}
        self.reads = True
        self.renewals = 0

    def __call__(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "lease/grant":
                return {"ID": "77", "TTL": body["TTL"]}
            case "lease/keepalive":
                self.renewals += 1
                return {"result": {"ID": "77", "TTL": "4"}}
            case "kv/txn" if "compare" in body:
                for put in (each["request_put"] for each in body["success"]):
                    told = {"lease": put["lease"]} if "lease" in put else {}
                    self.keys[put["key"]] = {"value": put["value"], "create_revision": "9", "mod_revision": "9", **told}
                return {"succeeded": True}
        if not self.reads:
            return web.json_response({"error": "etcdserver: request timed out", "code": 14}, status=503)
        asked = [each["request_range"]["key"] for each in body["success"]]
        return {"responses": [{"response_range": {"kvs": [self.keys[k]]} if k in self.keys else {}} for k in asked]}


async def test_a_renewal_counts_only_with_the_word_of_the_majority() -> None:
    etcd = Etcd()
    async with gateway(etcd) as settings, EtcdLease(settings, "majority") as lease:
        await lease.acquire(0)
        began = now()
        while now() - began < 3.5:
            assert await lease.held()
            await asyncio.sleep(0.05)
        etcd.reads, renewals = False, etcd.renewals
        await until_held(lease, False, 20.0)
        assert etcd.renewals >= renewals + 2, "it tried, and was answered"
        etcd.reads = True
        await asyncio.sleep(1)
        assert not await lease.held(), "what is lost stays lost"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (web.Response, "without JSON: is this etcd's client URL"),
        (list, "without JSON"),
        (dict, "not what etcd answers to a transaction"),
        (lambda: {"responses": [1, 2], "header": {}}, "not what etcd answers"),
        (lambda: {"responses": [{"response_range": {"kvs": []}}] * 5}, "not what etcd"),
        (lambda: {"responses": [{"response_range": {"kvs": [{"create_revision": "x"}]}}] * 5}, "not what etcd"),
        (lambda: web.Response(text='{"responses":[{"response_range":{"kvs":[{"lease":1e999}]}}]}'), "not what etcd"),
        (lambda: web.json_response({"error": "no leader", "code": 14}, status=503), "m: no leader"),
        (lambda: web.json_response({"error": "permission denied", "code": 7}, status=403), "refused: 'permission"),
        (lambda: web.Response(status=302, headers={"Location": "/x"}), "answered 302 without JSON"),
        (lambda: web.Response(text="[" * 100_000), "without JSON"),
    ],
)
async def test_a_peer_that_is_not_etcd_is_an_error(told: Callable[[], Any], says: str) -> None:
    async with gateway(lambda _path, _body: told()) as settings, EtcdLease(settings, "garbage") as lease:
        with pytest.raises(LeaseError, match=says) as fault:
            await lease.acquire(0)
        assert len(str(fault.value)) < 300 and "\n" not in str(fault.value)
        assert not await lease.held()


async def test_who_gives_up_while_waiting_leaves_the_wait_to_the_next(cluster: Cluster) -> None:
    settings = cluster.settings(ttl_s=4.0)
    leases = [EtcdLease(settings, "waits") for _ in range(3)]
    try:
        await leases[0].acquire(0)
        await cluster.ask("kv/deleterange", {"key": b64encode(b"/envmon/v1/waits/holder").decode()})
        deleted = now()
        taking = asyncio.create_task(leases[1].acquire(0))
        await asyncio.sleep(0.5)
        taking.cancel()
        await asyncio.wait((taking,))
        await leases[1].__aexit__()
        assert await taken(leases[2], 40) == 3
        assert now() - deleted > 0.5 + 0.6 * settings.ttl_s
    finally:
        for lease in leases:
            await lease.__aexit__()
