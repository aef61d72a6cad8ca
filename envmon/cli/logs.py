"""What the daemon writes to its log: one line a decision, at the level of its page, so that journalctl -p finds it.

Rules
  - Under systemd every line begins with its priority (sd-daemon(3)); elsewhere with the name of its level.
  - No more than ``MOST`` decisions a minute: a flood of orders must not push the rest out of the log. How many were
    left out is said; the journal holds them all.
"""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from envmon.core.guard import REFUSED
from envmon.core.words import rule_of
from envmon.core.zone_rules import ZONE_RULES
from envmon.model.effect import Decision, Urgency
from envmon.model.event import Event
from envmon.model.verdict import Verdict
from envmon.runtime.clock import Clock

MOST = 60
MINUTE_S = 60.0
LONGEST = 1_000  # characters of a line
LEVELS = {
    Urgency.INFO: logging.INFO,
    Urgency.WARNING: logging.WARNING,
    Urgency.ERROR: logging.ERROR,
    Urgency.CRITICAL: logging.CRITICAL,
}
VERDICTS = {
    ZONE_RULES[Verdict.OK][0]: logging.INFO,
    ZONE_RULES[Verdict.DEGRADED][0]: logging.WARNING,
    ZONE_RULES[Verdict.UNKNOWN][0]: logging.WARNING,
    ZONE_RULES[Verdict.CRITICAL][0]: logging.ERROR,
}
PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}  # syslog(3)

log = logging.getLogger("envmon.decisions")


class Decided(Protocol):
    """What ``core.advance`` returns, as far as it is told."""

    @property
    def decisions(self) -> tuple[Decision, ...]: ...  # noqa: D102 - see core.step.Step


class Narrator:
    """Writes decisions to the log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.now()
        self._told = self._left_out = 0

    def tell(self, _event: Event, step: Decided) -> None:
        """Write what was decided in one step. Returns at once and never raises."""
        if step.decisions:
            self._begin()
        for decision in step.decisions:
            if self._told >= MOST:
                self._left_out += 1
                continue
            self._told += 1
            log.log(level_of(decision), "%s", line_of(decision))

    def _begin(self) -> None:
        """Begin a new minute when the last one is over."""
        if self._clock.now() - self._since < MINUTE_S:
            return
        if self._left_out:
            log.warning("%d decisions more in the minute before; envmon journal show has them", self._left_out)
        self._since, self._told, self._left_out = self._clock.now(), 0, 0


def level_of(decision: Decision) -> int:
    """The level of a decision: that of its page, INFO where it has none."""
    if decision.rule in VERDICTS:
        return VERDICTS[decision.rule]
    if decision.rule == REFUSED:
        return logging.ERROR
    known = rule_of(decision.rule)
    page = known[0].page if known else None
    return LEVELS[page] if page is not None else logging.INFO


def line_of(decision: Decision) -> str:
    """A decision in one line."""
    by = f" (order {decision.order[:8]})" if decision.order else ""
    return " ".join(f"{decision.rule} {decision.subject}: {decision.sentence} {decision.why}{by}".split())[:LONGEST]


def both(*tellers: Callable[[Event, Any], None]) -> Callable[[Event, Any], None]:
    """Tell each in turn."""

    def tell(event: Event, step: Any) -> None:
        for teller in tellers:
            teller(event, step)

    return tell


class Priority(logging.Formatter):
    """Puts the priority that systemd reads before each line of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(f"{prefix}{line}" for line in super().format(record).splitlines())


def to_stderr(environment: Sequence[str] | None = None) -> None:
    """Log to standard error, as whoever reads it wants it."""
    names = os.environ if environment is None else environment
    handler = logging.StreamHandler()
    if "JOURNAL_STREAM" in names:  # systemd.exec(5)
        handler.setFormatter(Priority("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
