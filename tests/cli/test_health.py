"""What /healthz says is wrong, part by part."""

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from envmon.cli.health import faults
from envmon.config.settings import PagerSettings
from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Again, PagerError
from envmon.pagers.queue import PageQueue
from envmon.pagers.simulated import SimulatedPager

WELL: dict[str, Any] = {"engine_silence_s": 0.4, "journal": {"failure": "", "has_room": True}, "reload_error": ""}


def test_a_daemon_that_is_well_has_no_faults() -> None:
    assert faults(WELL, None, "", "") == {}


def test_every_part_says_what_it_suffers() -> None:
    full = WELL | {"journal": {"failure": "", "has_room": False}, "engine_silence_s": 12.4}
    assert faults(full, None, "port taken", "disk full") == {
        "engine": "it has taken no tick for 12 s",
        "journal": "the disk has no room for the lines of one whole episode",
        "traps": "no notifications are received, polling goes on: port taken",
        "recorder": "nothing is recorded, all else goes on: disk full",
    }
    broken = WELL | {"journal": {"failure": "read-only", "has_room": False}, "reload_error": "line 3"}
    assert faults(broken, None, "", "") == {"journal": "read-only", "reload": "line 3"}


async def test_a_pager_that_refuses_is_named_while_its_pages_wait(tmp_path: Path) -> None:
    settings = PagerSettings("oncall", "simulated", "z", "")
    pager, other = SimulatedPager(settings), SimulatedPager(replace(settings, id="plant"))
    pages = PageQueue(tmp_path / "pages.db", "dallas", {"oncall": pager, "plant": other})
    assert faults(WELL, pages, "", "") == {"pages": "undelivered pages are kept in memory only"}
    running = asyncio.create_task(pages.run())

    async def until(wanted: dict[str, str]) -> None:
        deadline = time.monotonic() + 20
        while (found := faults(WELL, pages, "", "")) != wanted:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.01)

    try:
        await until({})
        pager.fault = PagerError("pager.example answered 401", Again.SLOWLY)
        pages.offer(Page("hot", True, Urgency.CRITICAL, "hot"), 0.0)
        await until({"pager oncall": "refuses 1 of 1 waiting pages: pager.example answered 401"})
        pager.fault = None
        await until({})
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
