"""What speaks for a zone now: its good and fresh readings, by role.

Rules
  - Sorted within a role, for a replay may see the points arrive in another order.
  - Whoever asks for a role gets all of it; whoever asks for numbers gets those that carry one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from envmon.core.world import SECOND, Seen, ZoneState
from envmon.model.event import Stamp
from envmon.model.policy import Policy
from envmon.model.reading import Role


@dataclass(frozen=True, slots=True, eq=False)
class Fresh:
    """Readings by role; a role nobody speaks for is not there."""

    by_role: Mapping[Role, Collection[Seen]]

    def of(self, role: Role) -> Collection[Seen]:
        """All that speaks for a role."""
        return self.by_role.get(role, ())

    def said(self, role: Role, word: str) -> list[Seen]:
        """What of a role says this word."""
        return [seen for seen in self.of(role) if seen.reading.value == word]

    def numbers(self, roles: Iterable[Role]) -> "Fresh":
        """Those of these roles that carry a number."""
        return self.only(lambda seen: isinstance(seen.reading.value, float), roles)

    def only(self, wanted: Callable[[Seen], bool], roles: Iterable[Role] | None = None) -> "Fresh":
        """Those that are wanted, of these roles or of all."""
        kept = {role: [seen for seen in self.of(role) if wanted(seen)] for role in roles or self.by_role}
        return Fresh({role: some for role, some in kept.items() if some})


def grouped(told: Iterable[Seen]) -> Fresh:
    """Readings that speak for now, by what they speak of."""
    by_role: dict[Role, list[Seen]] = {}
    for seen in told:
        role = seen.reading.point.role
        if role is not None:
            by_role.setdefault(role, []).append(seen)
    return Fresh(by_role)


def speaking(policy: Policy, state: ZoneState, now: Stamp) -> Fresh:
    """What speaks for a zone now."""
    since_ns = oldest_ns(policy, now)
    return grouped([seen for _, seen in sorted(state.seen.items()) if speaks(seen, since_ns)])


def speaks(seen: Seen, since_ns: int) -> bool:
    """Whether a reading is good and no older."""
    return seen.at_ns >= since_ns and seen.reading.good


def oldest_ns(policy: Policy, now: Stamp) -> int:
    """The moment before which a reading is too old to speak for now."""
    return now.mono_ns - int(policy.stale_s * SECOND)
