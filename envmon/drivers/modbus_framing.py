"""How Modbus requests and answers stand in a stream of bytes: with a header over TCP, with a checksum on RTU lines.

Rules
  - A framing holds what came since the last request and says which of it is the answer; it never waits.
  - Over TCP a frame with another transaction identifier is a late answer: counted and dropped, never matched.
  - RTU has no identifier. What came before the request was sent is dropped as late, and so are answers of other units
    and functions; silence after bytes that are no frame is a fault of the line (noise, wrong speed, wrong parity).
"""

from collections.abc import Iterator
from typing import Protocol

from envmon.wire import modbus, modbus_rtu
from envmon.wire.frame import FrameError
from envmon.wire.modbus import Refusal, Request

_SILENCE_S = 0.1  # USB adapters and gateways deliver a frame in pieces up to this far apart
_MOST_BYTES = 16 * modbus_rtu.MAX_FRAME  # in answer to one request; more is somebody babbling


class Framing(Protocol):
    """One stream of bytes, seen by one request at a time."""

    late: int
    """Frames that answered no request in flight."""

    @property
    def identifies(self) -> bool:
        """Whether a late answer can be told from the right one."""
        ...

    @property
    def silence_s(self) -> float:
        """Seconds without a byte after which ``quiet`` is due; 0 for never."""
        ...

    def ask(self, unit_id: int, function: modbus.Function, address: int, count: int) -> bytes:
        """Return the bytes of a request, the one answers are looked for from now on."""
        ...

    def feed(self, data: bytes) -> bytes | Refusal | None:
        """Take bytes; return the answer once it is whole. Raises FrameError: this request's answer is lost."""
        ...

    def quiet(self) -> None:
        """Take note that no more bytes come. Raises FrameError when what came is no frame."""
        ...

    def forget(self) -> None:
        """Take whatever comes from now on as late."""
        ...


class TcpFraming:
    """The header of Modbus TCP. After bytes that are no frame nothing that follows can be trusted.

    ``transactions`` gives the identifiers. The connections of one line share it: some gateways send the late answer to
    a closed connection to the next one.
    """

    identifies = True
    silence_s = 0.0

    def __init__(self, transactions: Iterator[int]) -> None:
        self.late = 0
        self._frames = modbus.FrameBuffer()
        self._asked: Request | None = None
        self._transactions = transactions

    def ask(self, unit_id: int, function: modbus.Function, address: int, count: int) -> bytes:
        """Return a request with the next transaction identifier."""
        transaction = next(self._transactions) & 0xFFFF
        self._asked = Request(transaction, unit_id, function, address, count)
        return modbus.encode_request(transaction, unit_id, function, address, count)

    def feed(self, data: bytes) -> bytes | Refusal | None:
        """Cut frames; the one with our transaction identifier must be the answer."""
        answer = None
        for frame in self._frames.feed(data):
            if self._asked is None or modbus.transaction_of(frame) != self._asked.transaction:
                self.late += 1
            else:
                answer = modbus.decode_response(frame, self._asked)
                self._asked = None
        return answer

    def quiet(self) -> None:
        """Do nothing: TCP loses no bytes."""

    def forget(self) -> None:
        """Match nothing until the next request."""
        self._asked = None


class RtuFraming:
    """RTU frames, on a serial line or through a gateway that passes them on as they are."""

    identifies = False
    silence_s = _SILENCE_S

    def __init__(self) -> None:
        self.late = 0
        self._data = b""
        self._asked: Request | None = None

    def ask(self, unit_id: int, function: modbus.Function, address: int, count: int) -> bytes:
        """Return a request; what lies in the buffer came too late for the one before."""
        self._data = b""
        self._asked = Request(0, unit_id, function, address, count)
        return modbus_rtu.encode_request(self._asked)

    def feed(self, data: bytes) -> bytes | Refusal | None:
        """Search everything that came since the request."""
        if self._asked is None:
            self.late += 1
            return None
        self._data += data
        answer = modbus_rtu.find_answer(self._data, self._asked)
        if answer is not None:
            self.forget()
        elif len(self._data) > _MOST_BYTES:
            self.forget()
            raise FrameError(f"more than {_MOST_BYTES} bytes without an answer in them: somebody else uses this line")
        return answer

    def quiet(self) -> None:
        """Whole frames of others may be late answers, then ours is still to come; anything else is noise."""
        data, self._data = self._data, b""
        try:
            self.late += modbus_rtu.count_strays(data)
        except FrameError as error:
            raise FrameError(f"{error}; check speed, parity and wiring of the line") from None

    def forget(self) -> None:
        """Match nothing until the next request."""
        self._asked = None
        self._data = b""
