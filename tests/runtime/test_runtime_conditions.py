"""Pages about the daemon itself, and the audit of its journal."""

import asyncio
import contextlib

from runtime_rig import until

from envmon.model.effect import Page, Urgency
from envmon.runtime.audit import Audit
from envmon.runtime.conditions import Conditions


def test_a_condition_is_raised_once_and_resolved_once():
    pages: list[Page] = []
    conditions = Conditions(pages.append, lambda: "dallas")
    for fault in ("", "no room", "no room at all", "", "", "no room"):
        conditions.tell("journal/room", fault, "room again", Urgency.WARNING)
    assert [(page.key, page.raised, page.summary) for page in pages] == [
        ("envmon/dallas/journal/room", True, "dallas: no room"),
        ("envmon/dallas/journal/room", False, "dallas: room again"),
        ("envmon/dallas/journal/room", True, "dallas: no room"),
    ]


async def test_the_audit_tells_every_time_and_never_blocks_the_loop():
    faults, told = ["", "line 4 was changed", ""], []
    audit = Audit(lambda: faults.pop(0) if faults else "", told.append, every_s=0.01)
    task = asyncio.create_task(audit.run())
    await until(lambda: len(told) >= 3, "three audits", 10)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert told[:3] == ["", "line 4 was changed", ""]
