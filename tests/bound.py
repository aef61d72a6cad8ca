"""The points of a device that is described in one call, as tests do."""

from typing import Any

from envmon.profiles.bind import BoundPoint, bind_at, place
from envmon.profiles.schema import Profile


def bind(profile: Profile, **where: Any) -> tuple[BoundPoint, ...]:
    """Every point with a fixed address; ``where`` is what ``place`` wants to know."""
    return bind_at(profile, place(profile, **where))
