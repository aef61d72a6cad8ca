"""Pages about events: somebody ordered something, a hold ended. Each stands for its time and is then resolved."""

from dataclasses import replace

from envmon.core.world import SECOND, Notice, World
from envmon.model.effect import Urgency

NOTICE_S = 3_600.0


def notice(world: World, key: str, text: str, urgency: Urgency, lasts_s: float = NOTICE_S) -> World:
    """The world in which everybody is told ``text`` under ``key`` for a while."""
    until_ns = world.now.mono_ns + int(lasts_s * SECOND)
    return replace(world, notices={**world.notices, key: Notice(text.rstrip(), urgency, until_ns)})
