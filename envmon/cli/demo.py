"""``envmon demo``: the storm of June 2015 on a simulated site, with the real daemon watching it, or with nobody.

Rules
  - Only the plant, the calls and the passage of time are simulated: devices are polled, edges are written and probe
    calls are placed over real sockets by the same code that runs in production.
  - The last line printed is the result as one JSON object; exit code 0 survived, 1 lost.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from envmon.cli.build import Assembly, serve
from envmon.cli.demo_broker import Broker, BrokerError, kept_port
from envmon.cli.demo_screen import Screen
from envmon.cli.places import JOURNAL
from envmon.cli.site_journal import open_journal
from envmon.config import load
from envmon.journal.chain import Line
from envmon.journal.reader import JournalReader
from envmon.profiles.loader import load_builtin
from envmon.runtime.ask import AskError, ask
from envmon.runtime.clock import ScaledClock
from envmon.sim.site import Score, SimulatedSite
from envmon.sim.site_map import Around
from envmon.sim.storm import Storm, StormError
from envmon.sim.storm import load as load_storm

ARMED_WITHIN_S = 30.0  # real seconds
LOOK_S = 0.25
TOO_LATE_S = 30.0  # virtual; a simulation that lags that far says little about the daemon
DECIDING = ("T", "O", "M")


class DemoError(Exception):
    """The demo could not run; the text says why."""


def demo(asked: argparse.Namespace) -> int:
    """Play the storm and print the result."""
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    try:
        storm = load_storm(asked.scenario)
        with tempfile.TemporaryDirectory(prefix="envmon-demo-") as folder:
            result = asyncio.run(_play(storm, asked, Path(folder)))
    except (StormError, BrokerError, DemoError, OSError) as error:
        print(f"envmon demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if result["late_s"] > TOO_LATE_S:
        print(f"envmon demo: this machine fell {result['late_s']:.0f} s behind; try a smaller --speed", file=sys.stderr)
    print(json.dumps(result))
    return 0 if result["verdict"] == "survived" else 1


async def _play(storm: Storm, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    clock = ScaledClock(asked.speed, datetime.fromisoformat(storm.begins).timestamp())
    begins = clock.stamp().wall
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(SimulatedSite(clock, storm, asked.seed))
        if asked.without_envmon:
            return _result(storm, await site.run(), [], begins)
        broker = await stack.enter_async_context(Broker(folder, embedded=asked.embedded_broker))
        assembly = _assemble(site, clock, folder, broker, stack)
        daemon = asyncio.create_task(serve(assembly))
        stack.push_async_callback(_end, assembly, daemon)
        screen = Screen(storm, live=not asked.headless, broker=broker.name)
        stack.enter_context(screen)
        watching = asyncio.create_task(_watch(screen, assembly, site, folder))
        stack.callback(watching.cancel)
        await _arm(assembly.settings.daemon.socket, daemon)
        score = await _until_over(site, daemon)
        await asyncio.sleep(2 * LOOK_S)
        return _result(storm, score, _decisions(folder), begins)


def _assemble(site: SimulatedSite, clock: ScaledClock, folder: Path, broker: Broker, stack: AsyncExitStack) -> Assembly:
    """The production daemon, configured for the simulated site."""
    around = Around(http=f"127.0.0.1:{stack.enter_context(kept_port())}", mqtt=f"127.0.0.1:{broker.port}")
    config = folder / "envmon.yaml"
    config.write_text(site.config_yaml(folder, around), encoding="utf-8")
    profiles = load_builtin()
    settings = load(config, profiles=profiles)
    if settings.mqtt is not None:
        settings = replace(settings, mqtt=replace(settings.mqtt, version=broker.version))
    return Assembly(config, settings, clock, stack.enter_context(open_journal(settings)), profiles)


async def _arm(socket: Path, daemon: asyncio.Task[None]) -> None:
    """Give the order an operator would give, over the daemon's socket."""
    request = {"command": "arm", "reason": "the demo begins"}
    refusal = "the daemon did not open its socket"
    for _ in range(int(ARMED_WITHIN_S / LOOK_S)):
        if daemon.done():
            break
        try:
            answer = await asyncio.to_thread(ask, socket, request)
        except AskError as error:
            refusal = str(error)
        else:
            if answer["ok"]:
                return
            refusal = answer.get("error") or answer["decisions"][0]["sentence"]
        await asyncio.sleep(LOOK_S)
    raise DemoError(f"envmon could not be armed: {refusal}")


async def _until_over(site: SimulatedSite, daemon: asyncio.Task[None]) -> Score:
    """Live through the storm; a daemon that ends meanwhile ends the demo."""
    storm = asyncio.create_task(site.run())
    try:
        await asyncio.wait({storm, daemon}, return_when=asyncio.FIRST_COMPLETED)
        if not storm.done():
            raise DemoError("the daemon ended before the storm did")
        return storm.result()
    finally:
        storm.cancel()


async def _end(assembly: Assembly, daemon: asyncio.Task[None]) -> None:
    assembly.daemon.stop()
    await daemon


async def _watch(screen: Screen, assembly: Assembly, site: SimulatedSite, folder: Path) -> None:
    """Show what the daemon says of itself, and what the callers say."""
    status: Callable[[], dict[str, Any]] = assembly.daemon.status
    while True:
        screen.show(status(), site.score, site.live_calls, len(site.on_call.pages), _decisions(folder))
        await asyncio.sleep(LOOK_S)


def _decisions(folder: Path) -> list[Line]:
    """What was decided so far, from the journal on disk."""
    with JournalReader.open(folder / JOURNAL) as journal:
        return [line for line in journal.records() if line.record.rule.startswith(DECIDING)]


def _result(storm: Storm, score: Score, decisions: list[Line], begins: float) -> dict[str, Any]:
    rules = {line.record.rule for line in decisions}
    proof = "proven" if "T20" in rules else "unproven" if rules & {"T10", "T60"} else "none"
    return {
        "scenario": storm.name,
        "seed": score.seed,
        "verdict": score.verdict,
        "calls": {"offered": score.offered, "failed": score.failed},
        "proof": proof,
        "late_s": score.late_s,
        "seconds_before_limit": None if score.seconds_before_limit is None else round(score.seconds_before_limit, 1),
        "decisions": [
            {
                "t": round(line.record.wall - begins, 1),
                "rule": line.record.rule,
                "why": line.record.extra.get("why", ""),
            }
            for line in decisions
        ],
    }
