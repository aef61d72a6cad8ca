"""A real HTTP server on loopback that takes pages, and misbehaves on order; and what the pager tests share."""

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

import envmon
from envmon.config.secret import Secret
from envmon.config.settings import PagerSettings
from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import Envelope
from tests.ports import free_port

CHILD_ENV = {**os.environ, "PYTHONPATH": f"{Path(envmon.__file__).parents[1]}:{Path(__file__).parent}"}


def page(key: str = "k", raised: bool = True, urgency: Urgency = Urgency.ERROR, summary: str = "hot") -> Page:
    return Page(key, raised, urgency, summary, "detail")


def envelope(number: int, of: Page | None = None) -> Envelope:
    return Envelope(number, 1_772_366_527.25, "dallas", of or page())


def settings(url: str, *, name: str = "a", token: Secret | None = None, deadline_s: float = 10.0) -> PagerSettings:
    return PagerSettings(id=name, kind="webhook", zone="z", url=url, token=token, deadline_s=deadline_s)


async def until(condition: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Wait for the condition; fail with ``what`` when it does not come true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.01)


@dataclass
class PageServer:
    """Takes pages at ``url``; ``answer`` decides the status (and may be slow: ``delay_s``)."""

    port: int = field(default_factory=free_port)
    answer: Callable[[dict[str, Any]], int] = lambda _: 202
    delay_s: float = 0.0
    text: str = "answer text"
    tls: ssl.SSLContext | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)  # every attempt
    taken: list[dict[str, Any]] = field(default_factory=list)  # those answered with 2xx
    headers: list[dict[str, str]] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook/path-secret"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook/path-secret", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        document = await request.json()
        self.seen.append(document)
        self.headers.append(dict(request.headers))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        status = self.answer(document)
        if 200 <= status < 300:
            self.taken.append(document)
        headers = {"Location": f"http://127.0.0.1:{self.port}/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, text=self.text, headers=headers)
