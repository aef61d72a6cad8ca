"""The people on call at the simulated site: a webhook on loopback that takes every page and keeps it.

Rules
  - Every POST with a JSON object is accepted and kept in order, the newest last; the oldest of many are forgotten.
"""

import json
from collections import deque
from typing import Any, Self

from aiohttp import web

_KEPT = 1000


class OnCall:
    """An async context manager; ``url`` is what a pager posts to, ``pages`` what arrived."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.pages: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self.url = ""
        self._host = host
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/page", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}/page"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        try:
            page = json.loads(await request.text())
        except ValueError:
            return web.json_response({"error": "not JSON"}, status=400)
        if not isinstance(page, dict):
            return web.json_response({"error": "not an object"}, status=400)
        self.pages.append(page)
        return web.json_response({})
