"""Each check of the chaos bench finds the history that was made up for it, and nothing in a good one."""

from dataclasses import replace
from typing import Any

import pytest
from chaos_checks import check
from chaos_history import Accepted, Call, Down, Ended, History, Left, Line, Ordered, Taken, Write, accepted
from chaos_plan import KINDS, plan

HELD = "envmon/chaos_1/mode/held"
THERE = "envmon/chaos_1/outbound/77/T20"


def line(seq: int, at: float, rule: str, **more: object) -> Line:
    entry = {"T": "decision", "O": "decision", "M": "mode", "L": "lease"}.get(rule[:1], "order")
    subject = {"decision": "route:outbound", "order": "mode"}.get(entry, entry)
    return Line(seq, at, entry, rule, subject, "", **({"episode": "77"} if entry == "decision" else {}), **more)  # type: ignore[arg-type]


def page(key: str, at: float = 12.0, daemon: str = "a", action: str = "trigger") -> Taken:
    return Taken(at, daemon, "chaos_1", key, action, 1)


def good() -> History:
    """a shifts, is fenced while it is frozen; b takes over and holds."""
    a = (line(1, 1.0, "L10"), line(2, 10.0, "T10"), line(3, 12.0, "T20"))
    b = (line(1, 20.0, "L10"), line(2, 21.0, "M52"))
    keys = [f"envmon/chaos_1/outbound/77/{rule}" for rule in ("T10", "T20")]
    ends = (
        Ended("a", False, 0, "automatic", "backup", 100, "agree", True, (THERE,)),
        Ended("b", True, 6, "held", "backup", 100, "agree", False, (HELD,)),
    )
    return History(
        lost_room=True,
        accepted={
            "edge0": (Accepted("edge0", 4, 0, ""), Accepted("edge0", 5, None, "a"), Accepted("edge0", 5, 100, "a"),
                      Accepted("edge0", 6, None, "b")),
            "edge1": (Accepted("edge1", 5, None, "a"), Accepted("edge1", 6, None, "b")),
        },
        writes=(
            Write(1.1, "a", "edge0", 5, None, 1, 200), Write(1.1, "a", "edge1", 5, None, 1, 200),
            Write(10.1, "a", "edge0", 5, 100, 2, 200), Write(10.1, "a", "edge1", 5, 100, 2, 409),
            Write(20.1, "b", "edge0", 6, None, 1, 200), Write(20.1, "b", "edge1", 6, None, 1, 200),
        ),
        calls=(Call(5.0, 5.2, "edge0", True, "primary"), Call(15.0, 15.2, "edge0", True, "backup"),
               Call(16.0, 22.0, "edge1", False, "")),
        pages=(page(keys[0]), page(keys[0], 13.0, action="resolve"), page(keys[1]), page(HELD, daemon="b")),
        orders=(Ordered("a", "arm", "arm a", 0.0, 0.1, "{}"), Ordered("b", "hold", "chaos 1", 3.0, 5.0, "")),
        down=(Down("edge1", 15.5, 17.0),),
        left=(Left("a", a, replayed=("L10", "T10", "T20")), Left("b", b, replayed=("L10", "M52"))),
        ends=ends,
        percents={"edge0": 100, "edge1": 100},
    )  # fmt: skip


def left(history: History, daemon: str, **changes: Any) -> History:
    """The history with another journal; the replay decides the same unless it is named, too."""
    if "lines" in changes:
        changes = {"replayed": tuple(line.rule for line in changes["lines"] if line.rule), **changes}
    return replace(
        history, left=tuple(replace(each, **changes) if each.daemon == daemon else each for each in history.left)
    )


def end(history: History, daemon: str, **changes: object) -> History:
    return replace(
        history, ends=tuple(replace(each, **changes) if each.daemon == daemon else each for each in history.ends)
    )


def test_a_good_history_has_nothing_wrong() -> None:
    assert check(good()) == []


H = good()
WRITE = Write(30.0, "a", "edge0", 5, 0, 3, 200)


def ordered(at: float, *, refused: bool = False) -> History:
    """An order of b whose giver left at 5.0, decided at another moment."""
    lines = (
        *H.left[1].lines,
        Line(3, at, "order", "", "mode", "order: hold (chaos 1)", order="x"),
        Line(4, at, "mode", "M30", "mode", "", order="x", refused=refused),
    )
    return left(H, "b", lines=lines)


def accepts(edge: str, *writes: Accepted) -> dict[str, tuple[Accepted, ...]]:
    return {**H.accepted, edge: writes}


def writes(*more: Write) -> History:
    return replace(H, writes=(*H.writes, *more))


GIVEN_UP = "envmon/chaos_1/outbound/77/T38"
STAMPED = Accepted("edge1", 5, None, "a")
BACK = (*H.accepted["edge0"], Accepted("edge0", 5, 0, "a"))
SHARED = accepts("edge1", STAMPED, Accepted("edge1", 5, 100, "b"))
PAST = accepts("edge1", STAMPED, Accepted("edge1", 5, 50, "a"))
UNTOLD = tuple(each for each in H.pages if "T10" not in each.key)
APART = {"edge0": 100, "edge1": 0}
HELD_BY_A = end(
    left(left(H, "b", lines=()), "a", lines=(*H.left[0].lines, line(4, 13.0, "M30"))),
    "b",
    mode="automatic",
)
AGAIN = Write(30.1, "b", "edge0", 6, 100, 3, 200)
DONE = Ordered("a", "hold", "chaos 2", 12.9, 13.0, '{"ok": true, "refused": false}')
BAD = {
    "an edge whose log is silent": ("blind", replace(H, accepted=accepts("edge0"))),
    "an older epoch accepted": ("two controllers", replace(writes(WRITE), accepted=accepts("edge0", *BACK))),
    "one epoch of two daemons": (
        "two controllers", replace(writes(Write(10.2, "b", "edge1", 5, 100, 1, 200)), accepted=SHARED),
    ),
    "an epoch sent by two daemons": ("two controllers", writes(Write(30.0, "a", "edge0", 6, 0, 3, 409))),
    "a call nobody answered": ("zero sites", replace(H, calls=(*H.calls, Call(18.9, 24.0, "edge1", False, "")))),
    "a call answered by nobody we know": ("zero sites", replace(H, calls=(Call(8.0, 8.1, "edge0", True, ""),))),
    "an order carried out late": ("stale order", ordered(9.0)),
    "a command without its line": ("effect without line", writes(replace(WRITE, epoch=7, permit=-1))),
    "a command past the doors": ("effect without line", replace(H, accepted=PAST)),
    "a command long after its line": (
        "late effect", replace(H, writes=(*H.writes[:2], replace(H.writes[2], at=43.0))),
    ),
    "a decision nobody was told of": ("lost page", replace(H, pages=UNTOLD)),
    "a page that is open here only": ("lost page", replace(H, pages=(*H.pages, page(THERE, 14.0, action="resolve")))),
    "a page that is open there only": ("lost page", end(H, "a", pages=())),
    "two failovers of one episode": (
        "two failovers",
        left(writes(AGAIN), "b", lines=(*H.left[1].lines, line(3, 30.0, "T10"))),
    ),
    "a hold the heir does not know": ("forgotten hold", replace(HELD_BY_A, orders=(DONE,))),
    "a broken chain": ("journal", left(H, "a", journal="line 2 was changed")),
    "another replay": ("replay", left(H, "a", replay="it replays otherwise")),
    "a replay of what was not decided": ("replay", left(H, "a", replayed=("L10", "T10", "T10"))),
    "a decision the replay does not know": ("replay", left(H, "a", replayed=("L10", "T20"))),
    "no end": ("end", replace(H, calm="not calm within 60 s")),
    "nobody holds": ("end", end(H, "b", held=False)),
    "both hold": ("end", end(H, "a", held=True)),
    "held without a page": ("end", end(replace(H, pages=H.pages[:3]), "b", pages=())),
    "edges that differ": ("end", end(replace(H, percents=APART), "b", mode="automatic")),
    "an edge that shows another": ("end", end(H, "b", mode="automatic", edges_say="contested")),
    "calls left in a lost room": ("end", end(H, "b", mode="automatic", position="primary", commanded=0)),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_history_is_caught(what: str) -> None:
    named, history = BAD[what]
    assert named in {said.partition(":")[0] for said in check(history)}


@pytest.mark.parametrize(
    "history",
    [
        ordered(5.04),
        ordered(9.0, refused=True),
        left(replace(H, pages=tuple(each for each in H.pages if "T20" not in each.key)), "a", waiting=(THERE,)),
        left(H, "a", replayed=("L10", "T10", "T10"), cut=True),
        left(H, "b", lines=(*H.left[1].lines, line(3, 30.0, "T38"), line(4, 31.0, "T10")), waiting=(GIVEN_UP,)),
        replace(HELD_BY_A, orders=(DONE,), left=(HELD_BY_A.left[0], H.left[1])),  # resumed since
        left(H, "b", lines=(*H.left[1].lines, line(3, 30.0, "T10"))),  # and no edge was told
        replace(H, pages=(*H.pages, page(THERE, 70.0, action="resolve")), asked=60.0),
        replace(HELD_BY_A, orders=(replace(DONE, answer='{"ok": false, "error": "... would not know of it"}'),)),
    ],
)  # fmt: skip
def test_what_may_happen_is_no_finding(history: History) -> None:
    assert check(history) == []


def test_an_edges_log_is_read_in_its_order_and_names_who_wrote() -> None:
    log = (
        " 7(12) NOTICE: {1 1 PUT} <script>: envmon: fence 3 -> 4, by 10.0.0.1\n"
        " 7(12) INFO: something else: fence\n"
        " 8(13) NOTICE: {1 1 PUT} <script>: envmon: outbound 0 -> 100 percent to the backup, epoch 4, by 10.0.0.9\n"
    )
    assert accepted("edge0", log, {"10.0.0.1": "a"}) == (
        Accepted("edge0", 4, None, "a"),
        Accepted("edge0", 4, 100, ""),
    )


def test_a_seed_is_one_plan_and_every_kind_is_drawn() -> None:
    plans = [plan(seed) for seed in range(400)]
    assert plans == [plan(seed) for seed in range(400)]
    assert {fault.kind for each in plans for fault in each.faults} == set(KINDS)
    assert {len(each.faults) for each in plans} == {1, 2, 3, 4}
