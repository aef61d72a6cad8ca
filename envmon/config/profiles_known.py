"""What the configuration must know of device profiles, without knowing the package that holds them.

Rules
  - Names alone are enough to check references; a protocol adds the log-in rules, roles add the kinds of evidence.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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


class KnownProfiles(Mapping[str, Known]):
    """What is known of each profile, by name; one that no device names is not read."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles: dict[str, Profiles] = dict.fromkeys(profiles, profiles)
        self._read: dict[str, Known] = {}

    def __getitem__(self, name: str) -> Known:
        if name not in self._read:
            profiles = self._profiles[name]
            self._read[name] = _known(profiles[name]) if isinstance(profiles, Mapping) else Known()
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    def add(self, own: Profiles) -> None:
        """Know these as well; a name that is known already keeps its meaning."""
        self._profiles = {**dict.fromkeys(own, own), **self._profiles}


def _known(value: Profile | str) -> Known:
    if isinstance(value, str):
        return Known(value)
    return Known(str(value.protocol), tuple(value.witnesses))
