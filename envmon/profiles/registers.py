"""Modbus registers to a number or a text, by the type and the orders the profile names.

Rules
  - Too few or too many bytes are our own mistake and raise; what the device put into them never does.
  - A float too small to be any measurement is what swapped words look like: no number, for it would round to zero.
  - Nibbles above nine are no decimal number: the text of the registers comes out, which is bad where a number belongs.
"""

import math
import struct
import sys
from collections.abc import Callable
from functools import lru_cache, partial

from envmon.profiles.schema_point import Order, Register, RegisterType

_WHOLE = (Order.HIGH_FIRST, Order.HIGH_FIRST)
_CODES = {
    RegisterType.INT16: "h",
    RegisterType.UINT16: "H",
    RegisterType.INT32: "i",
    RegisterType.UINT32: "I",
    RegisterType.INT64: "q",
    RegisterType.UINT64: "Q",
}
_LEAST_FLOAT32 = 2.0**-126  # below it only subnormal numbers
_SIGNED = {RegisterType.INT16: True, RegisterType.UINT16: False, RegisterType.INT32: True, RegisterType.UINT32: False}


def registers_value(register: Register, raw: bytes) -> int | float | str:
    """Return the number or text held by these registers. Raises ValueError when there are too few or too many bytes."""
    bits = register.function in {1, 2}
    wanted = 1 if bits else 2 * register.registers
    if len(raw) != wanted:
        raise ValueError(f"{register.type} at {register.address} needs {wanted} bytes, got {len(raw)}")
    if bits:
        return raw[0] & 1
    ordered = in_order(register, raw)
    match register.type:
        case RegisterType.INT16 | RegisterType.INT32 | RegisterType.INT64:
            return int.from_bytes(ordered, "big", signed=True)
        case RegisterType.UINT16 | RegisterType.UINT32 | RegisterType.UINT64:
            return int.from_bytes(ordered, "big")
        case RegisterType.FLOAT32:
            return _measurable(struct.unpack(">f", ordered)[0], _LEAST_FLOAT32)
        case RegisterType.FLOAT64:
            return _measurable(struct.unpack(">d", ordered)[0], sys.float_info.min)
        case RegisterType.BCD:
            digits = ordered.hex()
            return int(digits) if digits.isdecimal() else f"0x{digits}"
        case RegisterType.BIT:
            return int.from_bytes(ordered, "big") >> register.bit & 1
        case RegisterType.ASCII:
            return ordered.decode("latin-1").strip("\0 \t\r\n")


def code(register: Register) -> str:
    """Return the code by which ``struct`` reads one register's number, big-endian; "" where it cannot."""
    if register.function in {1, 2} or (register.word_order, register.byte_order) != _WHOLE:
        return ""
    known = _CODES.get(register.type, "")
    return known if struct.calcsize(f">{known}") == 2 * register.registers else ""


def _measurable(value: float, least: float) -> float:
    return math.nan if 0.0 < abs(value) < least else value


@lru_cache(maxsize=1 << 13)
def reader(register: Register) -> Callable[[bytes], int | float | str]:
    """Return ``registers_value`` for one register; for most it is one call of the machine's own."""
    if register.function in {1, 2} or (register.word_order, register.byte_order) != _WHOLE:
        return partial(registers_value, register)
    if register.type not in _SIGNED:
        return partial(registers_value, register)
    return partial(int.from_bytes, byteorder="big", signed=_SIGNED[register.type])


def in_order(register: Register, raw: bytes) -> bytes:
    """Return the bytes of a number from the highest to the lowest, or back: the change is its own inverse."""
    pairs = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if register.word_order is Order.LOW_FIRST and register.type is not RegisterType.ASCII:
        pairs.reverse()
    if register.byte_order is Order.LOW_FIRST:
        pairs = [pair[::-1] for pair in pairs]
    return b"".join(pairs)
