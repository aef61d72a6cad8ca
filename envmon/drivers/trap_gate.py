"""Who may knock: which datagrams of a flood are worth decoding.

Rules
  - Only the addresses of configured devices are let in; everything else is counted and dropped before it is looked at.
  - Each address has an allowance of its own, and all together have one: decoding costs a third of a millisecond to a
    few, and no flood, forged sender addresses included, may cost the polls their time.
  - What is dropped is never missed: a notification only says "look now", and every device is polled anyway.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a datagram."""

    ACCEPTED = "accepted"  # a notification of a device, with its own login
    HANDSHAKE = "handshake"  # version 3: a sender of informs asked who we are, and was told
    UNKNOWN_SENDER = "unknown_sender"  # from no device of ours
    LIMITED = "limited"  # from a device, beyond its allowance or everybody's
    REFUSED = "refused"  # a wrong community, user, password or security level, or no notification at all
    MALFORMED = "malformed"  # not SNMP
    OVERFLOWED = "overflowed"  # dropped by the kernel: we read no faster than ``traps.READS_PER_S``


@dataclass(slots=True)
class Allowance:
    """A bucket of ``burst`` that fills at ``per_s`` a second. Times are seconds of one monotonic clock."""

    per_s: float
    burst: float
    _level: float = -1.0
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Take one, where there is one."""
        full = self._level < 0
        self._level = self.burst if full else min(self.burst, self._level + (now - self._at) * self.per_s)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


@dataclass(slots=True)
class Gate:
    """The gate of one listener. ``counts`` are for the metrics."""

    per_sender_s: float = 2.0
    burst: float = 10.0  # a v3 inform takes three datagrams
    all_per_s: float = 20.0
    all_burst: float = 100.0
    counts: Counter[Outcome] = field(default_factory=Counter)
    _known: dict[str, Allowance] = field(default_factory=dict)
    _all: Allowance = field(default_factory=lambda: Allowance(0, 0))

    def __post_init__(self) -> None:
        self._all = Allowance(self.all_per_s, self.all_burst)

    def let_in(self, senders: Iterable[str]) -> None:
        """Replace the addresses that may knock; those that stay keep what is left of their allowance."""
        self._known = {
            sender: self._known.get(sender) or Allowance(self.per_sender_s, self.burst) for sender in senders
        }

    def admits(self, sender: str, now: float) -> bool:
        """Whether a datagram is worth decoding; one that is not is counted."""
        own = self._known.get(sender)
        if own is None:
            self.counts[Outcome.UNKNOWN_SENDER] += 1
            return False
        if not own.take(now) or not self._all.take(now):
            self.counts[Outcome.LIMITED] += 1
            return False
        return True
