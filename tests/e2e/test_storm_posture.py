"""A warning from a real weather server reaches the status, the journal and the pager of the real daemon."""

from tests.e2e.lab import Lab, exchange
from tests.weather.weather_server import collection, feature, serving

FAR = "2099-01-01T00:00:00Z"


async def test_a_warning_from_the_weather_service_raises_the_posture(tmp_path):
    async with serving() as weather, exchange(tmp_path) as (_, edge):
        weather.pages["/alerts"] = collection(feature(expires=FAR))
        service = {
            "kind": "nws",
            "url": f"{weather.url}/alerts",
            "contact": "lab",
            "point": {"lat": 32.7, "lon": -96.8},
        }
        async with Lab(tmp_path, [edge], weather={"nws": service}) as lab:
            lab.start()
            told = await lab.until(lambda status: status["storm"]["posture"] == "storm", 30, "storm posture")
            assert told["storm"]["feeds"]["nws"] == {"known": True, "error": "", "warnings": 1}
            assert told["storm"]["why"].startswith("Severe Thunderstorm Warning until ")
            await lab.until(lambda _: "W10" in lab.rules(), 30, "the posture's line in the journal")
            assert [rule for rule in lab.rules() if rule.startswith("W")] == ["W10"]
