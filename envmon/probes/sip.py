"""A small SIP caller (RFC 3261) over UDP, TCP or TLS: it calls through an edge, hangs up, and says how it went.

Rules
  - ``answered`` means: a 2xx to INVITE came from the edge, our ACK left, and our BYE was answered (or the far end
    hung up first); where the far end is said to echo, also that audio came back.
  - What an answer says never leads a probe to a place of its own choosing: see ``sip_exchange``.
Theory of operation
  A probe opens a link to the edge and an ``Exchange`` over it; ``Caller`` tells the story of one call. OPTIONS is one
  transaction of the same kind.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from envmon.config.edge_settings import SipSettings
from envmon.config.secret import SecretError
from envmon.probes.contract import ProbeResult, Sign
from envmon.probes.sip_audio import Echo
from envmon.probes.sip_call import Caller
from envmon.probes.sip_exchange import Exchange, bracketed
from envmon.probes.sip_link import MOST as MOST_WAITING
from envmon.probes.sip_link import Inbox, open_link, why_not
from envmon.wire.sip import Request
from envmon.wire.sip_values import SipError, uri

OPTIONS_S = 2.0
PLAIN = SipSettings()


class _CannotError(Exception):
    """No message was sent; the text says why."""


class SipProbe:
    """Places probe calls; see ``contract.Probe``.

    ``deadline_s`` is how long the far end may take to answer, and again to confirm the end of the call;
    ``hold_s`` is how long an answered call lasts.
    """

    def __init__(self, deadline_s: float = 4.0, hold_s: float = 0.2, way: SipSettings = PLAIN) -> None:
        self._deadline_s = deadline_s
        self._hold_s = hold_s
        self._way = way

    async def call(self, host: str, port: int, user: str) -> ProbeResult:
        """Call ``sip:user@host:port``, hang up, say how it went. Never raises for a network's fault."""
        where = f"sip:{user}@{bracketed(host)}:{port}"
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._exchange(where, host, port, self._deadline_s) as exchange:
                echo = await _echo(where, exchange) if self._way.echo else None
                caller = Caller(exchange, where, echo)
                began = loop.time()
                try:
                    answered, detail = await caller.place(self._deadline_s, self._hold_s)
                except SipError as error:
                    answered, detail = False, f"it broke the protocol: {error}"
                finally:
                    caller.abandon()
                    if echo is not None:
                        echo.close()
        except _CannotError as error:
            return ProbeResult(False, "", str(error), 0.0)
        millis = round(1000 * ((caller.final_at or loop.time()) - began), 1)
        return ProbeResult(answered, caller.answered_by, f"{where}: {detail}", millis, exchange.call_id)

    async def options(self, host: str, port: int, deadline_s: float = OPTIONS_S) -> Sign:
        """Ask ``sip:host:port`` for a sign of life. Never raises for a network's fault."""
        where = f"sip:{bracketed(host)}:{port}"
        try:
            async with self._exchange(where, host, port, deadline_s) as exchange:
                answer, _ = await exchange.ask(_options(exchange, where), exchange.edge, deadline_s)
                if answer is None:
                    fault = exchange.edge.fault or f"no answer to OPTIONS within {deadline_s:g} s"
                    return Sign(0, f"{where}: {fault}")
                return Sign(answer.status, f"{where}: {answer.status} {exchange.why or answer.reason}".rstrip())
        except _CannotError as error:
            return Sign(0, str(error))
        except SipError as error:
            return Sign(0, f"{where}: it broke the protocol: {error}")

    @asynccontextmanager
    async def _exchange(self, where: str, host: str, port: int, deadline_s: float) -> AsyncIterator[Exchange]:
        """Connect, and let go. Raises _CannotError when nothing can be sent."""
        inbox: Inbox = asyncio.Queue(maxsize=MOST_WAITING)
        try:
            uri(where)
            async with asyncio.timeout(deadline_s):
                edge = await open_link(self._way, host, port, inbox)
        except SipError as error:
            raise _CannotError(str(error)) from None
        except (OSError, TimeoutError, ValueError) as error:
            raise _CannotError(f"{where}: {why_not(error)}") from None
        try:
            exchange = Exchange(self._way, (host, port), inbox, edge)
        except SecretError as error:
            await edge.close()
            raise _CannotError(f"{where}: {error}") from None
        try:
            yield exchange
        finally:
            await exchange.close()


async def _echo(where: str, exchange: Exchange) -> Echo:
    try:
        return await Echo.open(exchange.edge.here[0])
    except OSError as error:
        raise _CannotError(f"{where}: no socket for its audio: {error}") from None


def _options(exchange: Exchange, where: str) -> Request:
    here = bracketed(exchange.edge.here[0])
    return Request(
        "OPTIONS",
        where,
        (
            ("Via", exchange.hop(exchange.edge)),
            ("Max-Forwards", "70"),
            ("From", f"<sip:envmon@{here}>;tag={secrets.token_hex(4)}"),
            ("To", f"<{where}>"),
            ("Call-ID", exchange.call_id),
            ("CSeq", "1 OPTIONS"),
            ("Contact", f"<sip:envmon@{here}:{exchange.edge.here[1]}>"),
            ("Accept", "application/sdp"),
            ("User-Agent", "envmon"),
        ),
    )
