"""What is remembered of the weather and of the power: frozen values, part of the world.

Rules
  - A warning's end is turned into a monotonic moment when the report is taken in: a wall clock that jumps later moves
    nothing.
  - A report without an error replaces what its feed said before; one with an error takes nothing away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from envmon.model.event import WeatherReport
from envmon.model.policy import Policy
from envmon.model.weather import Posture, WeatherWarning

SECOND = 1_000_000_000  # nanoseconds
KEPT_S = 7_200.0  # an ended warning is forgotten after this, whether its feed answers or not


@dataclass(frozen=True, slots=True)
class Standing:
    """A warning, and its times on the monotonic clock."""

    warning: WeatherWarning
    onset_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class FeedView:
    """What a weather service last said; ``answered_ns`` is its last whole answer, 0 for none yet."""

    standing: tuple[Standing, ...] = ()
    answered_ns: int = 0
    error: str = "not asked yet"


@dataclass(frozen=True, slots=True)
class Sky:
    """The posture and what it rests on. ``reason_ns`` is when there was last a reason for a storm."""

    feeds: Mapping[str, FeedView] = field(default_factory=dict)
    posture: Posture = Posture.CALM
    since_ns: int = 0
    rule: str = ""
    why: str = ""
    reason_ns: int = 0
    power_ns: int = 0  # a point has said since that battery or generator feeds the site; 0: none does
    power_heard_ns: int = 0  # and last said so then
    asked_ns: int = 0  # the storm last asked for probe calls


def configured(sky: Sky, policy: Policy) -> Sky:
    """The sky under a policy: feeds it does not name are forgotten, a new one has not answered."""
    feeds = {feed.id: sky.feeds.get(feed.id, FeedView()) for feed in policy.feeds}
    unheard = any(view.answered_ns == 0 for view in feeds.values())
    posture = Posture.UNKNOWN if unheard and sky.posture is Posture.CALM else sky.posture
    return replace(sky, feeds=feeds, posture=posture)


def reported(sky: Sky, event: WeatherReport) -> Sky:
    """The sky after a feed's report; one of an unknown feed is dropped."""
    before = sky.feeds.get(event.feed)
    if before is None:
        return sky
    told = {each.id: _stand(event, each) for each in event.warnings}
    kept = {each.warning.id: each for each in before.standing} if event.error else {}
    oldest_ns = event.at.mono_ns - int(KEPT_S * SECOND)
    standing = tuple(each for each in {**kept, **told}.values() if each.until_ns > oldest_ns)
    answered_ns = before.answered_ns if event.error else event.at.mono_ns
    return replace(sky, feeds={**sky.feeds, event.feed: FeedView(standing, answered_ns, event.error)})


def _stand(event: WeatherReport, warning: WeatherWarning) -> Standing:
    def moment_ns(wall: float) -> int:
        return event.at.mono_ns + int((wall - event.at.wall) * SECOND)

    return Standing(warning, moment_ns(warning.onset), moment_ns(warning.until))
