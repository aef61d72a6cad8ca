"""What must hold in every history, however the run went: each check returns what is wrong, in words.

Rules
- Pure: a history goes in, sentences come out; none means that it held.
- A check believes the witness that cannot be wrong about it: the edge about what it accepted, the door about what was
  on disk when a command passed, the people on call about what they were told.
"""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from math import inf

from chaos_history import History, Left, Line, Ordered

from envmon.core.heir_rules import HEIR_RULES, HeirAct
from envmon.core.mode_rules import MODE_RULES, ModeAct
from envmon.core.route_rules import ROUTE_RULES

EXECUTE_S = 32.0  # an effect begins within 30 s of its line, or never; and a moment to arrive
GIVER_S = 0.05  # between the last moment the giver of an order waits, and a decision on it
DYING_S = 1.0  # before an edge goes down and after it came up, calls may meet it half way
RUNTIME = (
    "journal/",
    "recorder",
    "recording",
    "lease/memory",
)  # pages of the runtime: not of the core, not in its status
UNSURE = "T23"  # its page is withdrawn the moment it is not so, which may be the same one
ROUTE_PAGES = {row.id for row in ROUTE_RULES if row.page is not None} - {UNSURE}
HOLDS = {row.id for row in MODE_RULES if row.action is ModeAct.HOLD}
HOLDS |= {row.id for row in HEIR_RULES if row.action is HeirAct.START_HELD}
CHANGES = {ModeAct.AUTOMATIC, ModeAct.OBSERVE, ModeAct.HOLD, ModeAct.RESUME, ModeAct.LIFT}
MODES = {row.id for row in MODE_RULES if row.action in CHANGES} | HOLDS
HOLD, DONE = "M30", '"ok": true'
FAILOVERS, GIVEN_UP = {"T10", "T60"}, {"T38", "T64", "T66", "T73"}


def check(history: History) -> list[str]:
    """Everything that is wrong, named by its check."""
    checks: dict[str, Callable[[History], Iterator[str]]] = {
        "blind": blind_witness,
        "two controllers": two_controllers,
        "zero sites": zero_sites,
        "stale order": stale_orders,
        "effect without line": without_line,
        "late effect": late_effects,
        "lost page": lost_pages,
        "two failovers": two_failovers,
        "forgotten hold": forgotten_hold,
        "journal": broken_journals,
        "replay": other_replays,
        "end": bad_end,
    }
    return [f"{name}: {said}" for name, look in checks.items() for said in look(history)]


def blind_witness(history: History) -> Iterator[str]:
    """What an edge has answered with 200 is in its log: a log that says nothing proves nothing."""
    for edge, told in history.accepted.items():
        logged = {(each.by, each.epoch, each.percent) for each in told}
        for write in history.writes:
            if (write.edge, write.status) == (edge, 200) and (write.daemon, write.epoch, write.percent) not in logged:
                yield f"{edge} took epoch {write.epoch}, {write.percent} of {write.daemon}, and its log does not say so"


def two_controllers(history: History) -> Iterator[str]:
    """At no edge does an epoch go back, and no epoch is that of two daemons."""
    owners: dict[int, str] = {}
    for edge, writes in history.accepted.items():
        newest = 0
        for write in writes:
            if write.epoch < newest:
                yield f"{edge} accepted epoch {write.epoch} of {write.by or 'the bench'} after epoch {newest}"
            newest = max(newest, write.epoch)
            if write.by and owners.setdefault(write.epoch, write.by) != write.by:
                yield f"epoch {write.epoch} was used by {owners[write.epoch]} and by {write.by}"
    for write in history.writes:
        if owners.setdefault(write.epoch, write.daemon) != write.daemon:
            yield f"epoch {write.epoch} was used by {owners[write.epoch]} and by {write.daemon}"


def zero_sites(history: History) -> Iterator[str]:
    """A call through an edge that is up is answered, and by a site that was really called."""
    for call in history.calls:
        down = any(
            each.edge == call.edge and call.at <= each.until + DYING_S and call.ended >= each.since - DYING_S
            for each in history.down
        )
        if not down and not (call.answered and call.site):
            yield f"a call at {call.at:.2f} through {call.edge} reached {call.site or 'no site'}: {call.detail}"


def stale_orders(history: History) -> Iterator[str]:
    """Nothing is decided on an order after its giver has stopped waiting for the answer."""
    for order in history.orders:
        for left in history.left:
            if left.daemon == order.daemon:
                yield from (
                    f"{order.command} ({order.reason}) at {left.daemon} was carried out by {line.rule} "
                    f"{line.at - order.until:.1f} s after its giver had left"
                    for line in _decided(left, order)
                    if not line.refused and line.at > order.until + GIVER_S
                )


def _decided(left: Left, order: Ordered) -> Iterator[Line]:
    ids = {line.order for line in left.lines if line.entry == "order" and f"({order.reason})" in line.text}
    yield from (line for line in left.lines if line.entry != "order" and line.order in ids and line.order)


def without_line(history: History) -> Iterator[str]:
    """No command reaches an edge before its line is on disk; no edge accepts what did not pass a door."""
    for write in history.writes:
        if write.permit < 0:
            what = "a stamp" if write.percent is None else f"{write.percent} %"
            yield f"{write.daemon} sent {what}, epoch {write.epoch}, to {write.edge}: its journal had no line for it"
    passed = {(write.daemon, write.edge, write.epoch, write.percent) for write in history.writes}
    for edge, writes in history.accepted.items():
        for each in writes:
            if each.by and (each.by, edge, each.epoch, each.percent) not in passed:
                yield f"{edge} accepted {each.percent} at epoch {each.epoch} of {each.by} that no door saw"


def late_effects(history: History) -> Iterator[str]:
    """No command leaves a daemon later than its line allows."""
    lines = {(left.daemon, line.seq): line for left in history.left for line in left.lines}
    for write in history.writes:
        line = lines.get((write.daemon, write.permit))
        if line is not None and write.at - line.at > EXECUTE_S:
            yield f"{write.daemon} sent what line {line.seq} permits {write.at - line.at:.0f} s later to {write.edge}"


def lost_pages(history: History) -> Iterator[str]:
    """What a line of the journal pages has arrived, or waits; what is open is open at the people on call, too."""
    told = {page.key for page in history.pages if page.action == "trigger"}
    told |= {key for left in history.left for key in left.waiting}
    for left in history.left:
        for line in left.lines:
            if (key := _paged(line)) and not any(each.endswith(key) for each in told):
                yield f"{left.daemon} decided {line.rule} in line {line.seq}, and no page {key} has arrived"
    yield from unlike(history)


def _paged(line: Line) -> str:
    """The end of the key of the page that a line's rule raises, "" for none."""
    if line.refused:
        return ""
    if line.rule in HOLDS:
        return "/mode/held"
    route = line.subject.partition(":")[2]
    return f"/{route}/{line.episode or 'quiet'}/{line.rule}" if line.rule in ROUTE_PAGES else ""


def unlike(history: History) -> Iterator[str]:
    """Every page that is open at a daemon, and not at the people on call, or the other way round.

    The daemons of a site share the keys, for an heir resolves what was open before it.
    """
    last = {page.key: page.action for page in history.pages if page.at <= history.asked}
    waiting = {key for left in history.left for key in left.waiting}
    there = {key for key, action in last.items() if action == "trigger" and not any(each in key for each in RUNTIME)}
    here = {key: end.daemon for end in history.ends for key in end.pages}
    for key in sorted(here.keys() - there - waiting):
        yield f"{here[key]} has {key} open, and the people on call do not"
    for key in sorted(there - here.keys() - waiting):
        yield f"the people on call have {key} open, and no daemon has"


def two_failovers(history: History) -> Iterator[str]:
    """One automatic failover in an episode, whoever makes it; one that was given up leaves another.

    A decision that no edge was ever told of is none: a holder cut off from what an heir must know keeps it to itself.
    """
    made: dict[str, list[str]] = {}
    for left in history.left:
        moves = [line for line in left.lines if line.rule in FAILOVERS | GIVEN_UP]
        sent = [write.permit for write in history.writes if write.daemon == left.daemon and write.percent]
        for line, after in zip_longest(moves, moves[1:]):
            last = after.seq if after is not None else inf
            if line.rule in GIVEN_UP or any(line.seq <= permit < last for permit in sent):
                made.setdefault(line.episode, []).append(f"{line.rule} by {left.daemon}")
    for episode, moves in made.items():
        begun = [move for move in moves if move[:3] in FAILOVERS]
        if len(begun) > 1 + len(moves) - len(begun):
            yield f"in episode {episode}: {', '.join(moves)}"


def forgotten_hold(history: History) -> Iterator[str]:
    """A hold that was answered as done is in force until the mode is changed, whoever holds the lease."""
    modes = sorted(
        (line.at, left.daemon, line.rule)
        for left in history.left
        for line in left.lines
        if line.rule in MODES and not line.refused
    )
    done = {order.daemon for order in history.orders if order.command == "hold" and DONE in order.answer}
    for end in history.ends:
        if end.held and end.mode != "held" and modes and modes[-1][2] == HOLD and modes[-1][1] in done:
            yield f"{modes[-1][1]} was held by order, and {end.daemon} is {end.mode}"


def broken_journals(history: History) -> Iterator[str]:
    """Every journal's chain is whole."""
    yield from (f"{left.daemon}: {left.journal}" for left in history.left if left.journal)


def other_replays(history: History) -> Iterator[str]:
    """Every recording replays identically, to the decisions of the journal, all of them, in their order."""
    for left in history.left:
        if left.replay:
            yield f"{left.daemon}: {left.replay}"
        written = [line.rule for line in left.lines if line.rule and line.rule[0] != "Z"]
        if not left.cut and written != list(left.replayed):
            yield f"{left.daemon}: the journal holds {' '.join(written)}, the replay decides {' '.join(left.replayed)}"


def bad_end(history: History) -> Iterator[str]:
    """When all is healed one daemon holds the lease, and the calls are where it says, or it holds still and pages."""
    if history.calm:
        yield history.calm
    holders = [end for end in history.ends if end.held]
    if len(holders) != 1:
        yield f"{len(holders)} daemons hold the lease"
        return
    (end,) = holders
    if end.mode == "held":
        if not any(key.endswith("/mode/held") for key in end.pages):
            yield f"{end.daemon} is held, and has no page about it open"
    elif end.edges_say != "agree" or len(set(history.percents.values())) != 1:
        yield f"{end.daemon} acts, and the edges do not agree: {history.percents}, {end.edges_say}"
    elif history.lost_room and end.position != "backup" and not end.latched:
        yield f"{end.daemon} acts, the room is lost, and the calls are at {end.position}"
