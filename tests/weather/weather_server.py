"""A real HTTP server with the documents a test gives it, and builders of such documents. Facts only, no feed's text."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from envmon.config.settings import WeatherSettings

NOW = datetime(2015, 5, 29, 8, 30, tzinfo=UTC)  # 03:30 in Dallas
WALL = NOW.timestamp()
DALLAS = (32.7767, -96.7970)
AROUND = [[-97.2, 32.5], [-96.4, 32.5], [-96.4, 33.0], [-97.2, 33.0], [-97.2, 32.5]]  # GeoJSON: longitude first
ELSEWHERE = [[-90.2, 29.5], [-89.4, 29.5], [-89.4, 30.0], [-90.2, 30.0], [-90.2, 29.5]]
NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def at(minutes: float, hours: int = -5) -> str:
    """A time so many minutes from now, in the zone of Dallas in summer."""
    return (NOW + timedelta(minutes=minutes)).astimezone(UTC.__class__(timedelta(hours=hours))).isoformat()


def feature(name: str = "urn:oid:1", ring: Any = AROUND, **changes: Any) -> dict[str, Any]:
    properties = {
        "id": name,
        "areaDesc": "Dallas, TX",
        "geocode": {"SAME": ["048113"], "UGC": ["TXC113"]},
        "affectedZones": ["https://api.weather.gov/zones/county/TXC113"],
        "references": [],
        "sent": at(-10),
        "effective": at(-10),
        "onset": at(-10),
        "expires": at(90),
        "ends": None,
        "status": "Actual",
        "messageType": "Alert",
        "category": "Met",
        "severity": "Severe",
        "certainty": "Observed",
        "urgency": "Immediate",
        "event": "Severe Thunderstorm Warning",
        "sender": "w-nws.webmaster@noaa.gov",
        "senderName": "NWS Fort Worth TX",
        "headline": "A storm is coming",
        "description": "",
        "instruction": None,
        "response": "Shelter",
        "parameters": {},
    }
    geometry = None if ring is None else {"type": "Polygon", "coordinates": [ring]}
    return {"id": f"https://x/{name}", "type": "Feature", "geometry": geometry, "properties": properties | changes}


def collection(*features: Any, **more: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features), "title": "t", **more}).encode()


def alert(
    name: str = "A1",
    *,
    event: str = "Orkan",
    kind: str = "Alert",
    status: str = "Actual",
    references: str = "",
    sender: str = "wetter@example.net",
    expires: str | None = None,
    onset: str | None = None,
    area: str = "<polygon>32.5,-97.2 32.5,-96.4 33.0,-96.4 33.0,-97.2 32.5,-97.2</polygon>",
    severity: str = "Severe",
    extra: str = "",
    head: str = '<?xml version="1.0" encoding="UTF-8"?>',
) -> bytes:
    refers = f"<references>{references}</references>" if references else ""
    ends = f"<expires>{at(90) if expires is None else expires}</expires>" if expires != "" else ""
    return f"""{head}<alert xmlns="{NAMESPACE}"><identifier>{name}</identifier><sender>{sender}</sender>
<sent>{at(-10)}</sent><status>{status}</status><msgType>{kind}</msgType><scope>Public</scope>{refers}
<info><category>Met</category><event>{event}</event><urgency>Immediate</urgency><severity>{severity}</severity>
<certainty>Likely</certainty><onset>{onset or at(-5)}</onset>{ends}<headline>Sturm</headline>{extra}
<area><areaDesc>hier</areaDesc>{area}</area></info></alert>""".encode()


def atom(*entries: str) -> bytes:
    text = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:cap="{}"><id>x</id><title>t</title>{}</feed>'
    return text.format(NAMESPACE, "".join(f"<entry>{entry}</entry>" for entry in entries)).encode()


def rss(*links: str) -> bytes:
    items = "".join(f"<item><title>t</title><link>{link}</link></item>" for link in links)
    return f'<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode()


@dataclass
class Site:
    """The server, what it serves by path, and what it was asked."""

    url: str = ""
    pages: dict[str, bytes | Answer] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404)
        return web.Response(body=page) if isinstance(page, bytes) else await page(request)

    def settings(self, kind: str = "cap", path: str = "/feed", **changes: Any) -> WeatherSettings:
        base = WeatherSettings("w", kind, f"{self.url}{path}", "noc@example.com", deadline_s=5.0, point=DALLAS)
        return replace(base, **changes)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


@asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", site.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    host, port = runner.addresses[0][:2]
    site.url = f"http://{host}:{port}"
    try:
        yield site
    finally:
        await runner.cleanup()
