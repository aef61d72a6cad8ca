"""The pages that wait for one pager: which goes next, which a newer one replaces, which goes when there are too many.

Rules
  - Pages of one key leave in the order they were raised: a resolve never overtakes its trigger.
  - A newer raise of a key replaces what waits of it (a receiver that missed the first text needs the newest only);
    a page that is being sent is never touched.
  - Among keys the most urgent goes first, then the oldest; a page that failed waits without holding up other keys.
  - Beyond ``limit`` the oldest resolve or info goes first, then warning, error, critical; each is counted.

Pure: no clock, no disk. Times are the caller's monotonic seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envmon.model.effect import Urgency
from envmon.pagers.contract import Envelope

RANK = {Urgency.CRITICAL: 0, Urgency.ERROR: 1, Urgency.WARNING: 2, Urgency.INFO: 3}


@dataclass(slots=True)
class Waiting:
    """A page on its way: how often it was tried, from when on it may be tried again, and since when it is refused."""

    envelope: Envelope
    attempts: int = 0
    due: float = 0.0
    refused_at: float | None = None


class Lane:
    """Undelivered pages of one pager, oldest first."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._limit = max(1, limit)
        self._rows: dict[int, Waiting] = {}  # by number, which only grows
        self._sending = -1

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Envelope]:
        return (row.envelope for row in self._rows.values())

    @property
    def refused(self) -> int:
        """Pages that wait although their receiver has refused them."""
        return sum(row.refused_at is not None for row in self._rows.values())

    def offer(self, envelope: Envelope) -> tuple[int, ...]:
        """Take a page in; returns the numbers that no longer wait (its own when it is not needed)."""
        key, page = envelope.page.key, envelope.page
        rows = [row for row in self._rows.values() if row.envelope.page.key == key]
        if rows and rows[-1].envelope.number == self._sending and rows[-1].envelope.page == page:
            return (envelope.number,)
        fresh = Waiting(envelope)
        replaced = self._replaced([row for row in rows if row.envelope.number != self._sending], raised=page.raised)
        for row in replaced:
            del self._rows[row.envelope.number]
        if replaced:
            _inherit(fresh, replaced[0])
        self._rows[envelope.number] = fresh
        return (*(row.envelope.number for row in replaced), *self._shed())

    def next(self, now: float) -> Waiting | None:
        """The page to send now, None when none is due."""
        due = [(rank, row) for rank, row in self._heads() if row.due <= now]
        return min(due, key=lambda item: (item[0], item[1].envelope.number))[1] if due else None

    def wait_s(self, now: float) -> float | None:
        """Seconds until a page is due, None when none waits."""
        dues = [row.due for _, row in self._heads()]
        return max(0.0, min(dues) - now) if dues else None

    def start(self, number: int) -> None:
        """The page is being sent; one at a time."""
        self._sending = number

    def done(self, number: int) -> None:
        """The page needs no more attempts: delivered, or given up."""
        self._sending = -1
        del self._rows[number]

    def failed(self, number: int, due: float) -> tuple[int, ...]:
        """Try again from ``due`` on; returns the numbers a newer raise of the key has made needless."""
        self._sending = -1
        row = self._rows[number]
        row.attempts, row.due = row.attempts + 1, due
        if not row.envelope.page.raised:
            return ()
        rows = [other for other in self._rows.values() if other.envelope.page.key == row.envelope.page.key]
        last = max(index for index, other in enumerate(rows) if other.envelope.page.raised)
        for other in rows[:last]:
            del self._rows[other.envelope.number]
        if last > 0:
            _inherit(rows[last], row)
        return tuple(other.envelope.number for other in rows[:last])

    def _heads(self) -> list[tuple[int, Waiting]]:
        """The oldest page of each key, with the rank of the key's most urgent one."""
        heads: dict[str, tuple[int, Waiting]] = {}
        for row in self._rows.values():
            page = row.envelope.page
            rank, head = heads.get(page.key, (RANK[page.urgency], row))
            heads[page.key] = (min(rank, RANK[page.urgency]), head)
        return list(heads.values())

    @staticmethod
    def _replaced(rows: list[Waiting], *, raised: bool) -> list[Waiting]:
        """What of the key's waiting pages a new one makes needless."""
        if raised:
            first = next((index for index, row in enumerate(rows) if row.envelope.page.raised), len(rows))
            return rows[first:]
        return rows[-1:] if rows and not rows[-1].envelope.page.raised else []

    def _shed(self) -> tuple[int, ...]:
        """Make the lane fit its limit."""
        shed: list[int] = []
        while len(self._rows) > self._limit:
            victims = [row.envelope for row in self._rows.values() if row.envelope.number != self._sending]
            if not victims:
                break
            victim = max(victims, key=lambda item: (_worth(item), -item.number))
            del self._rows[victim.number]
            self.dropped += 1
            shed.append(victim.number)
        return tuple(shed)


def _inherit(newer: Waiting, older: Waiting) -> None:
    """A newer text waits as long as the one it replaces, so that flapping is no storm; a more urgent one does not."""
    if RANK[newer.envelope.page.urgency] >= RANK[older.envelope.page.urgency]:
        newer.attempts, newer.due = older.attempts, older.due


def _worth(envelope: Envelope) -> int:
    """How little would be lost: the rank of its urgency; a resolve counts as info."""
    return RANK[envelope.page.urgency] if envelope.page.raised else RANK[Urgency.INFO]
