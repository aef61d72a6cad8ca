"""Modbus RTU frames, both ways: the unit's address, the PDU of ``wire.modbus``, and a checksum.

Rules
  - Pure bytes in and out: no lines, no clock.
  - An RTU frame carries neither a length nor a transaction identifier. An answer is recognised by what was asked: the
    unit, the function, the number of data bytes, and a checksum that holds. Nothing else is believed.
  - Noise, the echo of our own request (two-wire adapters do that) and late answers of other units may stand before an
    answer, and are passed over.

Source: MODBUS over Serial Line Specification and Implementation Guide V1.02, 2.5.1 (RTU framing) and 6.2.2 (CRC).
"""

from envmon.wire.frame import FrameError
from envmon.wire.modbus import Refusal, Request, answer_of, request_pdu

UNITS = range(1, 248)
"""The addresses a unit on a serial line can have; 0 is the broadcast, which nobody answers (V1.02, 2.2)."""
MAX_FRAME = 256
"""Bytes of the longest frame (V1.02, 2.5.1)."""

_CRC_BYTES = 2
_REFUSAL_BYTES = 1 + 2 + _CRC_BYTES  # unit, function and code
_REQUEST_BYTES = 2 * 4
_REFUSED = 0x80
_READS = range(1, 1 + 4)
_SHOWN = 20  # bytes of what came instead


def _crc_table() -> tuple[int, ...]:
    """Return the checksum of every single byte: the polynomial is 0xA001, the lowest bit first (V1.02, 6.2.2)."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> int:
    """Return the checksum of ``data``; of a whole frame, its own checksum included, it is 0."""
    value = 0xFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value


def frame(unit_id: int, pdu: bytes) -> bytes:
    """Return what goes over the line; the low byte of the checksum comes first."""
    body = bytes((unit_id,)) + pdu
    return body + crc16(body).to_bytes(_CRC_BYTES, "little")


def encode_request(request: Request) -> bytes:
    """Build a read request. Raises ValueError when a number is outside what the specification allows."""
    if request.unit_id not in UNITS:
        raise ValueError(f"unit {request.unit_id} cannot stand on a serial line; 1 to 247 can")
    return frame(request.unit_id, request_pdu(request.function, request.address, request.count))


def find_answer(data: bytes, request: Request) -> bytes | Refusal | None:
    """Return the answer to ``request`` that stands in ``data``: its data bytes or a refusal; None without one."""
    wanted = request.function.data_bytes(request.count)
    heads = (
        (bytes((request.unit_id, request.function, wanted)), 1 + 2 + wanted + _CRC_BYTES),
        (bytes((request.unit_id, request.function | _REFUSED)), _REFUSAL_BYTES),
    )
    start = data.find(request.unit_id)
    while start >= 0:
        for head, length in heads:
            found = data[start : start + length]
            if found.startswith(head) and len(found) == length and not crc16(found):
                return answer_of(found[1:-_CRC_BYTES], request)
        start = data.find(request.unit_id, start + 1)
    return None


def count_strays(data: bytes) -> int:
    """Count the whole frames ``data`` consists of, answers or requests of anybody. Raises FrameError for the rest."""
    found = 0
    while data:
        length = next((n for n in _lengths(data) if n <= len(data) and not crc16(data[:n])), 0)
        if not length:
            shown = data[:_SHOWN].hex(" ") + (" ..." if len(data) > _SHOWN else "")
            raise FrameError(f"{len(data)} bytes that are no Modbus RTU frame ({shown})")
        found += 1
        data = data[length:]
    return found


def _lengths(data: bytes) -> tuple[int, ...]:
    """Return how long the frame that starts here could be."""
    if len(data) < _REFUSAL_BYTES:
        return ()
    if data[1] & _REFUSED:
        return (_REFUSAL_BYTES,)
    return (_REFUSAL_BYTES + data[2], _REQUEST_BYTES) if data[1] in _READS else ()
