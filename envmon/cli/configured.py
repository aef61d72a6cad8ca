"""Reads a configuration with every profile its devices may name: those that ship with envmon and the operator's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envmon.config import load
from envmon.config.settings import Settings
from envmon.profiles.loader import load_builtin, load_directory
from envmon.profiles.schema import Profile


@dataclass(frozen=True, slots=True)
class Configured:
    """A whole, valid configuration and the profiles by name."""

    settings: Settings
    profiles: Mapping[str, Profile]


def configured(config: Path) -> Configured:
    """Read ``config`` and all it names. Raises ConfigError with every fault."""
    profiles: dict[str, Profile] = {}

    def shelf(directory: Path) -> tuple[Mapping[str, Profile], Sequence[str]]:
        own, faults = load_directory(directory)
        profiles.update(own)
        return own, faults

    builtin = load_builtin()
    settings = load(config, profiles=builtin, shelf=shelf)
    return Configured(settings, {**profiles, **builtin})
