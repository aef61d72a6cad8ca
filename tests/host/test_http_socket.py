"""A request that was given up is not delivered when its peer is back."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest
from yarl import URL

from envmon.actuators.contract import EdgeError, Fenced
from envmon.actuators.http_link import HttpLink
from envmon.actuators.told import Voice
from envmon.host.http_socket import Revocable
from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import PagerError
from envmon.pagers.webhook import WebhookPager
from tests.pagers.page_server import PageServer, envelope, settings

LARGE = 100_000  # bytes: more than the peer takes while it does not read, and less than our own kernel takes at once
WHOLE = b"the end of it"


@contextmanager
def busy_peer() -> Iterator[tuple[int, socket.socket]]:
    """A server whose kernel accepts connections, and a little of what is sent; its port, and its socket."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(10.0)
        yield listening.getsockname()[1], listening


def all_of(listening: socket.socket) -> bytes:
    """What the peer reads once it has time; to the end, or to the reset."""
    peer, _ = listening.accept()
    received = b""
    with peer:
        peer.settimeout(10.0)
        try:
            while chunk := peer.recv(65_536):
                received += chunk
        except ConnectionResetError:
            return received
    return received


async def test_a_command_that_was_given_up_never_arrives():
    with busy_peer() as (port, listening):
        link = HttpLink(Voice("edge", f"http://127.0.0.1:{port}"), 0.5)
        await link.open()
        with pytest.raises(EdgeError, match="no answer within"):
            async with link.guarded():
                await link.request("POST", URL(f"http://127.0.0.1:{port}/"), {}, b"x" * LARGE + WHOLE)
        received = await asyncio.to_thread(all_of, listening)
        await link.close()
    assert WHOLE not in received


def lingers(of: Revocable) -> list[int]:
    """Whether closing each open socket would throw away what is not delivered (l_onoff of SO_LINGER)."""
    made = [each for each in of._made if each.fileno() >= 0]
    return [struct.unpack("ii", each.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))[0] for each in made]


@pytest.mark.parametrize("answered", [EdgeError("it answered 403"), Fenced("a newer epoch", 9), ValueError("a bug")])
def test_what_is_raised_of_an_answer_takes_nothing_back(answered: Exception) -> None:
    sockets = Revocable()
    with sockets((socket.AF_INET, socket.SOCK_STREAM, 0)):
        with pytest.raises(type(answered)), sockets.answered_or_taken_back():
            raise answered
        assert lingers(sockets) == [0]


@pytest.mark.parametrize(
    "silent", [TimeoutError(), asyncio.CancelledError(), ConnectionResetError(), aiohttp.ServerDisconnectedError()]
)
def test_what_got_no_answer_is_taken_back(silent: BaseException) -> None:
    sockets = Revocable()
    with sockets((socket.AF_INET, socket.SOCK_STREAM, 0)):
        with pytest.raises(type(silent)), sockets.answered_or_taken_back():
            raise silent
        assert lingers(sockets) == [1]


async def test_a_page_that_is_refused_leaves_its_connection_whole() -> None:
    async with PageServer(answer=lambda _: 401) as server, WebhookPager(settings(server.url)) as pager:
        with pytest.raises(PagerError, match="answered 401: answer text"):
            await pager.send(envelope(1))
        assert lingers(pager._sockets) == [0], "kept for the next page"


async def test_a_page_that_was_given_up_never_arrives():
    with busy_peer() as (port, listening):
        async with WebhookPager(settings(f"http://127.0.0.1:{port}/hook", deadline_s=0.5)) as pager:
            with pytest.raises(PagerError, match="no answer in"):
                await pager.send(envelope(1, Page("k", True, Urgency.ERROR, "hot", "x" * 100_000)))
        received = await asyncio.to_thread(all_of, listening)
    assert b'"number"' not in received, "the last word of the page"
