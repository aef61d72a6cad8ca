"""The inbox under overload: newest of what may be replaced, all of what may not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from runtime_rig import STAMP

from envmon.model.event import (
    Command,
    DeviceBatch,
    EdgeReport,
    EffectReport,
    Event,
    LeaseReport,
    Order,
    OrderReceived,
    Outcome,
    ProbeReport,
    Target,
    Tick,
)
from envmon.runtime.counters import Counters
from envmon.runtime.inbox import Inbox


def event(kind: str, name: str, number: int) -> Event:
    at = replace(STAMP, mono_ns=number)
    match kind:
        case "batch":
            return DeviceBatch(at, name, ())
        case "edge":
            return EdgeReport(at, name, ())
        case "tick":
            return Tick(at)
        case "order":
            return OrderReceived(at, Order(str(number), Command.HOLD, "", "ann", "test"))
        case "effect":
            return EffectReport(at, name, name, Outcome.DONE, "")
        case "lease":
            return LeaseReport(at, True, number, "")
        case _:
            return ProbeReport(at, "outbound", name, Target.BACKUP, True, "", "", 1.0)


def key(e: Event) -> object:
    match e:
        case DeviceBatch() | EdgeReport() | Tick():
            return (type(e), getattr(e, "device", ""), getattr(e, "edge", ""))
        case _:
            return e.at.mono_ns


KINDS = st.sampled_from(["batch", "edge", "tick", "order", "effect", "lease", "probe"])


@given(st.lists(st.tuples(KINDS, st.sampled_from("ab")), min_size=1, max_size=60))
async def test_overload_keeps_the_newest_and_every_order(posted: list[tuple[str, str]]) -> None:
    counters = Counters()
    inbox = Inbox(counters)
    events = [event(kind, name, number) for number, (kind, name) in enumerate(posted)]
    for one in events:
        inbox.post(one)
    newest = {key(e): e for e in events}
    expected = [e for e in events if newest[key(e)] is e]
    assert await inbox.take() == expected
    dropped = counters.coalesced_batches + counters.coalesced_reports + counters.coalesced_ticks
    assert dropped == len(events) - len(expected)
    assert len(inbox) == 0
