"""An edge of somebody else's making: signed HTTP requests, described in deploy/actuators.md.

Rules
  - Every request is signed: HMAC-SHA256 over time, epoch, method, target and body, under the edge's key.
  - A write is done when the receiver has answered 200 and its status, read afterwards, says the same.
  - The receiver keeps the fence; 409 with its number is a refusal.

Theory of operation
  The time keeps a recorded request from being played again later, the epoch stands in the signature so that no
  intermediary can lend an old order a new one, method and target so that a status cannot be turned into an order.
"""

import hmac
import json
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self

from yarl import URL

from envmon.actuators.http_link import HttpLink
from envmon.actuators.told import Voice, statuses
from envmon.config.edge_settings import EdgeSettings
from envmon.model.event import EdgeStatus

_REFUSALS = {401: "it refused our signature (401): the key differs, or one of the clocks is wrong"}
_OTHERWISE = "is this the URL of a receiver?"


class WebhookEdge:
    """The actuator of kind ``webhook``; see ``contract.Actuator``."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._url = URL(settings.url)
        self._voice = Voice(settings.id, str(self._url.origin()))
        self._link = HttpLink(self._voice, settings.deadline_s)

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._link.close()

    async def status(self) -> tuple[EdgeStatus, ...]:
        """Read what the receiver reports now, one status per route. Raises EdgeError."""
        async with self._link.guarded():
            return await self._read()

    async def stamp(self, epoch: int) -> None:
        """Show the receiver our epoch; moves no traffic. Raises Fenced, EdgeError."""
        self._voice.check(epoch)
        async with self._link.guarded():
            await self._write({"order": "stamp", "epoch": epoch}, epoch)
            self._voice.must_show_fence(await self._read(), epoch)

    async def set_percent(self, route: str, percent: int, epoch: int) -> None:
        """Send ``percent`` of new calls of ``route`` to the backup. Raises Fenced, EdgeError."""
        self._voice.check(epoch, percent)
        async with self._link.guarded():
            await self._write({"order": "set", "route": route, "percent": percent, "epoch": epoch}, epoch)
            found = await self._read()
        self._voice.must_show_fence(found, epoch)
        self._voice.must_show(found, route, percent, epoch)

    async def _read(self) -> tuple[EdgeStatus, ...]:
        code, answer = await self._request("GET", 0, b"")
        if code != 200:
            raise self._link.refused(code, answer, _REFUSALS, _OTHERWISE)
        try:
            return statuses(self._settings.id, answer, counts_needed=False)
        except ValueError as error:
            raise self._voice.error(f"its status is not what a receiver reports: {error}") from None

    async def _write(self, order: Mapping[str, Any], epoch: int) -> None:
        code, answer = await self._request("POST", epoch, json.dumps(order).encode())
        match code, answer:
            case 200, _:
                return
            case 409, {"fence": int(fence)}:
                raise self._voice.fenced(epoch, fence)
            case _:
                raise self._link.refused(code, answer, _REFUSALS, _OTHERWISE)

    async def _request(self, method: str, epoch: int, body: bytes) -> tuple[int, Any]:
        key = await self._voice.secret(self._settings.token, "key")
        now = f"{time.time():.6f}"
        headers = {
            "Envmon-Time": now,
            "Envmon-Epoch": str(epoch),
            "Envmon-Signature": f"v1={signature(key, now, epoch, method, self._url.raw_path_qs, body)}",
        }
        if body:
            headers["Content-Type"] = "application/json"
        return await self._link.request(method, self._url, headers, body or None)


def signature(key: str, now: str, epoch: int, method: str, target: str, body: bytes) -> str:
    """Sign a request: hexadecimal HMAC-SHA256 (RFC 2104) over four lines and the body."""
    head = f"{now}\n{epoch}\n{method}\n{target}\n".encode()
    return hmac.new(key.encode(), head + body, sha256).hexdigest()
