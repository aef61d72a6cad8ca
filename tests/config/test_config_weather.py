"""Weather services in the configuration: what the keys compile to, and what is refused."""

import pytest
from config_samples import changed, faults_of, loaded

from envmon.config.settings import WeatherSettings
from envmon.model.policy import FeedPolicy

NWS = "weather:\n  nws:\n    kind: nws\n    url: https://api.weather.gov/alerts/active\n    contact: noc@example.com\n"
POINT = "    point: {lat: 32.7767, lon: -96.797}\n"


def test_a_service_reaches_the_settings_and_the_policy(tmp_path):
    more = "    events: [Tornado *]\n    every: 2min\n    deadline: 5s\n    areas: [TXC113]\n    hosts: [cdn.example]\n"
    settings = loaded(tmp_path, changed() + NWS + POINT + more)
    assert settings.weather == (
        WeatherSettings(
            id="nws",
            kind="nws",
            url="https://api.weather.gov/alerts/active",
            contact="noc@example.com",
            every_s=120.0,
            deadline_s=5.0,
            areas=("TXC113",),
            point=(32.7767, -96.797),
            events=("Tornado *",),
            hosts=("cdn.example",),
        ),
    )
    assert settings.policy.feeds == (FeedPolicy("nws", 120.0),)
    assert loaded(tmp_path, changed()).weather == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NWS, "does not say where the site is; add point: {lat: ..., lon: ...} or areas: [CODE]"),
        (NWS + POINT + "    every: 30s\n", "must be from 1min to 1h"),
        (NWS + POINT + "    events: [x]\n    severity: extreme\n", "is of no use beside events"),
        (NWS + POINT.replace("32.7767", "132.0"), "must be at most 90"),
        (NWS.replace("noc@example.com", "Büro") + POINT, "must be plain ASCII"),
        (NWS.replace("    contact: noc@example.com\n", "") + POINT, "is missing: an address or page of yours"),
        (NWS.replace("kind: nws", "kind: nsw") + POINT, "did you mean nws?"),
        (NWS.replace("https://", "ftp://") + POINT, "must be a URL"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, words):
    (fault,) = faults_of(tmp_path, changed() + text)
    assert words in fault.text
    assert fault.line > 40
