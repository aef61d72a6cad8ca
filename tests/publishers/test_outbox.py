"""The outbox: bounded, newest wins, fair, one in flight per topic."""

from hypothesis import given
from hypothesis import strategies as st

from envmon.publishers.outbox import Outbox


def test_newest_wins_and_keeps_its_place() -> None:
    outbox = Outbox(10)
    outbox.offer("a", 1)
    outbox.offer("b", 2)
    outbox.offer("a", 3)
    assert [outbox.take(), outbox.take(), outbox.take()] == ["a", "b", None]
    assert (outbox.settle("a"), outbox.settle("b"), outbox.replaced) == (3, 2, 1)


def test_one_in_flight_per_topic() -> None:
    outbox = Outbox(10)
    outbox.offer("a", 1)
    assert outbox.take() == "a"
    outbox.offer("a", 2)
    assert outbox.take() is None, "the newer state waits for the answer to the older"
    outbox.settle("a")
    assert outbox.take() == "a"


def test_the_longest_waiting_goes_first_when_full() -> None:
    outbox = Outbox(2)
    for topic in "abc":
        outbox.offer(topic)
    assert [outbox.take(), outbox.take(), outbox.dropped] == ["b", "c", 1]


def test_restart_forgets_what_was_in_flight() -> None:
    outbox = Outbox(10)
    outbox.offer("a", 1)
    outbox.take()
    outbox.restart([("b", 2), ("a", 1)])
    assert (outbox.in_flight, len(outbox)) == (0, 2)
    assert [outbox.take(), outbox.take()] == ["b", "a"]


@given(st.lists(st.tuples(st.sampled_from("otsx"), st.integers(0, 6))), st.integers(1, 4))
def test_nothing_is_lost_uncounted(steps: list[tuple[str, int]], limit: int) -> None:
    outbox = Outbox(limit)
    offered = settled = 0
    flying: list[str] = []
    for step, number in steps:
        match step:
            case "o":
                outbox.offer(f"t{number}")
                offered += 1
            case "t":
                if topic := outbox.take():
                    assert topic not in flying
                    flying.append(topic)
            case _ if flying:
                outbox.settle(flying.pop())
                settled += 1
        assert len(outbox) <= limit
        assert offered == settled + len(flying) + len(outbox) + outbox.dropped + outbox.replaced
