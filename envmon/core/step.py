"""What one event led to."""

from dataclasses import dataclass

from envmon.core.world import World
from envmon.model.effect import Decision, Effect


@dataclass(frozen=True, slots=True)
class Step:
    """The world after an event, what is wanted done, and what was decided."""

    world: World
    effects: tuple[Effect, ...] = ()
    decisions: tuple[Decision, ...] = ()

    def then(self, later: "Step") -> "Step":
        """This step followed by one that started from its world."""
        return Step(later.world, (*self.effects, *later.effects), (*self.decisions, *later.decisions))
