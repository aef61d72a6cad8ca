"""The two kinds of weather service: the NWS API, and any CAP document or index by its URL.

Rules
  - Only what was read and understood counts; whatever could not be is an error beside it, never an empty sky.
  - Documents an index links to are fetched one after another, once: a CAP message never changes under its identifier.
    Only the feed's own host and those configured are asked.
  - Parsing happens in a thread: a large document costs the loop nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp

from envmon.config.settings import WeatherSettings
from envmon.host.threads import aside
from envmon.model.texts import line
from envmon.weather.cap import parse as parse_cap
from envmon.weather.contract import Look
from envmon.weather.fetch import FetchError, Page, fetch
from envmon.weather.heed import heed
from envmon.weather.message import Document, Message, MessageError
from envmon.weather.nws import parse as parse_nws

LINKS = 50  # documents of one index; a feed for one site has a few
FAULTS = 3  # told of one look
LOOK_S = 90.0  # all of them together
GEOJSON = "application/geo+json"
CAP = "application/cap+xml, application/atom+xml, application/rss+xml, application/xml;q=0.9"


def nws_feed(settings: WeatherSettings, version: str) -> "WeatherFeed":
    """Ask the NWS for the alerts of our place; a URL with a query of its own is taken as it is."""
    asked = not urlsplit(settings.url).query
    url = settings.url
    if asked and settings.areas:
        url += "?" + urlencode({"zone": ",".join(settings.areas)}, safe=",")
    elif asked and settings.point is not None:
        url += "?" + urlencode({"point": "{:.4f},{:.4f}".format(*settings.point)}, safe=",")
    return WeatherFeed(settings, version, url, GEOJSON, parse_nws, asked_for_place=asked)


def cap_feed(settings: WeatherSettings, version: str) -> "WeatherFeed":
    """Read a CAP alert, or an Atom or RSS index of them."""
    return WeatherFeed(settings, version, settings.url, CAP, parse_cap, asked_for_place=False)


class WeatherFeed:
    """One service. ``parse`` runs in a thread and raises MessageError."""

    def __init__(
        self,
        settings: WeatherSettings,
        version: str,
        url: str,
        accept: str,
        parse: Callable[[bytes], Document],
        *,
        asked_for_place: bool,
    ) -> None:
        self._settings = settings
        self._url = url
        self._headers = {"User-Agent": f"envmon/{version} ({settings.contact})", "Accept": accept}
        self._parse = parse
        self._asked_for_place = asked_for_place
        self._session: aiohttp.ClientSession | None = None
        self._page: Page | None = None
        self._document = Document()
        self._linked: dict[str, tuple[Message, ...]] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def look(self, now: float) -> Look:
        """Ask once. Never raises for what the service or the network does."""
        host = urlsplit(self._url).hostname
        try:
            async with asyncio.timeout(LOOK_S):
                await self._refresh()
                faults = [*self._document.faults, *await self._follow(self._document.links)]
        except FetchError as error:
            return Look((), f"{host}: {error}", error.again_s)
        except MessageError as error:
            return Look((), f"{host}: {line(str(error))}")
        except TimeoutError:
            return Look((), f"{host}: its documents did not come in {LOOK_S:g} s")
        linked = (message for link in self._document.links for message in self._linked.get(link, ()))
        found = heed(self._settings, [*self._document.messages, *linked], now, asked_for_place=self._asked_for_place)
        if found.unplaced:
            faults.append(f"{found.unplaced} warnings do not say where in a way that point or areas could tell")
        return Look(found.warnings, f"{host}: {_some(faults)}" if faults else "")

    async def _refresh(self) -> None:
        """Read the configured document again if it has changed."""
        page = await self._get(self._url, self._page)
        if page is not self._page:
            self._document = await aside(self._parse, page.body)
            self._page = Page(b"", page.etag, page.modified)

    async def _follow(self, links: Iterable[str]) -> list[str]:
        """Fetch what the index names and was not read yet; what went wrong, in words."""
        wanted = list(links)
        self._linked = {link: self._linked[link] for link in wanted if link in self._linked}
        faults = [f"the index names {len(wanted)} documents, {LINKS} are read"] if len(wanted) > LINKS else []
        for link in wanted[:LINKS]:
            if link in self._linked:
                continue
            try:
                self._linked[link] = await self._linked_document(link)
            except (FetchError, MessageError) as error:
                faults.append(f"{line(link)}: {line(str(error))}")
        return faults

    async def _linked_document(self, link: str) -> tuple[Message, ...]:
        try:
            url = urljoin(self._url, link)
            there = urlsplit(url)
            host = there.hostname or ""
        except ValueError:
            raise MessageError("no URL") from None
        known = {urlsplit(self._url).netloc, *self._settings.hosts}
        if there.scheme not in ("http", "https") or not known & {there.netloc, host}:
            raise MessageError(f"on a host that is not configured; add it to hosts: [{host}]")
        page = await self._get(url, None)
        document = await aside(parse_cap, page.body)
        if document.links:
            raise MessageError("an index within an index")
        return document.messages

    async def _get(self, url: str, before: Page | None) -> Page:
        if self._session is None:
            raise FetchError("it is not open")
        return await fetch(self._session, url, before, self._settings.deadline_s)


def _some(faults: list[str]) -> str:
    """The first faults, and how many more there are."""
    more = len(faults) - FAULTS
    return "; ".join([line(fault) for fault in faults[:FAULTS]] + ([f"and {more} more"] if more > 0 else []))
