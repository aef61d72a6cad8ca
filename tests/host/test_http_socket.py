"""A request that was given up is not delivered when its peer is back."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from yarl import URL

from envmon.actuators.contract import EdgeError
from envmon.actuators.http_link import HttpLink
from envmon.actuators.told import Voice
from envmon.model.effect import Page, Urgency
from envmon.pagers.contract import PagerError
from envmon.pagers.webhook import WebhookPager
from tests.pagers.page_server import envelope, settings

LARGE = 400_000  # bytes: more than the peer's kernel takes while the peer does not read
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


async def test_a_page_that_was_given_up_never_arrives():
    with busy_peer() as (port, listening):
        async with WebhookPager(settings(f"http://127.0.0.1:{port}/hook", deadline_s=0.5)) as pager:
            with pytest.raises(PagerError, match="no answer in"):
                await pager.send(envelope(1, Page("k", True, Urgency.ERROR, "hot", "x" * 100_000)))
        received = await asyncio.to_thread(all_of, listening)
    assert b'"number"' not in received, "the last word of the page"
