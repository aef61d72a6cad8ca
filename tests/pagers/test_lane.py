"""Which page goes next, what a newer one replaces, and what goes when there are too many."""

from hypothesis import given, settings
from hypothesis import strategies as st
from page_server import page

from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Envelope
from envmon.pagers.lane import Lane


class Bench:
    """A lane and the numbers it is given."""

    def __init__(self, limit: int = 100) -> None:
        self.lane = Lane(limit)
        self.number = 0

    def offer(
        self, key: str, raised: bool = True, urgency: Urgency = Urgency.ERROR, summary: str = ""
    ) -> tuple[int, ...]:
        self.number += 1
        return self.lane.offer(Envelope(self.number, 0.0, "s", page(key, raised, urgency, summary)))

    def waiting(self) -> list[str]:
        return [("+" if item.page.raised else "-") + item.page.key + item.page.summary for item in self.lane]

    def send(self, now: float = 0.0) -> Envelope:
        row = self.lane.next(now)
        assert row is not None
        self.lane.start(row.envelope.number)
        return row.envelope


def test_a_newer_raise_replaces_the_waiting_one() -> None:
    bench = Bench()
    bench.offer("a", summary="1")
    bench.offer("b")
    assert bench.offer("a", summary="2") == (1,)
    assert bench.waiting() == ["+b", "+a2"]


def test_a_raise_swallows_the_waiting_raise_and_its_resolve() -> None:
    bench = Bench()
    for raised, summary in ((True, "1"), (False, ""), (True, "2"), (False, ""), (False, "last"), (True, "3")):
        bench.offer("a", raised, summary=summary)
    assert bench.waiting() == ["+a3"]


def test_a_resolve_stays_behind_its_trigger_and_before_the_next() -> None:
    bench = Bench()
    bench.offer("a", False, summary="of an earlier trigger")
    bench.offer("a", True, summary="1")
    bench.offer("a", False)
    assert bench.waiting() == ["-aof an earlier trigger", "+a1", "-a"]
    bench.offer("a", True, summary="2")
    assert bench.waiting() == ["-aof an earlier trigger", "+a2"]


def test_the_most_urgent_goes_first_then_the_oldest() -> None:
    bench = Bench()
    for key, urgency in (("i", Urgency.INFO), ("e", Urgency.ERROR), ("w", Urgency.WARNING), ("c", Urgency.CRITICAL)):
        bench.offer(key, urgency=urgency)
    bench.offer("e2", urgency=Urgency.ERROR)
    order = []
    while len(bench.lane):
        sent = bench.send()
        bench.lane.done(sent.number)
        order.append(sent.page.key)
    assert order == ["c", "e", "e2", "w", "i"]


def test_a_critical_page_behind_a_resolve_of_its_key_lends_it_its_urgency() -> None:
    bench = Bench()
    bench.offer("other", urgency=Urgency.ERROR)
    bench.offer("a", False, urgency=Urgency.INFO)
    bench.offer("a", True, urgency=Urgency.CRITICAL)
    assert not bench.send().page.raised


def test_a_failed_page_holds_up_its_key_only() -> None:
    bench = Bench()
    bench.offer("a")
    bench.offer("a", False)
    bench.offer("b")
    bench.lane.failed(bench.send().number, due=10.0)
    assert bench.lane.wait_s(4.0) == 0.0
    bench.lane.done(bench.send().number)
    assert bench.waiting() == ["+a", "-a"]
    assert bench.lane.next(9.9) is None
    assert bench.lane.wait_s(4.0) == 6.0
    assert bench.send(10.0).page.raised
    assert Lane(1).wait_s(0.0) is None


def test_a_page_on_its_way_is_not_touched_and_a_repetition_of_it_is_not_needed() -> None:
    bench = Bench()
    bench.offer("a", summary="1")
    bench.send()
    assert bench.offer("a", summary="1") == (2,)
    assert bench.offer("a", summary="2") == ()
    bench.lane.done(1)
    assert bench.waiting() == ["+a2"]


def test_when_it_fails_what_was_raised_meanwhile_replaces_it() -> None:
    bench = Bench()
    bench.offer("a", summary="1")
    bench.send()
    bench.offer("a", False)
    bench.offer("a", summary="2")
    assert bench.lane.failed(1, due=5.0) == (1, 2)
    assert bench.waiting() == ["+a2"]
    assert bench.lane.next(4.0) is None, "a newer text waits as long as the one it replaces"


def test_when_a_trigger_fails_its_resolve_still_waits_behind_it() -> None:
    bench = Bench()
    bench.offer("a")
    bench.send()
    bench.offer("a", False)
    assert bench.lane.failed(1, due=5.0) == ()
    assert bench.waiting() == ["+a", "-a"]


def test_when_a_resolve_fails_the_next_trigger_waits_behind_it() -> None:
    bench = Bench()
    bench.offer("a", False)
    bench.send()
    bench.offer("a", True)
    assert bench.lane.failed(1, due=0.0) == ()
    assert not bench.send().page.raised


def test_a_more_urgent_text_does_not_wait_for_the_old_ones_turn() -> None:
    bench = Bench()
    bench.offer("a", urgency=Urgency.WARNING)
    bench.lane.failed(bench.send().number, due=60.0)
    bench.offer("a", urgency=Urgency.WARNING, summary="same")
    assert bench.lane.next(1.0) is None
    bench.offer("a", urgency=Urgency.CRITICAL, summary="worse")
    assert bench.send(1.0).page.summary == "worse"


def test_too_many_pages_the_least_worth_goes_first() -> None:
    bench = Bench(limit=4)
    bench.offer("c1", urgency=Urgency.CRITICAL)
    bench.offer("i", urgency=Urgency.INFO)
    bench.offer("r", False, urgency=Urgency.CRITICAL)
    bench.offer("w", urgency=Urgency.WARNING)
    gone = [bench.offer(f"c{number}", urgency=Urgency.CRITICAL) for number in range(2, 6)]
    assert gone == [(2,), (3,), (4,), (1,)]
    assert bench.offer("late info", urgency=Urgency.INFO) == (9,), "nothing is worth less than the newcomer"
    assert bench.waiting() == ["+c2", "+c3", "+c4", "+c5"]
    assert bench.lane.dropped == 5


PAGES = st.builds(page, st.sampled_from("abc"), st.booleans(), st.sampled_from(Urgency), st.sampled_from(["x", "y"]))
STEPS = st.lists(st.one_of(PAGES, st.sampled_from(["start", "deliver", "fail"])), max_size=60)


class Receiver:
    """Drives a lane step by step and remembers what arrived; ``kept`` is what a disk following the lane holds."""

    def __init__(self, limit: int) -> None:
        self.lane = Lane(limit)
        self.now = 0.0
        self.offered: dict[int, Page] = {}
        self.kept: set[int] = set()
        self.received: list[int] = []
        self.sending = 0

    def take(self, step: Page | str) -> None:
        self.now += 0.4
        match step:
            case Page():
                number = len(self.offered) + 1
                self.offered[number] = step
                self.kept.add(number)
                self.kept.difference_update(self.lane.offer(Envelope(number, 0.0, "s", step)))
            case "start" if not self.sending:
                row = self.lane.next(self.now)
                if row is not None:
                    self.sending = row.envelope.number
                    self.lane.start(self.sending)
            case "deliver" if self.sending:
                self.lane.done(self.sending)
                self.received.append(self.sending)
                self.kept.remove(self.sending)
                self.sending = 0
            case "fail" if self.sending:
                self.kept.difference_update(self.lane.failed(self.sending, self.now + 1.0))
                self.sending = 0
        assert {item.number for item in self.lane} == self.kept


@settings(max_examples=300)
@given(STEPS, st.sampled_from([3, 1000]))
def test_what_a_receiver_sees(steps: list[Page | str], limit: int) -> None:
    """Per key: in the order raised, never a page twice, and in the end the newest state of every key."""
    receiver = Receiver(limit)
    for step in steps:
        receiver.take(step)
        assert len(receiver.lane) <= limit
    receiver.take("deliver")
    receiver.now += 100.0
    while len(receiver.lane):
        receiver.take("start")
        receiver.take("deliver")

    offered = receiver.offered
    for key in "abc":
        numbers = [number for number in receiver.received if offered[number].key == key]
        assert numbers == sorted(set(numbers))
        mine = [number for number in offered if offered[number].key == key]
        if mine and limit == 1000:
            assert offered[numbers[-1]] == offered[mine[-1]], "the newest state arrives"
            first = next((number for number in mine if offered[number].raised), None)
            late = [number for number in numbers if not offered[number].raised and first is not None and number > first]
            assert not late or any(offered[number].raised for number in numbers if number < late[0])
