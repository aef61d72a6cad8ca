"""Weather services, by the kind a configuration names."""

from collections.abc import Callable, Mapping

from envmon.config.settings import WeatherSettings
from envmon.weather.contract import Feed
from envmon.weather.feed import cap_feed, nws_feed

FEEDS: Mapping[str, Callable[[WeatherSettings, str], Feed]] = {"nws": nws_feed, "cap": cap_feed}
