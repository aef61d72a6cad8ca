"""One run: two daemons, a cooling loss, the faults of a seed, everything healed, calm, and what everybody saw.

Rules
- Nothing is waited for by time but the faults themselves: each step ends when its condition holds, or is the finding.
- The evidence (journals, recordings, logs, the history as text) is in the run's folder until the next run.
"""

import asyncio
import json
import pprint
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos_checks import check, unlike
from chaos_faults import Faults
from chaos_history import Ended, History, Left, Line, Taken, accepted
from chaos_net import address
from chaos_plan import Plan
from chaos_rig import EDGES, Rig
from chaos_site import DAEMONS, Host, on_tmpfs, site_of, until_asked, wiped

from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.recordings.decode import RecordingError, files
from envmon.recordings.replay import Replay, replay

READY_S = 60.0
CALM_S = 60.0
PLAY_S = 9.0
LOOK_S, QUIET = 0.4, 3  # calm is what holds for three looks: a second, so that every loop has turned
DISK_MB = 48
LAG_EVERY_S = 0.1


class SetupError(Exception):
    """The run could not begin: no finding about envmon, but worth a look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended. ``digest`` is over every replayed decision; ``wrong`` is empty when all held."""

    seed: int
    faults: list[str]
    wrong: list[str]
    digest: str
    wall_s: float
    cpu_s: float
    lag_s: float  # the longest the bench itself was late: its sites and doors are then no witnesses
    seen: dict[str, int]  # how often something happened that a run may be about


async def run(rig: Rig, plan: Plan) -> Verdict:
    """Play one plan and judge it. Raises SetupError."""
    began = time.monotonic()
    lag = asyncio.create_task(_lag())
    rig.cool()
    await rig.send_home()
    rig.on_call.taken.clear()
    logs = {edge: rig.edge_log(edge).stat().st_size for edge in EDGES}
    async with AsyncExitStack() as stack:
        hosts = {name: Host(rig, plan, name, _fresh(rig, name)) for name in DAEMONS}
        for host in hosts.values():
            await stack.enter_async_context(host.door)
        faults = Faults(rig, hosts, plan)
        try:
            await _armed(hosts)
            caller = rig.caller()
            calling = asyncio.create_task(caller.run())
            await _play(rig, plan, faults)
            calm, statuses, asked = await _calm(rig, hosts, plan)
            lag.cancel()
            lag_s = await lag
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        finally:
            lag.cancel()
            await faults.heal()
            for host in hosts.values():
                host.cpu_s()
                await host.end()
    history = History(
        lost_room=plan.loses_room,
        accepted={edge: accepted(edge, _since(rig.edge_log(edge), logs[edge]), _daemons()) for edge in EDGES},
        writes=tuple(sorted((w for host in hosts.values() for w in host.door.writes), key=lambda write: write.at)),
        calls=tuple(caller.calls),
        pages=_pages(rig, plan),
        orders=tuple(order for host in hosts.values() for order in host.orders),
        down=tuple(faults.down),
        left=tuple(_left(host, plan) for host in hosts.values()),
        ends=tuple(_end(name, told) for name, told in statuses.items() if told is not None),
        asked=asked,
        percents={edge: (await rig.edge_answers(edge))[0] for edge in EDGES},
        calm=calm,
    )
    (rig.folder / "history.txt").write_text("\n".join(faults.log) + "\n" + pprint.pformat(history, width=160))
    digest = " ".join(left.digest[:16] for left in history.left)
    cpu_s = sum(host.spent_s for host in hosts.values())
    return Verdict(
        plan.seed, [str(f) for f in plan.faults], check(history), digest, round(time.monotonic() - began, 1),
        round(cpu_s, 1), round(lag_s, 2), _seen(history, faults),
    )  # fmt: skip


async def _lag() -> float:
    """Until cancelled; the longest that a sleep of ours took too long, seconds."""
    worst = 0.0
    try:
        while True:
            due = time.monotonic() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            worst = max(worst, time.monotonic() - due)
    except asyncio.CancelledError:
        return worst


def _fresh(rig: Rig, name: str) -> Path:
    """A daemon's folder without what the run before has left; its state is on a disk of its own."""
    folder = rig.folder / name
    state = folder / "state"
    if not state.is_dir():
        on_tmpfs(f"{rig.disk}-state", state, DISK_MB)
    wiped(state)
    for each in folder.iterdir():
        if each != state:
            each.unlink()
    return folder


async def _armed(hosts: Mapping[str, Host]) -> None:
    """Both daemons run and are armed, one of them holds the lease and could act. Raises SetupError."""
    for host in hosts.values():
        host.start()
    try:
        for host in hosts.values():
            await until_asked(host, READY_S)
        async with asyncio.timeout(READY_S):
            while True:
                told = {name: await host.status() for name, host in hosts.items()}
                holders = [name for name, each in told.items() if each and each["lease"]["held"]]
                if len(holders) == 1 and not told[holders[0]]["armed"]["now"] and told[holders[0]]["mode"] == "observe":
                    await hosts[holders[0]].order("arm", "the run begins")
                elif len(holders) == 1 and told[holders[0]]["armed"]["now"] and _inherits(told.values()):
                    return
                await asyncio.sleep(0.2)
    except TimeoutError:
        logs = {name: (host.folder / "daemon.log").read_text()[-1500:] for name, host in hosts.items()}
        told_all = {name: (await host.status() or {}).get("armed") for name, host in hosts.items()}
        raise SetupError(f"not armed within {READY_S:g} s: {told_all}\n{logs}") from None


def _inherits(statuses: Iterable[Mapping[str, Any] | None]) -> bool:
    """Whether there is a standby, and it could go on."""
    return any(told and told["standby"] and told["standby"]["inherits"] for told in statuses)


async def _play(rig: Rig, plan: Plan, faults: Faults) -> None:
    began = time.monotonic() + 1.0
    playing = asyncio.create_task(faults.play(began))
    await asyncio.sleep(1.0)
    if plan.loses_room:
        rig.lose_the_cooling()
    await playing
    await asyncio.sleep(max(0.0, began + PLAY_S - time.monotonic()))
    await faults.heal()


async def _calm(rig: Rig, hosts: Mapping[str, Host], plan: Plan) -> tuple[str, Mapping[str, Any], float]:
    """Wait until nothing moves any more; why not ("" when it does not), and the statuses then."""
    why, resumed, quiet, asked = "", False, 0, 0.0
    statuses: dict[str, Any] = {}
    deadline = time.monotonic() + CALM_S
    while time.monotonic() < deadline:
        statuses, asked = {name: await host.status() for name, host in hosts.items()}, time.monotonic()
        why = _unrest(statuses, plan, hosts) or _untold(statuses, rig, plan)
        quiet = 0 if why else quiet + 1
        held = [name for name, told in statuses.items() if told and told["lease"]["held"] and told["mode"] == "held"]
        if quiet == QUIET and held and plan.resumes and not resumed:
            resumed, quiet = True, 0
            await hosts[held[0]].order("resume", "chaos resumes")
        if quiet == QUIET:
            return "", statuses, asked
        await asyncio.sleep(LOOK_S)
    return f"not calm within {CALM_S:g} s: {why}", statuses, asked


def _unrest(statuses: Mapping[str, Any], plan: Plan, hosts: Mapping[str, Host]) -> str:
    for name, told in statuses.items():
        if told is None:
            return f"{name} does not answer"
        if waiting := _waiting(hosts[name]):
            return f"{name} has undelivered pages: {', '.join(waiting)}"
    holders = [name for name, told in statuses.items() if told["lease"]["held"]]
    if len(holders) != 1:
        return f"the lease is held by {holders}"
    told = statuses[holders[0]]
    route = told["routes"]["outbound"]
    if told["mode"] == "held":
        return "" if f"envmon/{told['site']}/mode/held" in told["pages"] else f"{holders[0]} is held without a page"
    if route["edges_say"] != "agree" or route["position"] in ("shifting", "restoring"):
        return f"{holders[0]}: {route['position']}, the edges {route['edges_say']}, {route['why']}"
    if plan.loses_room and route["position"] != "backup" and not route["latched"]:
        return f"{holders[0]}: the room is lost and the calls are at {route['position']}: {told['armed']}"
    return ""


def _untold(statuses: Mapping[str, Any], rig: Rig, plan: Plan) -> str:
    ends = tuple(_end(name, told) for name, told in statuses.items())
    return "; ".join(unlike(History(ends=ends, pages=_pages(rig, plan))))


def _pages(rig: Rig, plan: Plan) -> tuple[Taken, ...]:
    """The pages of this run; one of the run before may still arrive, out of the kernel's buffers."""
    return tuple(page for page in rig.on_call.taken if page.site == site_of(plan))


def _end(name: str, told: Mapping[str, Any]) -> Ended:
    route = told["routes"]["outbound"]
    return Ended(
        name, told["lease"]["held"], told["lease"]["epoch"], told["mode"], route["position"], route["commanded"],
        route["edges_say"], route["latched"], tuple(told["pages"]),
    )  # fmt: skip


def _left(host: Host, plan: Plan) -> Left:
    """What a daemon's folder holds when it has ended."""
    lines: tuple[Line, ...] = ()
    try:
        with JournalReader.open(host.state / "journal.db") as journal:
            fault = journal.verify().fault
            lines = tuple(
                Line(
                    each.seq, each.record.mono_ns / 1e9, each.record.entry.value, each.record.rule,
                    each.record.subject, each.record.text, each.record.episode, each.record.effect,
                    each.record.order, "refused" in each.record.extra,
                )
                for each in journal.records()
            )  # fmt: skip
    except JournalError as error:
        fault = str(error)
    found, wrong, rules = Replay(), "", []
    try:
        for _, step in replay(files(host.state / "recordings"), found):
            rules.extend(decision.rule for decision in step.decisions if decision.rule[0] != "Z")
    except RecordingError as error:
        wrong = str(error)
    if found.difference is not None:
        wrong = f"it replays otherwise: {found.difference}"
    cut = host.killed or any(fault.kind == "disk" for fault in plan.faults)
    return Left(host.name, lines, fault, wrong, tuple(rules), str(found.replayed), tuple(_waiting(host)), cut)


def _waiting(host: Host) -> list[str]:
    """The keys of the pages that are on disk, undelivered."""
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{host.state / 'pages.db'}?mode=ro", uri=True, timeout=2.0)
        try:
            return [key for (key,) in connection.execute("SELECT key FROM page")]
        finally:
            connection.close()
    return []


def _since(log: Path, size: int) -> str:
    with log.open("rb") as file:
        file.seek(size)
        return file.read().decode(errors="replace")


def _daemons() -> dict[str, str]:
    return {address(f"door-{name}"): name for name in DAEMONS}


def _seen(history: History, faults: Faults) -> dict[str, int]:
    """What a run was about: so that a bench in which nothing happens is noticed."""
    rules = [line.rule for left in history.left for line in left.lines]
    return {
        "epochs": len({write.epoch for write in history.writes}),
        "accepted": sum(write.status == 200 for write in history.writes),
        "refused 409": sum(write.status == 409 for write in history.writes),
        "shifts": rules.count("T10") + rules.count("T60"),
        "proven": rules.count("T20"),
        "inherited": rules.count("M53"),
        "not inherited": rules.count("M52"),
        "calls": len(history.calls),
        "at backup": sum(call.site == "backup" for call in history.calls),
        "pages": len(history.pages),
        "trapped": sum(line.startswith("trapped") for line in faults.log),
    }


def keep(rig: Rig, plan: Plan, verdict: Verdict, folder: Path) -> Path:
    """Copy a failed run's whole evidence to where it stays."""
    target = folder / f"seed-{plan.seed}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in DAEMONS:
        shutil.copytree(rig.folder / name, target / name, ignore=shutil.ignore_patterns("*.sock"))
    for edge in EDGES:
        shutil.copy(rig.edge_log(edge), target / f"{edge}.log")
    shutil.copy(rig.folder / "history.txt", target / "history.txt")
    (target / "verdict.json").write_text(json.dumps({"faults": verdict.faults, "wrong": verdict.wrong}, indent=2))
    return target
