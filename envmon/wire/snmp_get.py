"""GET requests for names known beforehand, and what their answers say, strictly and quickly.

Rules
  - Pure bytes in and out, without the message around them (``snmp_community``, ``snmp_usm``).
  - Only a Response with our request identifier is an answer. One with another identifier is somebody else's, or late;
    anything else raises ``FrameError``.
  - An answer that says it failed has no values, whatever stands in its variables (RFC 3416 section 4.2.1).
  - What a value is, and that nothing is never zero, is told by ``snmp_pdu.value_of``, in every way of reading.

Theory of operation
  Nearly every answer holds the names asked for, in order, each in its shortest form, and the values of a device keep
  their types and sizes from poll to poll. There are three ways to read, each for what the one before does not know:
  a layout learnt of the answers before (``snmp_layout``) compares all bytes but those of the values at once; then one
  comparison and one slice a variable; then element by element. Devices of one profile share what was learnt.

Sources: RFC 1157 section 4, RFC 3416 sections 3 and 4.2.
"""

from typing import Final

from envmon.wire import ber
from envmon.wire.frame import FrameError
from envmon.wire.snmp import PduType, Tag
from envmon.wire.snmp_layout import Layouts, Span
from envmon.wire.snmp_pdu import Value, answered, value_of

LEAST_REQUEST: Final = 1 << 24
"""Request identifiers from here to 2^31 - 1 take four bytes."""

_SEQUENCE: Final = 0x30
_WENT_WELL: Final = b"\x02\x01\x00\x02\x01\x00"  # error-status and error-index


class Question:
    """One GET of ``oids`` in dotted form, each once. Raises ValueError for what is no object identifier."""

    __slots__ = ("_asked", "_head", "_layouts", "_names", "_rest")

    def __init__(self, oids: tuple[str, ...]) -> None:
        names = [ber.encode_oid(Tag.OBJECT_IDENTIFIER, ber.parse_oid(oid)) for oid in oids]
        self._names = tuple((name, len(name) + 4) for name in names)
        self._asked = tuple(ber.parse_oid(oid) for oid in oids)
        self._layouts = Layouts()
        variables = b"".join(ber.encode(_SEQUENCE, name + ber.encode(Tag.NULL, b"")) for name in names)
        self._rest = _WENT_WELL + ber.encode(_SEQUENCE, variables)
        self._head = ber.encode(PduType.GET, b"\x02\x04" + bytes(4) + self._rest)[: -len(self._rest) - 4]

    def request(self, number: int) -> bytes:
        """Build the PDU; ``number`` is its request identifier, from ``LEAST_REQUEST``."""
        return self._head + number.to_bytes(4, "big") + self._rest

    def answer(self, data: bytes, number: int) -> tuple[Value, ...] | None:
        """Read the answer to request ``number``: the value of every OID, None where it has none.

        None for an answer that is not to this request. Raises FrameError and NotAllowedError.
        """
        found = self._layouts.read(data, number)
        if found is None:
            found = self._quickly(data, number)
        return self._slowly(data, number) if found is None else found

    def _quickly(self, data: bytes, number: int) -> tuple[Value, ...] | None:
        """Read the usual form and learn its layout; None for every other, right or wrong."""
        at = ber.inside(data, 0, PduType.RESPONSE)
        head = b"\x02\x04" + number.to_bytes(4, "big") + _WENT_WELL
        if not at or not data.startswith(head, at):
            return None
        number_at, at = at + 2, ber.inside(data, at + len(head), _SEQUENCE)
        spans: list[Span] = []
        try:
            for name, size in self._names:
                content = at + size
                end = at + 2 + data[at + 1]
                if data[content - 1] != end - content or data[at] != _SEQUENCE or not data.startswith(name, at + 2):
                    return None
                if (tag := data[content - 2]) & 0x1F == 0x1F:  # of more than one byte
                    return None
                spans.append((tag, content, end))
                at = end
        except IndexError:
            return None
        if at != len(data):
            return None
        self._layouts.learn(data, number_at, spans)
        return tuple([value_of(tag, data[start:end]) for tag, start, end in spans])

    def _slowly(self, data: bytes, number: int) -> tuple[Value, ...] | None:
        pdu = answered(data, number)
        if pdu is None:
            return None
        told = {oid: (tag, content) for oid, tag, content in pdu.variables}
        if len(told) != len(pdu.variables):
            raise FrameError("the answer has an object twice")
        if pdu.error_status:
            return (None,) * len(self._asked)
        return tuple(value_of(*told[oid]) if oid in told else None for oid in self._asked)
