"""The shape of a weather service: where it is, where the site is, and which of its warnings are heeded.

Rules
  - The text under a key is its meaning, in the file's reference and in the JSON Schema; there is no second copy.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from envmon.config.settings import WeatherSettings
from envmon.config.shape_parts import Entry, default
from envmon.config.values import Between, Duration, Host, Text, Url, wrong


def _ascii(given: str) -> str:
    if not given.isascii():
        raise wrong("must be plain ASCII, such as noc@example.com: it travels in an HTTP header")
    return given


class PointEntry(Entry):
    """A place on the map, WGS 84."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    """Latitude in degrees, north is positive."""
    lon: Annotated[float, Field(ge=-180, le=180)]
    """Longitude in degrees, east is positive."""


class WeatherEntry(Entry):
    """A service that warns of weather. A warning makes envmon watch closer; it never moves a call."""

    kind: Literal["nws", "cap"]
    """nws: the alerts API of the US National Weather Service; cap: a CAP alert, or an Atom or RSS index of them."""
    url: Url
    """Where it is asked; for nws without a query, such as https://api.weather.gov/alerts/active, ours is added."""
    contact: Annotated[Text, AfterValidator(_ascii)]
    """An address or page of yours for the User-Agent, so that the service can reach whoever asks."""
    point: PointEntry | None = None
    """Where the site is."""
    areas: list[Text] = []
    """Codes of the areas the site is in, as the service writes them: TXC113 (NWS), 048113 (SAME), DE413 (EMMA_ID)."""
    events: list[Text] = []
    """Events to heed, such as Tornado Warning; * stands for any characters. Without any, severity decides."""
    severity: Literal["minor", "moderate", "severe", "extreme"] = default(WeatherSettings, "severity")
    """The least severity to heed, where no events are named."""
    every: Annotated[Duration, AfterValidator(Between(60, 3600))] = default(WeatherSettings, "every_s")
    """Time between two askings."""
    deadline: Annotated[Duration, AfterValidator(Between(1, 30))] = default(WeatherSettings, "deadline_s")
    """Time one answer may take."""
    hosts: list[Host] = []
    """Other hosts that documents of an index may be fetched from."""
