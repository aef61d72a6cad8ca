"""The page queue against real HTTP servers: down, slow, refusing, killed; every page arrives, in order."""

import asyncio
import contextlib
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from page_server import CHILD_ENV, PageServer, page, settings, until

from envmon.model.effect import Urgency
from envmon.pagers.command import CommandPager
from envmon.pagers.contract import Envelope, Pager
from envmon.pagers.delivery import Retry
from envmon.pagers.queue import PageQueue
from envmon.pagers.simulated import SimulatedPager
from envmon.pagers.webhook import WebhookPager


@contextlib.asynccontextmanager
async def running(queue: PageQueue) -> AsyncIterator[PageQueue]:
    task = asyncio.create_task(queue.run())
    await until(lambda: queue.durable, "the file is open")
    yield queue
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def quick(path: Path, pagers: dict[str, Pager], **options: Any) -> PageQueue:
    return PageQueue(path / "pages.db", "dallas", pagers, retry=Retry(0.02, 0.1), **options)


def rows(path: Path) -> list[tuple[str, str]]:
    """The pages on disk: key and summary, oldest first."""
    with contextlib.closing(sqlite3.connect(path / "pages.db")) as raw:
        return raw.execute("SELECT key, summary FROM page ORDER BY number").fetchall()


def keys(server: PageServer) -> list[str]:
    return [("+" if item["event_action"] == "trigger" else "-") + item["dedup_key"] for item in server.taken]


async def test_a_server_down_then_up_gets_every_page_once_and_in_order(tmp_path: Path) -> None:
    server = PageServer()
    queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
    async with running(queue):
        for key in ("k1", "k2", "k3"):
            queue.offer(page(key), 100.0)
        await until(lambda: queue.retried["a"] >= 6, "some attempts while the server is down")
        queue.offer(page("k1", raised=False), 101.0)
        assert queue.depth == {"a": 4}
        assert "no connection" in queue.last_error["a"]
        async with server:
            await until(lambda: queue.depth == {"a": 0}, "all delivered")
    assert sorted(keys(server)) == ["+k1", "+k2", "+k3", "-k1"]
    assert keys(server).index("+k1") < keys(server).index("-k1")
    assert len({item["number"] for item in server.taken}) == 4
    assert len(server.seen) == 4
    assert (queue.delivered["a"], queue.failures["a"], queue.last_error) == (4, 0, {})


async def test_a_pager_that_asked_for_one_kind_gets_no_other(tmp_path: Path) -> None:
    all_kinds, power = SimulatedPager(settings("")), SimulatedPager(settings(""))
    queue = quick(tmp_path, {"all": all_kinds, "power": power}, only={"power": ("T23",)})
    async with running(queue):
        for key, raised in (("dallas/1/T10", True), ("dallas/1/T23", True), ("dallas/1/T23", False), ("T2", True)):
            queue.offer(page(key, raised=raised), 100.0)
            await until(lambda: queue.depth == {"all": 0, "power": 0}, "delivered")
    assert [item.page.key for item in power.delivered] == ["dallas/1/T23"] * 2
    assert (len(all_kinds.delivered), queue.delivered) == (4, {"all": 4, "power": 2})


async def test_a_page_of_another_kind_does_not_say_that_a_dead_pager_lives(tmp_path: Path) -> None:
    dead = quick(tmp_path, {"a": WebhookPager(settings(PageServer().url))}, only={"a": ("T23",)})
    async with running(dead):
        dead.offer(page("dallas/1/T23"), 100.0)
        await until(lambda: dead.retried["a"] >= 2, "two attempts")
        before = dead.retried["a"]
        for number in range(20):
            dead.offer(page(f"dallas/{number}/T10", urgency=Urgency.CRITICAL), 100.0)
        assert dead.depth == {"a": 1}
        await until(lambda: dead.retried["a"] > before, "another attempt")
        assert (dead.delivered["a"], rows(tmp_path)) == (0, [("dallas/1/T23", "hot")])
        assert dead.troubles["a"].startswith("takes no pages: 127.0.0.1:")


async def test_what_waits_for_a_pager_that_asks_for_less_now_is_dropped(tmp_path: Path) -> None:
    async with running(quick(tmp_path, {"a": WebhookPager(settings(PageServer().url))})) as dead:
        for key in ("dallas/1/T10", "dallas/1/T23"):
            dead.offer(page(key), 100.0)
        await until(lambda: dead.saved, "both on disk")
    alive = SimulatedPager(settings(""))
    async with running(quick(tmp_path, {"a": alive}, only={"a": ("T23",)})) as queue:
        await until(lambda: queue.depth == {"a": 0} and queue.saved, "settled")
    assert [item.page.key for item in alive.delivered] == ["dallas/1/T23"]
    assert rows(tmp_path) == []


async def test_500s_are_tried_until_they_stop(tmp_path: Path) -> None:
    answers = iter([500, 503, 429, 202])
    async with PageServer(answer=lambda _: next(answers)) as server:
        queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
        async with running(queue):
            queue.offer(page(), 100.0)
            await until(lambda: queue.depth == {"a": 0}, "delivered at last")
        assert len(server.seen) == 4
        assert len({item["number"] for item in server.seen}) == 1, "the number is the same over retries"
        assert (queue.delivered["a"], queue.retried["a"]) == (1, 3)


async def test_a_refusal_for_good_is_counted_logged_and_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with PageServer(answer=lambda item: 410 if item["dedup_key"] == "bad" else 202) as server:
        queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
        async with running(queue):
            queue.offer(page("bad", summary="cannot be said"), 100.0)
            queue.offer(page("good"), 100.0)
            await until(lambda: queue.depth == {"a": 0}, "both settled")
        assert keys(server) == ["+good"]
        assert (queue.failures["a"], queue.delivered["a"], queue.retried["a"]) == (1, 1, 0)
    (record,) = [item for item in caplog.records if item.levelno == logging.ERROR]
    assert "(bad: cannot be said) is given up for good: 127.0.0.1" in record.getMessage()


async def test_a_page_refused_for_a_while_arrives_once_somebody_has_mended_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that expired: the core raises the page once, so it must wait here."""
    status = [401]
    async with PageServer(answer=lambda _: status[0]) as server:
        queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
        async with running(queue):
            queue.offer(page("hot", urgency=Urgency.CRITICAL), 100.0)
            queue.offer(page("hot", raised=False), 101.0)
            await until(lambda: queue.retried["a"] >= 3, "tried again and again")
            assert (queue.refused, queue.depth, queue.failures) == ({"a": 1}, {"a": 2}, {"a": 0})
            assert queue.troubles["a"].startswith("refuses 1 of 2 waiting pages: 127.0.0.1:")
            status[0] = 202
            await until(lambda: queue.depth == {"a": 0}, "delivered at last")
            assert (queue.refused, queue.troubles) == ({"a": 0}, {})
    assert keys(server) == ["+hot", "-hot"]
    (record,) = [item for item in caplog.records if item.levelno >= logging.WARNING]
    assert "refuses page" in record.getMessage()
    assert "(hot: hot), it is offered again and again for 24 h: 127.0.0.1" in record.getMessage()


async def test_a_page_refused_for_as_long_as_it_may_be_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with PageServer(answer=lambda item: 400 if item["dedup_key"] == "bad" else 202) as server:
        retry = Retry(0.02, 0.1, refused_most_s=0.1, give_up_s=0.3)
        queue = PageQueue(tmp_path / "pages.db", "dallas", {"a": WebhookPager(settings(server.url))}, retry=retry)
        async with running(queue):
            queue.offer(page("bad"), 100.0)
            await until(lambda: queue.failures["a"] == 1, "given up")
            assert queue.retried["a"] >= 1
            queue.offer(page("bad", raised=False), 101.0)
            await until(lambda: queue.failures["a"] == 2, "what follows has its own time")
            await until(lambda: queue.saved, "forgotten")
    assert rows(tmp_path) == []
    errors = [item.getMessage() for item in caplog.records if item.levelno == logging.ERROR]
    assert [("given up" in text) for text in errors] == [False, True, False, True]


def test_what_is_refused_is_tried_minutes_apart() -> None:
    retry = Retry()
    assert all(30.0 <= retry.after(20) <= 60.0 for _ in range(100))
    assert all(150.0 <= retry.after(20, refused=True) <= 300.0 for _ in range(100))
    assert all(0.5 <= retry.after(1, refused=refused) <= 1.0 for refused in (True, False))


async def test_a_program_that_cannot_connect_at_first(tmp_path: Path) -> None:
    """curl ends with 7."""
    up, taken = tmp_path / "up", tmp_path / "taken"
    argv = ("/bin/sh", "-c", 'test -e "$0" || exit 7; cat >> "$1"', str(up), str(taken))
    queue = quick(tmp_path, {"a": CommandPager(replace(settings(""), kind="command", argv=argv))})
    async with running(queue):
        queue.offer(page(), 100.0)
        await until(lambda: queue.retried["a"] >= 2, "tried again")
        up.touch()
        await until(lambda: queue.delivered["a"] == 1, "delivered")
    assert json.loads(taken.read_text())["dedup_key"] == "k"


async def test_a_page_the_server_always_fails_holds_up_its_key_only(tmp_path: Path) -> None:
    async with PageServer(answer=lambda item: 500 if item["dedup_key"] == "bad" else 202) as server:
        queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
        async with running(queue):
            queue.offer(page("bad", urgency=Urgency.CRITICAL), 100.0)
            queue.offer(page("bad", raised=False), 100.0)
            for number in range(20):
                queue.offer(page(f"good{number}"), 100.0)
            await until(lambda: queue.depth == {"a": 2}, "the others delivered")
        assert len(server.taken) == 20


async def test_a_dead_pager_never_delays_the_other(tmp_path: Path) -> None:
    async with PageServer(delay_s=30.0) as dead, PageServer() as alive:
        pagers: dict[str, Pager] = {
            "dead": WebhookPager(settings(dead.url, deadline_s=20.0)),
            "alive": WebhookPager(settings(alive.url)),
        }
        queue = quick(tmp_path, pagers)
        async with running(queue):
            for number in range(10):
                queue.offer(page(f"k{number}"), 100.0)
            await until(lambda: queue.depth == {"dead": 10, "alive": 0}, "the living pager has all")
            assert len(alive.taken) == 10


async def test_the_most_urgent_page_of_a_backlog_leaves_first(tmp_path: Path) -> None:
    pager = SimulatedPager(settings("simulated:"))
    queue = quick(tmp_path, {"a": pager})
    for urgency in (Urgency.INFO, Urgency.ERROR, Urgency.CRITICAL):
        queue.offer(page(urgency.value, urgency=urgency), 100.0)
    async with running(queue):
        await until(lambda: len(pager.delivered) == 3, "all delivered")
    assert [item.page.key for item in pager.delivered] == ["critical", "error", "info"]
    assert {item.site for item in pager.delivered} == {"dallas"}
    assert {item.wall for item in pager.delivered} == {100.0}


async def test_undelivered_pages_survive_a_restart_and_numbers_never_come_twice(tmp_path: Path) -> None:
    dead = PageServer()
    for run in range(3):
        queue = quick(tmp_path, {"a": WebhookPager(settings(dead.url))})
        async with running(queue):
            assert queue.depth == {"a": 2 * run}
            queue.offer(page(f"k{run}"), 100.0 + run)
            queue.offer(page(f"k{run}", raised=False), 100.5 + run)
    pager = SimulatedPager(settings("simulated:"))
    queue = quick(tmp_path, {"a": pager})
    async with running(queue):
        await until(lambda: len(pager.delivered) == 6, "all delivered")
        await until(lambda: queue.saved, "and forgotten")
    assert [item.wall for item in pager.delivered] == [100.0, 100.5, 101.0, 101.5, 102.0, 102.5]
    assert [item.page.detail for item in pager.delivered] == ["detail"] * 6
    assert len({item.number for item in pager.delivered}) == 6
    assert rows(tmp_path) == []


async def test_what_a_newer_raise_replaces_is_forgotten_on_disk_too(tmp_path: Path) -> None:
    queue = quick(tmp_path, {"a": WebhookPager(settings(PageServer().url))})
    async with running(queue):
        for number in range(20):
            queue.offer(page("flapping", summary=str(number)), 100.0)
        await until(lambda: queue.retried["a"] >= 2, "what was being sent has come back")
    assert [summary for _, summary in rows(tmp_path)] == ["19"]


async def test_what_a_newer_raise_overtakes_on_its_way_is_forgotten_too(tmp_path: Path) -> None:
    async with PageServer(answer=lambda _: 500, delay_s=0.2) as server:
        queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
        async with running(queue):
            queue.offer(page(summary="older"), 100.0)
            await until(lambda: len(server.seen) == 1, "on its way")
            queue.offer(page(summary="newer"), 101.0)
            await until(lambda: queue.retried["a"] == 1, "it came back")
            assert queue.depth == {"a": 1}
    assert rows(tmp_path) == [("k", "newer")]


async def test_a_queue_that_runs_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """As a supervisor does: pages offered while nobody runs wait."""
    server = PageServer()
    queue = quick(tmp_path, {"a": WebhookPager(settings(server.url))})
    queue.offer(page("k1"), 100.0)
    async with running(queue):
        queue.offer(page("k2"), 101.0)
        await until(lambda: queue.retried["a"] >= 2, "tried")
    assert not queue.durable
    queue.offer(page("k3"), 102.0)
    async with running(queue):
        assert queue.depth == {"a": 3}
    assert [key for key, _ in rows(tmp_path)] == ["k1", "k2", "k3"]
    async with running(queue), server:
        await until(lambda: queue.delivered["a"] == 3, "all delivered")
    assert sorted(keys(server)) == ["+k1", "+k2", "+k3"]
    assert rows(tmp_path) == []


async def test_what_only_memory_held_reaches_the_disk_of_the_next_run(tmp_path: Path) -> None:
    server = PageServer()
    queue = quick(tmp_path / "later", {"a": WebhookPager(settings(server.url))})
    task = asyncio.create_task(queue.run())
    queue.offer(page("k1"), 100.0)
    await until(lambda: queue.retried["a"] >= 1, "it runs without a disk")
    task.cancel()
    await asyncio.wait({task})
    (tmp_path / "later").mkdir()
    async with running(queue):
        queue.offer(page("k2"), 101.0)
        await until(lambda: queue.saved, "on disk")
        assert [key for key, _ in rows(tmp_path / "later")] == ["k1", "k2"], "and numbers go on growing"


async def test_a_reload_loses_nothing(tmp_path: Path) -> None:
    """The new queue is made and given pages while the old one still runs; it runs when that one has ended."""
    old = quick(tmp_path, {"a": WebhookPager(settings(PageServer().url))})
    pager = SimulatedPager(settings("simulated:"))
    async with running(old):
        old.offer(page("k1"), 100.0)
        new = quick(tmp_path, {"a": pager})
        old.offer(page("k2"), 101.0)
        new.offer(page("k1", raised=False), 102.0)
    async with running(new):
        await until(lambda: len(pager.delivered) == 3, "all delivered")
    assert [(item.page.key, item.page.raised) for item in pager.delivered] == [
        ("k1", True),
        ("k2", True),
        ("k1", False),
    ]


async def test_a_pager_configured_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = quick(tmp_path, {"old": WebhookPager(settings(PageServer().url))})
    async with running(queue):
        queue.offer(page(), 100.0)
    assert len(rows(tmp_path)) == 1
    queue = quick(tmp_path, {"new": SimulatedPager(settings("simulated:"))})
    async with running(queue):
        await until(lambda: queue.saved, "forgotten")
    assert "waits for pager old, which is configured no more: dropped" in caplog.text
    assert rows(tmp_path) == []


async def test_too_many_pages_are_counted(tmp_path: Path) -> None:
    queue = quick(tmp_path, {"a": WebhookPager(settings(PageServer().url))}, limit=5)
    async with running(queue):
        for number in range(5):
            queue.offer(page(f"c{number}", urgency=Urgency.CRITICAL), 100.0)
        for number in range(7):
            queue.offer(page(f"i{number}", urgency=Urgency.INFO), 100.0)
        assert (queue.depth, queue.dropped) == ({"a": 5}, {"a": 7})
    assert sorted(key for key, _ in rows(tmp_path)) == ["c0", "c1", "c2", "c3", "c4"]


class Faulty(SimulatedPager):
    """Breaks its contract: raises what no pager may, cannot be opened at first."""

    opened = 0
    raised = 0

    async def __aenter__(self) -> Self:
        self.opened += 1
        if self.opened < 3:
            raise RuntimeError("cannot open")
        return self

    async def send(self, envelope: Envelope) -> None:
        self.raised += 1
        if self.raised < 3:
            raise ZeroDivisionError
        await super().send(envelope)


async def test_a_pager_with_a_fault_of_its_own_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pager = Faulty(settings("simulated:"))
    queue = quick(tmp_path, {"a": pager})
    async with running(queue):
        queue.offer(page(), 100.0)
        await until(lambda: queue.depth == {"a": 0}, "delivered at last")
    assert len(pager.delivered) == 1
    assert "cannot be opened: RuntimeError: cannot open" in caplog.text
    assert "fault" in caplog.text


async def test_a_pager_that_forgets_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envmon.pagers.delivery.SEND_MOST_S", 0.05)

    class Hanging(SimulatedPager):
        async def send(self, envelope: Envelope) -> None:
            await asyncio.sleep(60 + envelope.number)

    queue = quick(tmp_path, {"a": Hanging(settings("simulated:"))})
    async with running(queue):
        queue.offer(page(), 100.0)
        await until(lambda: queue.retried["a"] >= 2, "tried again")
    assert queue.last_error == {"a": "no answer in 0.05 s"}


CHILD = """
import asyncio
import sys
from pathlib import Path
from page_server import page, settings
from envmon.pagers.delivery import Retry
from envmon.pagers.queue import PageQueue
from envmon.pagers.webhook import WebhookPager

async def main(path, url):
    queue = PageQueue(path, "dallas", {"a": WebhookPager(settings(url))}, retry=Retry(0.02, 0.05))
    task = asyncio.create_task(queue.run())
    number = 0
    while True:
        number += 1
        queue.offer(page(f"{sys.argv[3]}.{number // 2}", raised=number % 2 == 0), float(number))
        while not queue.saved:
            await asyncio.sleep(0.001)
        print(number, flush=True)
        await asyncio.sleep(0.01)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


async def test_kill_9_loses_no_page_that_was_saved(tmp_path: Path) -> None:
    """Killed again and again, with the server down, up and failing: every saved page arrives, in order per key."""
    path = tmp_path / "pages.db"
    saved: list[tuple[str, bool]] = []
    server = PageServer()
    for run in range(4):
        server.answer = lambda _, run=run: 500 if run == 1 else 202
        if run > 0:
            await server.start()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(path), server.url, str(run), stdout=asyncio.subprocess.PIPE, env=CHILD_ENV
        )
        assert child.stdout is not None
        for _ in range(8):
            await child.stdout.readline()
        child.kill()
        rest = (await child.stdout.read()).count(b"\n")
        await child.wait()
        saved += [(f"{run}.{number // 2}", number % 2 == 0) for number in range(1, 9 + rest)]
        await server.stop()
    async with server:
        queue = PageQueue(path, "dallas", {"a": WebhookPager(settings(server.url))}, retry=Retry(0.02, 0.1))
        async with running(queue):
            await until(lambda: queue.depth == {"a": 0}, "the rest delivered")
    first: dict[int, tuple[str, bool]] = {}
    for item in server.taken:
        first.setdefault(item["number"], (item["dedup_key"], item["event_action"] == "trigger"))
    assert set(saved) <= set(first.values())
    assert len(set(first.values())) == len(first), "a page that came twice had the same number"
    for key in {key for key, _ in saved}:
        order = [number for number, (name, _) in first.items() if name == key]
        assert order == sorted(order)


LOCKER = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); print(flush=True); input()"
)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds the file's lock until its input is closed."""
    command = [sys.executable, "-c", LOCKER, str(path / "pages.db")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as it:
        assert it.stdout is not None and it.stdin is not None
        it.stdout.readline()
        yield it
        it.stdin.close()


async def test_pages_never_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envmon.pagers.spool.BUSY_S", 30.0)
    pager = SimulatedPager(settings("simulated:"))
    queue = quick(tmp_path, {"a": pager, "down": WebhookPager(settings(PageServer().url))})
    async with running(queue):
        with locked(tmp_path):
            for number in range(50):
                queue.offer(page(f"k{number}"), 100.0)
            await until(lambda: len(pager.delivered) == 50, "delivered without the disk")
            assert not queue.saved
        await until(lambda: queue.saved, "on disk when the lock is gone")
    assert len(rows(tmp_path)) == 50


async def test_a_disk_that_hangs_at_the_start_holds_up_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envmon.pagers.queue.OPEN_S", 0.05)
    monkeypatch.setattr("envmon.pagers.spool.RETRY_S", 0.05)
    monkeypatch.setattr("envmon.pagers.spool.BUSY_S", 30.0)
    pager = SimulatedPager(settings("simulated:"))
    queue = quick(tmp_path, {"a": pager, "down": WebhookPager(settings(PageServer().url))})
    with locked(tmp_path):
        task = asyncio.create_task(queue.run())
        queue.offer(page(), 100.0)
        await until(lambda: len(pager.delivered) == 1, "delivered without the disk")
        assert not queue.durable
    await until(lambda: queue.saved, "on disk when the lock is gone")
    task.cancel()
    await asyncio.wait({task})
    assert rows(tmp_path) == [("k", "hot")]
