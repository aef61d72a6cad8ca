"""SIP over a stream (RFC 3261 18.3): bytes as they come, cut into whole messages.

Rules
  - Pure: no socket; bytes in, whole messages out, however the network cut or joined them.
  - A message ends where its Content-Length says. One without it has no end here: ``SipError``, and the stream is lost.
  - Never more than one message is held; one longer than ``sip.MAX_BYTES`` is refused.
  - An empty line before a message is skipped (RFC 3261 7.5); two of them are a keepalive (RFC 5626 3.5.1).
"""

from collections.abc import Iterator

from envmon.wire.sip import MAX_BYTES, body_length
from envmon.wire.sip_values import SipError

PING = b"\r\n\r\n"
PONG = b"\r\n"
_END = b"\r\n\r\n"


class Stream:
    """One direction of a connection."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what came; yield each whole message, and ``PING`` for a keepalive that wants its ``PONG``.

        Raises SipError when the rest of the stream cannot be cut any more, after yielding what could.
        """
        self._held += data
        while piece := self._next():
            self._held = self._held[len(piece) :]
            if piece != PONG:
                yield piece

    def _next(self) -> bytes:
        """What the held bytes begin with: a message, ``PING``, an empty line; nothing when more must come."""
        if PING.startswith(self._held[:4]):
            return PING if len(self._held) >= len(PING) else b""
        if self._held.startswith(PONG):
            return PONG
        head, gap, rest = self._held.partition(_END)
        if not gap:
            if len(self._held) > MAX_BYTES:
                raise SipError(f"no end of the headers within {MAX_BYTES} bytes")
            return b""
        length = body_length(head)
        if length is None:
            raise SipError("no Content-Length: on a stream nobody knows where the message ends (RFC 3261 18.3)")
        whole = len(head) + len(_END) + length
        if whole > MAX_BYTES:
            raise SipError(f"longer than a message may be: {whole} bytes")
        return self._held[:whole] if length <= len(rest) else b""
