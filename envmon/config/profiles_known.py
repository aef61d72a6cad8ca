"""What the configuration must know of device profiles, without knowing the package that holds them.

Rules
  - Names alone are enough to check references; a protocol adds the log-in rules, roles add the kinds of evidence.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envmon.model.reading import Role


class Profile(Protocol):
    """A profile, as far as the configuration is concerned."""

    @property
    def protocol(self) -> str:
        """Whether it is "snmp" or "modbus"."""
        ...

    @property
    def witnesses(self) -> Sequence[Role]:
        """The role of every point its devices may answer, of a table's as often as it may have rows."""
        ...


Profiles = Mapping[str, Profile] | Mapping[str, str] | Collection[str]
"""Profiles by name, or the protocol of each by name, or the names alone."""

Shelf = Callable[[Path], tuple[Mapping[str, Profile], Sequence[str]]]
"""Reads a directory of an operator's own profiles: those it holds, by name, and every fault in it, a line each."""


@dataclass(frozen=True, slots=True)
class Known:
    """One profile: ``protocol`` "" and ``roles`` None where nobody said."""

    protocol: str = ""
    roles: tuple[Role, ...] | None = None  # one for every point that has a role


def known_profiles(profiles: Profiles) -> dict[str, Known]:
    """Return what is known of each profile, by name."""
    if not isinstance(profiles, Mapping):
        return {name: Known() for name in profiles}
    return {name: _known(value) for name, value in profiles.items()}


def _known(value: Profile | str) -> Known:
    if isinstance(value, str):
        return Known(value)
    return Known(str(value.protocol), tuple(value.witnesses))
