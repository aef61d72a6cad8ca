"""What one person may have of the order socket."""

import os

import pytest

from envmon.model.event import Access
from envmon.runtime.bucket import Buckets
from envmon.runtime.crowd import CLIENTS, EACH, ORDERS, REQUESTS, TOO_MANY, VAIN, Crowd
from envmon.runtime.people import Peer

ANN, BOB = (Peer(70_001 + n, 70_001 + n) for n in range(2))


def test_a_bucket_fills_and_is_bounded() -> None:
    now = 0.0
    buckets = Buckets({}, (2, 0.5), lambda: now)
    assert [buckets.take("ann") for _ in range(3)] == [True, True, False]
    now = 2.0
    assert [buckets.take("ann") for _ in range(2)] == [True, False]
    assert all(buckets.take(str(n)) for n in range(999))
    now = 60.0
    assert buckets.take("somebody else"), "full buckets were forgotten"


def test_who_has_many_clients_keeps_nobody_else_out() -> None:
    crowd = Crowd()
    assert {crowd.enter(ANN) for _ in range(EACH)} == {""}
    assert "clients of yours are connected already" in crowd.enter(ANN)
    assert crowd.enter(BOB) == ""
    crowd.leave(ANN)
    assert crowd.enter(ANN) == ""


def test_all_together_have_an_end_but_who_could_end_the_daemon_gets_in() -> None:
    crowd = Crowd()
    people = [Peer(80_000 + n, 80_000 + n) for n in range(CLIENTS)]
    assert {crowd.enter(each) for each in people} == {""}
    assert crowd.enter(ANN) == f"{CLIENTS} clients are connected already; try again"
    assert crowd.enter(Peer(0, 0)) == crowd.enter(Peer(os.geteuid(), os.geteuid())) == ""
    for each in people:
        crowd.leave(each)
    assert crowd.enter(ANN) == ""


def test_who_asks_without_end_is_turned_away_and_somebody_reads_of_it_once(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd()
    told = [crowd.ask(ANN) for _ in range(int(REQUESTS[0]) + 50)]
    assert (set(told[: int(REQUESTS[0])]), told[-1]) == ({""}, TOO_MANY)
    assert crowd.enter(ANN) == TOO_MANY, "a connection is a request, too"
    assert crowd.ask(BOB) == ""
    assert {crowd.ask(Peer(0, ANN.login)) for _ in range(500)} == {""}, "by sudo: root, who could end the daemon"
    assert caplog.text.count("uid 70001 asks too much") == 1


@pytest.mark.parametrize(("access", "most"), [(Access.VIEWER, VAIN[0]), (Access.OPERATOR, ORDERS[0])])
def test_orders_are_fewer_than_looks_and_fewest_in_vain(access: Access, most: float) -> None:
    crowd = Crowd()
    given = [crowd.order(ANN, access) for _ in range(int(most) + 3)]
    assert given == [""] * int(most) + [TOO_MANY] * 3
    assert crowd.ask(ANN) == ""
