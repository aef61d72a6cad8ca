"""A serial line as an asyncio transport: a terminal device in raw mode, read and written without blocking.

Rules
  - The line is opened for ourselves alone (TIOCEXCL, flock): a second master on it would garble every answer.
  - What lay in the driver's buffers before we came is thrown away.
  - A line that goes away (an adapter unplugged) ends the transport with the reason; opening it again is the caller's.

Source: MODBUS over Serial Line V1.02, 2.5.1 (eight data bits) and 2.5.1.1 (frames apart by 3.5 characters).
"""

import asyncio
import errno
import fcntl
import os
import termios

from envmon.config.settings import SerialSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_framing import Framing
from envmon.drivers.modbus_link import Link
from envmon.model.reading import Reason

_READ_BYTES = 4096
_FAST_BAUD = 19_200  # above it the pause is fixed (V1.02, 2.5.1.1)
_FAST_GAP_S = 0.001_75
_HINTS = {
    errno.ENOENT: "there is no such device; is the adapter plugged in?",
    errno.EACCES: "permission denied; the daemon's user must be in the group of the device (dialout)",
    errno.EBUSY: "somebody else has it open",
    errno.EAGAIN: "somebody else has it open",
    errno.ENOTTY: "it is no serial line",
    errno.EINVAL: "it cannot be driven as serial: says",
}


class SerialTransport(asyncio.Transport):
    """The transport of one open terminal ``fd``; it owns and closes it."""

    def __init__(self, fd: int, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._fd = fd
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._loop.add_reader(fd, self._readable)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write at once; a request is shorter than any line's buffer, so one that does not fit means a stuck line."""
        if self._closing:
            return
        try:
            sent = os.write(self._fd, data)
        except OSError as error:
            self._end(error)
            return
        if sent != len(data):
            self._end(OSError(errno.EIO, "the line takes no more bytes"))

    def abort(self) -> None:
        """Close the line."""
        self._end(None)

    def close(self) -> None:
        """Close the line."""
        self._end(None)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._end(OSError(errno.EIO, "the line was hung up"))

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._loop.call_soon(self._protocol.connection_lost, error)


def gap_s(serial: SerialSettings) -> float:
    """Return the least seconds of silence between two frames: 3.5 characters."""
    return 3.5 * _bits(serial) / serial.baud if serial.baud <= _FAST_BAUD else _FAST_GAP_S


def control_flags(serial: SerialSettings) -> int:
    """Return the terminal's control flags: eight data bits, the parity and stop bits asked for, no modem lines."""
    flags = termios.CS8 | termios.CREAD | termios.CLOCAL
    if serial.parity != "none":
        flags |= termios.PARENB
    if serial.parity == "odd":
        flags |= termios.PARODD
    return flags | (termios.CSTOPB if serial.stop_bits == 2 else 0)


async def open_serial(path: str, serial: SerialSettings, framing: Framing) -> Link:
    """Open the line at ``path``. Raises DeviceError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, termios.TIOCEXCL)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # TIOCEXCL does not keep root out
            _set_up(fd, serial)
        except BaseException:
            os.close(fd)
            raise
    except (OSError, termios.error) as error:
        number = int(error.args[0]) if error.args else 0
        why = _HINTS.get(number, os.strerror(number) if number else str(error))
        raise DeviceError(Reason.UNREACHABLE, f"cannot open {path}: {why}") from None
    link = Link(framing)
    SerialTransport(fd, link)
    return link


def _set_up(fd: int, serial: SerialSettings) -> None:
    speed = getattr(termios, f"B{serial.baud}")
    control = termios.tcgetattr(fd)[6]
    control[termios.VMIN], control[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, control_flags(serial), 0, speed, speed, control])
    termios.tcflush(fd, termios.TCIOFLUSH)


def _bits(serial: SerialSettings) -> int:
    """Bits of one character on the line, start bit included."""
    return 1 + 8 + (serial.parity != "none") + serial.stop_bits
