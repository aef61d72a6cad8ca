"""What the counters of an edge say between two looks: where its new calls went, and how they ended.

Rules
  - A call counts at the site it was first sent to; one that was tried again at the other site is no word of the knob.
  - Counters start at 0 with each life of an edge: two looks of different lives say nothing together.
  - A share is refuted only where chance would show it less than once in ``UNLIKELY`` looks.

Theory of operation
  An edge sends each new call by its own throw of the dice, so of n calls about n x share go to the backup. Chernoff's
  bound says how unlikely a count as far off as k is: at most exp(-n x D(k/n, share)), D the relative entropy of the
  two shares. It holds for any n, so no smallest sample has to be named: few calls refute nothing by themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import log

from envmon.model.event import EdgeStatus

UNLIKELY = 1e6
FAILED_CALLS = 5
FAILED_SHARE = 0.1
ENOUGH_ENDED = 20
POOR = 0.5  # an answer ratio below this share of the other site's is a fault of the site, not of who was called


@dataclass(frozen=True, slots=True)
class Tally:
    """New calls by the site they were sent to, and how calls ended there; all counts."""

    primary: int = 0
    backup: int = 0
    answered_primary: int = 0
    answered_backup: int = 0
    refused_primary: int = 0  # busy, not found, given up by the caller: an end that is no fault of the site
    refused_backup: int = 0
    failed_primary: int = 0
    failed_backup: int = 0

    @property
    def calls(self) -> int:
        """All new calls."""
        return self.primary + self.backup


def tally(start: EdgeStatus, now: EdgeStatus) -> Tally:
    """Count what happened at one edge between two looks; nothing where it started anew, or counts nothing."""
    if start.up_since != now.up_since or not now.counts:
        return Tally()
    return Tally(
        now.calls_primary - start.calls_primary,
        max(0, (now.calls_backup - now.retried) - (start.calls_backup - start.retried)),
        now.answered_primary - start.answered_primary,
        now.answered_backup - start.answered_backup,
        now.refused_primary - start.refused_primary,
        now.refused_backup - start.refused_backup,
        now.failed_primary - start.failed_primary,
        now.failed_backup - start.failed_backup,
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """Add the tallies of several edges."""
    each = list(tallies)
    return Tally(*(sum(getattr(one, field.name) for one in each) for field in fields(Tally)))


def refutes(counted: Tally, percent: int, *, ends: bool) -> bool:
    """Whether calls went otherwise than ``percent`` to the backup.

    Too many at the backup refute only where the edge tells which of them were tried again there (``ends``).
    """
    if percent in (0, 100):
        return (counted.primary if percent == 100 else counted.backup) > 0
    if counted.calls == 0 or (counted.backup * 100 > counted.calls * percent and not ends):
        return False
    return counted.calls * _entropy(counted.backup / counted.calls, percent / 100) > log(UNLIKELY)


def _entropy(seen: float, wanted: float) -> float:
    """Relative entropy of two shares, in nats."""
    parts = ((seen, wanted), (1 - seen, 1 - wanted))
    return sum(a * log(a / b) for a, b in parts if a > 0)


def falters(counted: Tally, *, backup: bool, before: Tally) -> bool:
    """Whether a site fails the calls it is given: many of them, or answers far fewer than the other site did.

    ``before`` is what the edges have counted since they started.
    """
    answered, refused, failed = _ends(counted, backup=backup)
    ended = answered + refused + failed
    if failed >= FAILED_CALLS and failed >= FAILED_SHARE * ended:
        return True
    other, *rest = _ends(before, backup=not backup)
    if ended < ENOUGH_ENDED or other + sum(rest) < ENOUGH_ENDED:
        return False
    return answered / ended < POOR * other / (other + sum(rest))


def _ends(counted: Tally, *, backup: bool) -> tuple[int, int, int]:
    if backup:
        return counted.answered_backup, counted.refused_backup, counted.failed_backup
    return counted.answered_primary, counted.refused_primary, counted.failed_primary
