"""Edges that see no calls (DNS, dispatcher): what their silence about calls may prove, and what it may not."""

from envmon.core import snapshot
from envmon.model.event import EdgeReport, EdgeStatus
from envmon.model.verdict import Position
from tests.core.room import Room


class BlindRoom(Room):
    """A room whose edges report their position but no calls."""

    def ask_edges(self) -> None:
        for name, edge in self.edges.items():
            told = (edge.percent, edge.set_epoch, edge.fence, edge.up_since)
            status = EdgeStatus(name, "outbound", *told, 0, 0, 0, 0, counts=False)
            self.tell(EdgeReport(self.at, name, (status,)))


def moved() -> BlindRoom:
    room = BlindRoom().armed()
    room.lose_units(1, 2, 3)
    while room.route.position is not Position.BACKUP:
        room.run(1, heat=0.06)
        assert room.now_ns < 3_000 * 1_000_000_000
    return room


def test_probe_calls_prove_the_move_where_no_call_is_counted():
    assert "T20" in moved().rules


def test_the_last_call_has_left_when_the_longest_has_ended_and_not_before():
    room = moved()
    room.run(240)
    assert "T23" not in room.rules, "0 calls counted is not 0 calls"
    room.run(120)
    assert "T23" in room.rules


def test_what_an_edge_cannot_count_is_remembered():
    room = moved()
    restored = snapshot.load(snapshot.dump(room.world), room.at)
    assert [view.counts for view in restored.routes["outbound"].confirmed.values()] == [False, False]
