"""The loop over a weather service: how often it asks, and that its report reaches the core."""

import asyncio
from itertools import pairwise

import pytest

from envmon.model.event import WeatherReport
from envmon.runtime.clock import ScaledClock
from envmon.runtime.sky_watch import WeatherWatch, pause_s
from envmon.weather import FEEDS
from tests.weather.weather_server import WALL, collection, feature, serving


@pytest.mark.parametrize(
    ("failures", "again_s", "chance", "seconds"),
    [
        (0, 0, 0.0, 300),
        (0, 0, 1.0, 330),
        (1, 0, 0.0, 300),
        (2, 0, 0.0, 600),
        (3, 0, 0.0, 900),
        (50, 0, 0.0, 900),
        (1, 3600, 0.0, 3600),
    ],
)
def test_pauses_double_up_to_a_quarter_of_an_hour_and_obey_the_service(failures, again_s, chance, seconds):
    assert pause_s(300.0, failures, again_s, chance) == pytest.approx(seconds)


def test_a_slow_configured_interval_is_never_shortened():
    assert pause_s(3600.0, 5, 0.0, 0.0) == 3600.0


async def test_the_watch_posts_what_was_said_and_what_was_not():
    queue: asyncio.Queue[WeatherReport] = asyncio.Queue()
    async with serving() as site:
        site.pages["/feed"] = collection(feature())
        feed = FEEDS["nws"](site.settings("nws"), "1")
        watch = WeatherWatch("nws", feed, ScaledClock(600.0, WALL), queue.put_nowait, 60.0, lambda: 0.0)
        task = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(20):
                first = await queue.get()
                del site.pages["/feed"]
                reports = [first, await queue.get()]
                while not reports[-1].error:
                    reports.append(await queue.get())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert [warning.event for warning in first.warnings] == ["Severe Thunderstorm Warning"]
    last = reports[-1]
    assert (last.feed, last.warnings, last.error) == ("nws", (), "127.0.0.1: it answered 404")
    assert min(b.at.wall - a.at.wall for a, b in pairwise(reports)) >= 60.0
