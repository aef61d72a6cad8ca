"""The audio of a probe call: the SDP that offers and accepts it (RFC 8866, RFC 3264), and RTP packets (RFC 3550).

Rules
  - Pure: no socket, no clock, no randomness; whatever the bytes, the only exception is ``SipError``.
  - One stream of G.711, 8000 samples per second, 20 ms a packet, in clear; nothing else is offered.
"""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from envmon.wire.sip_values import SipError, short

PACKET_S = 0.02
PAYLOAD = 160  # bytes, one per sample
DISCARD = 9  # RFC 863: the port offered where no audio is wanted
_HEAD = struct.Struct("!BBHII")
_KNOWN = (0, 8)  # RFC 3551: PCMU, PCMA


@dataclass(frozen=True, slots=True)
class Audio:
    """Where the far end takes our audio, and as which payload type (RFC 3551)."""

    host: str
    port: int
    kind: int


def offer(host: str, port: int = DISCARD, *, active: bool = False) -> bytes:
    """An SDP offer of one audio stream at ``host``, an IP address; not ``active``: nobody sends any."""
    family = "IP6" if ":" in host else "IP4"
    return (
        f"v=0\r\no=envmon 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 8\r\na={'sendrecv' if active else 'inactive'}\r\n"
    ).encode()


def accepted(body: bytes) -> Audio:
    """Where an SDP answer wants the first audio stream sent to. Raises SipError when it accepts none of ours."""
    try:
        lines = body.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SipError(f"its SDP is not UTF-8 text at byte {error.start}") from None
    host, found = "", None
    for line in lines:
        if line.startswith("m=") and found is not None:
            break
        if line.startswith("m=audio "):
            found = line.split()
        elif line.startswith("c=") and (found is not None or not host):
            host = line.split()[-1]
    if found is None:
        raise SipError("its answer has no audio")
    try:
        port, profile, kinds = int(found[1]), found[2], [int(kind) for kind in found[3:]]
        where = ip_address(host)
    except (IndexError, ValueError):
        raise SipError(f"its SDP cannot be read: {short(' '.join(found))} at {short(host)}") from None
    ours = [kind for kind in kinds if kind in _KNOWN]
    if profile != "RTP/AVP" or not ours or not 0 < port < 65_536 or where.is_unspecified or where.is_multicast:
        raise SipError(f"it accepts no plain audio: {short(' '.join(found))} at {short(host)}")
    return Audio(str(where), port, ours[0])


def packet(kind: int, number: int, source: int, payload: bytes) -> bytes:
    """One RTP packet; ``number`` counts from 0, ``source`` is the SSRC."""
    return _HEAD.pack(0x80, kind, number & 0xFFFF, number * PAYLOAD & 0xFFFF_FFFF, source) + payload


def payload_of(data: bytes) -> bytes:
    """What an RTP packet carries, without its contributors and its extension. Raises SipError."""
    if len(data) < _HEAD.size or data[0] >> 6 != 2:
        raise SipError("not an RTP packet")
    start = _HEAD.size + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        if len(data) < start + 4:
            raise SipError("an RTP packet that ends in its extension")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    padding = data[-1] if data[0] & 0x20 else 0
    if start + padding > len(data):
        raise SipError("an RTP packet that ends before its payload")
    return data[start : len(data) - padding]
