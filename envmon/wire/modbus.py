"""Modbus TCP frames, both ways, for the four functions that read.

Rules
  - Pure bytes in and out: no sockets, no clock.
  - Reading is all this codec can express: function codes 1 to 4 (coils, discrete inputs, holding registers, input
    registers). A frame with any other function cannot be built, and is refused when it arrives.
  - Every malformed frame raises ``FrameError``; ``encode_*`` raise ``ValueError`` for a caller's mistake.

Sources: MODBUS Application Protocol Specification V1.1b3 (functions, limits, exceptions) and MODBUS Messaging on
TCP/IP Implementation Guide V1.0b (the seven-byte MBAP header).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from envmon.wire.frame import FrameError

_MBAP = struct.Struct(">HHHB")  # transaction, protocol (0 = Modbus), bytes that follow, unit identifier
_READ = struct.Struct(">BHH")  # function, starting address, quantity
_MAX_PDU = 253  # serial line heritage: 256 - server address - CRC
_EXCEPTION = 0x80  # set in the function code of an exception response

MAX_REGISTERS = 125  # V1.1b3 6.3 and 6.4
MAX_BITS = 2000  # V1.1b3 6.1 and 6.2


class Function(IntEnum):
    """The read functions (V1.1b3 section 6.1 to 6.4)."""

    READ_COILS = 1
    READ_DISCRETE_INPUTS = 2
    READ_HOLDING_REGISTERS = 3
    READ_INPUT_REGISTERS = 4

    @property
    def reads_bits(self) -> bool:
        """Whether an item is one bit; otherwise it is a 16-bit register."""
        return self <= Function.READ_DISCRETE_INPUTS

    @property
    def limit(self) -> int:
        """How many items one request may ask for."""
        return MAX_BITS if self.reads_bits else MAX_REGISTERS

    def data_bytes(self, count: int) -> int:
        """Bytes of data that ``count`` items take in a response."""
        return (count + 7) // 8 if self.reads_bits else count * 2


class ExceptionCode(IntEnum):
    """Why a server refuses (V1.1b3 section 7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    SERVER_DEVICE_BUSY = 6
    MEMORY_PARITY_ERROR = 8
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_TARGET_FAILED_TO_RESPOND = 11


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exception response. ``code`` is usually an ``ExceptionCode``; devices also send codes of their own."""

    code: int

    def __str__(self) -> str:
        try:
            return f"exception {self.code} ({ExceptionCode(self.code).name.lower().replace('_', ' ')})"
        except ValueError:
            return f"exception {self.code} (not a code of the specification)"


@dataclass(frozen=True, slots=True)
class Request:
    """One read: ``count`` items of ``function`` from ``address``, the number on the wire (0 to 65535)."""

    transaction: int
    unit_id: int
    function: Function
    address: int
    count: int


class BadRequestError(FrameError):
    """A well-framed request that a server must refuse; ``answer`` is the exception response to send."""

    def __init__(self, text: str, answer: bytes) -> None:
        super().__init__(text)
        self.answer = answer


class FrameBuffer:
    """Cuts a TCP byte stream into whole frames; keeps at most one incomplete frame."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames completed by ``data``, MBAP header included. Raises FrameError: close the connection."""
        data = self._rest + data
        frames: list[bytes] = []
        start = 0
        while len(data) - start >= _MBAP.size:
            _, protocol, length, _ = _MBAP.unpack_from(data, start)
            _check_header(protocol, length)
            end = start + _MBAP.size - 1 + length
            if end > len(data):
                break
            frames.append(data[start:end])
            start = end
        self._rest = data[start:]
        return frames


def transaction_of(frame: bytes) -> int:
    """Return the transaction identifier of a frame from ``FrameBuffer.feed``, to recognise a late answer."""
    return int.from_bytes(frame[:2], "big")


def encode_request(transaction: int, unit_id: int, function: int, address: int, count: int) -> bytes:
    """Build a read request. Raises ValueError when a number is outside what the specification allows."""
    return _frame(transaction & 0xFFFF, unit_id, request_pdu(function, address, count))


def request_pdu(function: int, address: int, count: int) -> bytes:
    """Build what a read asks, the same on every line. Raises ValueError as ``encode_request``."""
    known = Function(function)
    if not 1 <= count <= known.limit:
        raise ValueError(f"{known.name} reads 1 to {known.limit} items a request, not {count}")
    if not 0 <= address <= 0x10000 - count:
        raise ValueError(f"{count} items from address {address} leave the address space 0 to 65535")
    return _READ.pack(known, address, count)


def decode_request(frame: bytes) -> Request:
    """Read a request, as a server. Raises BadRequestError (answer it) or FrameError (close the connection)."""
    transaction, unit_id, pdu = _open(frame)
    code = pdu[0]
    if not 1 <= code < _EXCEPTION:
        raise FrameError(f"function code {code} cannot be a request; 1 to 127 can")

    def refuse(text: str, reason: ExceptionCode) -> BadRequestError:
        return BadRequestError(text, _frame(transaction, unit_id, bytes((code | _EXCEPTION, reason))))

    try:
        function = Function(code)
    except ValueError:
        raise refuse(f"function code {code} does not read", ExceptionCode.ILLEGAL_FUNCTION) from None
    if len(pdu) != _READ.size:
        raise FrameError(f"a read request has {_READ.size} bytes after the header, this one {len(pdu)}")
    _, address, count = _READ.unpack(pdu)
    if not 1 <= count <= function.limit:
        raise refuse(f"{function.name} of {count} items, 1 to {function.limit} fit", ExceptionCode.ILLEGAL_DATA_VALUE)
    if address + count > 0x10000:
        raise refuse(f"{count} items from {address} pass 65535", ExceptionCode.ILLEGAL_DATA_ADDRESS)
    return Request(transaction, unit_id, function, address, count)


def encode_response(request: Request, data: bytes) -> bytes:
    """Answer ``request`` with packed bits or big-endian registers. Raises ValueError when the length is wrong."""
    wanted = request.function.data_bytes(request.count)
    if len(data) != wanted:
        raise ValueError(f"{request.count} items of {request.function.name} are {wanted} bytes, not {len(data)}")
    return _frame(request.transaction, request.unit_id, bytes((request.function, wanted)) + data)


def encode_exception(request: Request, code: int) -> bytes:
    """Refuse ``request``; ``code`` is usually an ``ExceptionCode``."""
    return _frame(request.transaction, request.unit_id, bytes((request.function | _EXCEPTION, code)))


def decode_response(frame: bytes, request: Request) -> bytes | Refusal:
    """Return the data bytes of the answer to ``request``, or the server's refusal. Raises FrameError."""
    transaction, unit_id, pdu = _open(frame)
    if transaction != request.transaction:
        raise FrameError(f"answer to transaction {transaction}, asked was {request.transaction}")
    if unit_id != request.unit_id:
        raise FrameError(f"unit {unit_id} answered, unit {request.unit_id} was asked; check the device's unit_id")
    return answer_of(pdu, request)


def answer_of(pdu: bytes, request: Request) -> bytes | Refusal:
    """Read the PDU that answers ``request``, whatever line it came by. Raises FrameError."""
    if pdu[0] == request.function | _EXCEPTION:
        if len(pdu) != 2:
            raise FrameError(f"an exception has 2 bytes after the header, this one {len(pdu)}")
        return Refusal(pdu[1])
    if pdu[0] != request.function:
        raise FrameError(f"answer to function {pdu[0]}, asked was {int(request.function)}")
    wanted = request.function.data_bytes(request.count)
    if len(pdu) != wanted + 2 or pdu[1] != wanted:
        said = pdu[1] if len(pdu) > 1 else 0
        raise FrameError(
            f"{request.count} items are {wanted} bytes; the answer says {said} and carries {max(len(pdu) - 2, 0)}"
        )
    return pdu[2:]


def pack_bits(bits: Sequence[bool]) -> bytes:
    """Pack bits as the wire does: the first item is the lowest bit of the first byte (V1.1b3 6.1)."""
    packed = sum(1 << position for position, bit in enumerate(bits) if bit)
    return packed.to_bytes((len(bits) + 7) // 8, "little")


def slice_bits(data: bytes, start: int, count: int) -> bytes:
    """Cut ``count`` bits out of packed ``data`` from bit ``start``, packed again from bit 0."""
    value = (int.from_bytes(data, "little") >> start) & ((1 << count) - 1)
    return value.to_bytes((count + 7) // 8, "little")


def _frame(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return _MBAP.pack(transaction, 0, len(pdu) + 1, unit_id) + pdu


def _open(frame: bytes) -> tuple[int, int, bytes]:
    if len(frame) < _MBAP.size:
        raise FrameError(f"{len(frame)} bytes are no Modbus TCP frame; its header alone has {_MBAP.size}")
    transaction, protocol, length, unit_id = _MBAP.unpack_from(frame)
    _check_header(protocol, length)
    if length != len(frame) - _MBAP.size + 1:
        raise FrameError(f"the header promises {length} bytes, {len(frame) - _MBAP.size + 1} follow")
    return transaction, unit_id, frame[_MBAP.size :]


def _check_header(protocol: int, length: int) -> None:
    if protocol != 0:
        raise FrameError(f"protocol identifier {protocol} is not Modbus (0)")
    if not 2 <= length <= _MAX_PDU + 1:
        raise FrameError(f"a frame of {length} bytes after the length field cannot be; 2 to {_MAX_PDU + 1} can")
