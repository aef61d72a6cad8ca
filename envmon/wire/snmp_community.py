"""Messages of SNMP v1 and v2c around a PDU: the version and the community.

Rules
  - Pure bytes in and out. What a PDU says is not read here (``snmp_pdu``, ``snmp_get``).
  - A message of another community is somebody else's; of another version, or malformed, it raises ``FrameError``.
  - The community is not printed.

Sources: RFC 1157 section 4 (v1), RFC 1901 (v2c).
"""

from typing import Final

from envmon.wire import ber
from envmon.wire.ber import Reader
from envmon.wire.frame import FrameError
from envmon.wire.snmp import Tag, Version

_SEQUENCE: Final = 0x30
_INT32: Final = (-(2**31), 2**31 - 1)


class Community:
    """A community of one version."""

    __slots__ = ("_name", "_ours", "_version")

    def __init__(self, version: Version, name: bytes) -> None:
        self._version = version
        self._name = name
        self._ours = ber.encode_integer(Tag.INTEGER, version) + ber.encode(Tag.OCTET_STRING, name)

    def seal(self, pdu: bytes) -> bytes:
        """Build the datagram."""
        return ber.encode(_SEQUENCE, self._ours + pdu)

    def open(self, data: bytes) -> bytes | None:
        """Return the PDU in a datagram, unread; None for one of another community. Raises FrameError."""
        start = ber.inside(data, 0, _SEQUENCE)
        if start and data.startswith(self._ours, start):
            return data[start + len(self._ours) :]
        return self._slowly(data)

    def _slowly(self, data: bytes) -> bytes | None:
        """Read element by element what is not in the usual form."""
        outer = Reader(data)
        message = Reader(outer.expect(_SEQUENCE))
        outer.end()
        version = ber.decode_integer(message.expect(Tag.INTEGER), *_INT32)
        if version != self._version:
            raise FrameError(f"version {version} answers, version {int(self._version)} was asked")
        if message.expect(Tag.OCTET_STRING) != self._name:
            return None
        return message.data[message.position :]
