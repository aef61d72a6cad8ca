"""The HTTP interface of a simulated edge: the one our Kamailio include serves, path for path.

Rules
  - Every request needs ``Authorization: Bearer TOKEN``; without it nothing is told, not even which paths exist.
  - GET /envmon/v1/status; PUT /envmon/v1/fence/EPOCH; PUT /envmon/v1/routes/ROUTE/EPOCH/PERCENT. No bodies.
"""

import hmac
import re
from typing import Self

from aiohttp import web

from envmon.sim.telephony_switch import EPOCH_LIMIT, OlderEpoch, Switch

_STATUS = "/envmon/v1/status"
_FENCE = re.compile(r"/envmon/v1/fence/([^/]+)")
_ROUTE = re.compile(r"/envmon/v1/routes/([^/]+)/([^/]+)/([^/]+)")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")


class EdgeHttp:
    """The HTTP side of one edge, an async context manager."""

    def __init__(self, switch: Switch, token: str, host: str = "127.0.0.1") -> None:
        self._switch, self._expected, self._host = switch, f"Bearer {token}", host
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{self._host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "")
        if not hmac.compare_digest(shown.encode(), self._expected.encode()):
            return web.json_response({"error": "no or wrong token"}, status=401)
        if request.path == _STATUS:
            return web.json_response(self._switch.status()) if request.method == "GET" else _refused("GET")
        if found := _FENCE.fullmatch(request.path):
            return self._fence(found[1]) if request.method == "PUT" else _refused("PUT")
        if found := _ROUTE.fullmatch(request.path):
            return self._route(found[1], found[2], found[3]) if request.method == "PUT" else _refused("PUT")
        return _refused("GET, PUT")

    def _fence(self, text: str) -> web.Response:
        epoch = _number(text, EPOCH_LIMIT - 1)
        if epoch is None:
            return web.json_response({"error": "epoch is a number below 2^31"}, status=400)
        try:
            self._switch.stamp(epoch)
        except OlderEpoch:
            return web.json_response({"fence": self._switch.fence}, status=409)
        return web.json_response({"fence": self._switch.fence})

    def _route(self, route: str, epoch_text: str, percent_text: str) -> web.Response:
        if route not in self._switch.routes:
            return web.json_response({"error": "no such route"}, status=404)
        epoch, percent = _number(epoch_text, EPOCH_LIMIT - 1), _number(percent_text, 100)
        if epoch is None or percent is None:
            return web.json_response({"error": "epoch is below 2^31, percent 0 to 100"}, status=400)
        try:
            self._switch.set_percent(route, percent, epoch)
        except OlderEpoch:
            told = {"fence": self._switch.fence, "percent": self._switch.percent(route)}
            return web.json_response(told, status=409)
        return web.json_response({"route": route, "percent": percent, "set_epoch": epoch, "fence": self._switch.fence})


def _refused(allowed: str) -> web.Response:
    return web.json_response({"error": "method not allowed"}, status=405, headers={"Allow": allowed})


def _number(text: str, most: int) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= most else None
