"""Chance that repeats: one generator per use, named by what it is for and by the run's seed."""

from random import Random


def chance(use: str, seed: int) -> Random:
    """The generator of this use in the run of this seed; other uses do not disturb it."""
    return Random(f"{use}/{seed}")  # noqa: S311  a simulation must repeat; nothing here is a secret
