"""What one person with a login can do alone: nothing silently. The real daemon, real users, the real socket."""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from envmon.journal import schema
from envmon.journal.chain import Head, seal
from envmon.journal.reader import JournalReader
from envmon.runtime.ask import ask
from envmon.runtime.crowd import CLIENTS, EACH, TOO_MANY
from tests.e2e.lab import EVERY_S, Lab, exchange

VIEWER, OPERATOR, APPROVER, SECOND = "games", "daemon", "bin", "sys"
FLOOD_S = 5.0
SLACK_S = 3.0  # two busy cores
PEOPLE = {"operators": [OPERATOR], "approvers": [APPROVER, SECOND]}


def by(user: str, act: Callable[[], object]) -> dict[str, Any]:
    """What a process of another user finds, in JSON."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            entry = pwd.getpwnam(user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.write(tell, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as reader:
        line = reader.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(line)
    return found


def flood(path: Path, seconds: float) -> dict[str, int]:
    """Hold all the connections there are, ask and order without end; how many were answered, and how often."""
    until = time.monotonic() + seconds
    held: list[socket.socket] = []
    told: Counter[str] = Counter()
    while time.monotonic() < until:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            connection.connect(os.fspath(path))
            connection.sendall(b'{"command": "shift", "reason": "mine"}\n{"command": "status"}\n' * 10)
            told.update([json.loads(connection.recv(65536).partition(b"\n")[0]).get("error", "answered")])
        held.append(connection)
        if len(held) > CLIENTS:
            held.pop(0).close()
    return dict(told)


class Site:
    """An armed site whose socket everybody can reach, so that only the roles stand in the way."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    async def order(self, user: str, command: str, **more: Any) -> tuple[list[str], dict[str, Any]]:
        """The ids of the rules that answered, and the whole answer."""
        request = {"command": command, "reason": "mine", **more}
        answer = await asyncio.to_thread(by, user, lambda: ask(self.lab.socket, request))
        return [decision["rule"] for decision in answer.get("decisions", ())], answer

    def journalled(self, who: str) -> set[str]:
        """The rules by which this person's orders were answered, as the journal has them."""
        lines = [line.record for line in self.lab.lines()]
        orders = {record.order for record in lines if record.entry == "order" and record.who.split()[0] == who}
        return {record.rule for record in lines if record.rule and record.order in orders}

    async def paged(self, *words: str) -> None:
        """Wait until a page with all of these words has arrived at the people on call."""
        await self.lab.until(
            lambda _: any(all(word in json.dumps(page) for word in words) for page in self.lab.on_call.pages),
            20,
            f"a page that says {words}",
        )


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async with exchange(folder) as (_, edge), Lab(folder, [edge], people=PEOPLE) as lab:
        lab.start()
        await lab.armed()
        lab.socket.chmod(0o666)
        yield Site(lab)
        assert await lab.end() == 0


async def test_alone_nobody_gets_past_the_second_person(site: Site) -> None:
    for command, more in (("shift", {}), ("restore", {}), ("hold", {}), ("disarm", {"break_glass": True})):
        rules, answer = await site.order(VIEWER, command, **more)
        assert (rules, answer["refused"]) == (["P10"], True)
    await site.paged("P10", VIEWER)

    rules, answer = await site.order(OPERATOR, "disarm")
    assert (rules, answer["decisions"][0]["waits"]) == (["P20"], True)
    (request,) = (await site.lab.status())["requests"]
    assert (await site.order(OPERATOR, "approve", request=request))[0] == ["P31"]
    await site.paged("P20", OPERATOR)
    await site.paged("P31", OPERATOR)

    assert (await site.order(APPROVER, "disarm"))[0] == ["P20"]
    (mine,) = (await site.lab.status())["requests"].keys() - {request}
    assert (await site.order(APPROVER, "approve", request=mine))[0] == ["P32"]

    status = await site.lab.status()
    assert (status["mode"], status["routes"]["outbound"]["percent"]) == ("automatic", 0)
    assert (await site.order(SECOND, "approve", request=mine))[0] == ["P34", "M20"]
    assert (await site.lab.status())["mode"] == "observe"
    assert site.journalled(VIEWER) == {"P10"}
    assert site.journalled(OPERATOR) == {"P20", "P31"}
    approved = [line.record for line in site.lab.lines() if line.record.rule == "P34"]
    assert [record.approvals for record in approved] == [(APPROVER, SECOND)]


async def test_a_flood_delays_nobodys_order_and_no_poll(site: Site) -> None:
    start = asyncio.get_running_loop().time()
    flooding = asyncio.create_task(asyncio.to_thread(by, VIEWER, lambda: flood(site.lab.socket, FLOOD_S)))
    given = [await site.order(OPERATOR, command) for command in ("hold", "resume") * 3]
    told = await flooding
    assert [rules for rules, _ in given] == [["M30"], ["M40"]] * 3
    assert told.keys() - {"answered"} <= {TOO_MANY, f"{EACH} clients of yours are connected already; try again"}
    assert sum(told.values()) - told.get("answered", 0) > 100, told
    vain = [line for line in site.lab.lines() if line.record.entry == "order" and line.record.who.startswith(VIEWER)]
    assert 0 < len(vain) <= 6, "each is journalled and paged: a flood of orders would be one of pages"
    assert {name: gap for name, gap in site.lab.gaps(start).items() if gap > EVERY_S + SLACK_S} == {}
    assert "asks too much of the order socket" in site.lab.log()


async def test_what_one_person_may_do_is_never_silent(site: Site) -> None:
    assert (await site.order(OPERATOR, "hold"))[0] == ["M30"]
    await site.paged("Held by order", OPERATOR)
    assert (await site.order(OPERATOR, "resume"))[0] == ["M40"]
    assert (await site.order(OPERATOR, "shift", route="outbound"))[0] == ["O10"]
    await site.paged("outbound", "Ordered: new calls go to the backup")
    rules, _ = await site.order(OPERATOR, "restore", route="outbound", override=True)
    assert rules == ["P20"], "against the rules nobody brings them home alone"
    assert (await site.order(OPERATOR, "disarm", break_glass=True))[0] == ["P21", "M20"]
    await site.paged("P21", "Break-glass", OPERATOR)
    assert site.journalled(OPERATOR) == {"M30", "M40", "O10", "P20", "P21", "M20"}


async def test_nobody_names_themselves_or_silences_the_pagers_by_editing_the_file(site: Site) -> None:
    path = site.lab.folder / "envmon.yaml"
    config = yaml.safe_load(path.read_text())
    config["people"]["approvers"] += [OPERATOR, VIEWER]
    config["pagers"] = {"mine": {"kind": "command", "zone": "outside", "command": ["/bin/true"]}}
    path.write_text(yaml.safe_dump(config))
    assert site.lab.daemon is not None
    site.lab.daemon.send_signal(signal.SIGHUP)
    status = await site.lab.until(lambda s: s["daemon"]["reload_error"], 10, "a refused reload")
    assert "people" in status["daemon"]["reload_error"]

    await restarted(site)
    wanted = [f"groups: approver {OPERATOR} is new", f"groups: approver {VIEWER} is new"]
    await site.paged("policy/looser", "pagers: oncall is gone or changed", *wanted)
    assert (await site.lab.status())["mode"] == "automatic"
    assert (await site.order(OPERATOR, "accept"))[0] == ["P20"]
    (request,) = (await site.lab.status())["requests"]
    assert (await site.order(VIEWER, "approve", request=request))[1]["refused"], "not yet an approver"
    assert (await site.order(APPROVER, "approve", request=request))[0] == ["P34", "G30"]
    status = await site.lab.until(lambda s: s["daemon"]["at_restart"], 10, "word that a restart is due")
    assert status["daemon"]["at_restart"] == "accepted; people and web.orders follow at a restart"
    assert (status["daemon"]["reload_error"], status["looser_policy"]) == ("", [])
    assert (await site.order(VIEWER, "hold"))[1]["refused"], "a viewer until then"

    await restarted(site)
    assert (await site.order(VIEWER, "hold"))[0] == ["M30"]
    told = len(site.lab.on_call.pages)
    await site.lab.until(lambda s: "envmon/dallas/mode/held" in s["pages"], 10, "the page of the hold")
    assert len(site.lab.on_call.pages) == told, "the file's pagers are in force, for two have accepted them"
    assert {line.record.rule for line in site.lab.lines()} >= {"G20", "P20", "P34", "G30"}


async def restarted(site: Site) -> None:
    assert await site.lab.end() == 0
    site.lab.start()
    await site.lab.until(lambda s: s["lease"]["held"], 30, "the daemon again")
    site.lab.socket.chmod(0o666)


async def test_a_looser_policy_takes_force_by_two_people_only(site: Site) -> None:
    before = (await site.lab.status())["policy"]
    assert site.lab.daemon is not None
    limits = {"limits": {"recommended_c": 27, "allowable_c": 32, "service_c": 55}}
    config = yaml.safe_load((site.lab.folder / "envmon.yaml").read_text())
    site.lab.configure(zones={**config["zones"], "hall_a": {**config["zones"]["hall_a"], **limits}})
    site.lab.daemon.send_signal(signal.SIGHUP)
    status = await site.lab.until(lambda s: s["daemon"]["reload_error"], 10, "a refused reload")
    assert "hall_a.limits.service 40 -> 55" in status["daemon"]["reload_error"]
    await site.paged("policy/looser", "hall_a.limits.service 40 -> 55")

    assert (await site.order(OPERATOR, "accept"))[0] == ["P20"]
    (request,) = (await site.lab.status())["requests"]
    assert (await site.lab.status())["policy"] == before
    assert (await site.order(APPROVER, "approve", request=request))[0] == ["P34", "G30"]
    after = await site.lab.until(lambda s: not s["daemon"]["reload_error"], 10, "the rest of the file follows")
    assert after["policy"] != before
    assert after["looser_policy"] == []
    assert {line.record.rule for line in site.lab.lines()} >= {"G20", "P20", "P34", "G30"}


async def test_an_edited_journal_is_found_at_the_next_start(site: Site) -> None:
    assert (await site.order(VIEWER, "shift"))[0] == ["P10"]
    await site.paged("P10", VIEWER)
    before = (await site.lab.status())["daemon"]["journal"]["head"]
    assert await site.lab.end() == 0
    await a_rewritten_journal_is_found_by_a_page(site)
    with sqlite3.connect(site.lab.journal) as journal:
        (seq,) = journal.execute("SELECT max(seq) FROM line WHERE rule = 'M10'").fetchone()
        journal.execute("UPDATE line SET who = 'nobody' WHERE seq = ?", (seq,))
    journal.close()
    site.lab.start()
    await site.paged("journal/broken", f"line {seq} was changed after it was written")
    status = await site.lab.status()
    assert status["daemon"]["counters"]["journal_broken"] is True
    assert site.lab.on_call.pages[-1]["detail"].rpartition("journal ")[2].count(":") == 1, "pages carry the head"
    assert int(before.partition(":")[0]) < status["daemon"]["journal"]["seq"]


async def a_rewritten_journal_is_found_by_a_page(site: Site) -> None:
    """Root can seal every line anew: the chain is whole again, but it is not the one that pages have told of."""
    told = [page["detail"].rpartition("journal ")[2] for page in site.lab.on_call.pages]
    head = max(told, key=lambda each: int(each.partition(":")[0]))
    number = int(head.partition(":")[0])
    copy = site.lab.folder / "copy.db"
    shutil.copy(site.lab.journal, copy)
    assert await verify(copy, "--head", head) == (0, f"{whole(copy)}; the published head is its line {number}")

    rewrite(copy, at=2)
    assert await verify(copy) == (0, whole(copy)), "the chain alone cannot tell"
    found = f"BROKEN after {number} good lines: line {number} is not the line of the published head"
    assert await verify(copy, "--head", head) == (1, f"{found}: the chain was rebuilt")


def whole(journal: Path) -> str:
    with JournalReader.open(journal) as reader:
        head = reader.stored_head()
    return f"{head.seq + 1} lines, unbroken; head {head}"


def rewrite(journal: Path, at: int) -> None:
    """Change who stands behind a line, and seal it and all that follow as the daemon does."""
    with JournalReader.open(journal) as reader:
        before, *after = reader.records(at - 1)
    with sqlite3.connect(journal) as database:
        database.execute("DELETE FROM line WHERE seq >= ?", (at,))
        head = Head(before.seq, before.hash)
        for line in after:
            sealed = seal(replace(line.record, who="nobody") if line.seq == at else line.record, head)
            head = Head(sealed.seq, sealed.hash)
            database.execute(schema.INSERT, schema.to_row(sealed))
        database.execute("UPDATE head SET (seq, hash) = (?, ?)", (head.seq, head.hash))
    database.close()


async def verify(journal: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of ``envmon journal verify``, and its one line."""
    command = [sys.executable, "-m", "envmon.cli.main", "journal", "verify", "--path", str(journal), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).rstrip("\n")
