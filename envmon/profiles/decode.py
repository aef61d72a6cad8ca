"""Turn what a device answered into a reading, and decide its quality, once.

Rules
  - Nothing answered -> missing/absent. A sentinel, a text where a number belongs, NaN, a value outside its range or a
    state the profile does not list -> bad, without a value. Two encodings that disagree -> uncertain, with the value.
  - A state that is not good has severity ``unknown``: never ok.
  - Sentinels are per point and compared before scaling: -1 is a valid temperature.
  - A cross-check whose second address did not answer a number checks nothing and accuses nobody.
"""

import math
import struct

from envmon.model.reading import Quality, Reading, Reason, Severity
from envmon.profiles.schema import BoundPoint, Oid, ProfilePoint, Register, RegisterType, WordOrder

Raw = int | float | str | bytes | None
"""An SNMP value as a client library hands it over."""


def missing(bound: BoundPoint, reason: Reason = Reason.ABSENT) -> Reading:
    """Say that nothing is known of this point, and why."""
    return Reading(bound.point, None, Quality.MISSING, reason, _unknown(bound.spec))


def decode_modbus(bound: BoundPoint, raw: bytes | None, cross: bytes | None = None) -> Reading:
    """Decode the registers of one point, as on the wire (two bytes each, high byte first).

    For functions 1 and 2 ``raw`` is one byte, 0 or 1. ``cross`` is the same for ``spec.cross_check.address``.
    """
    spec = bound.spec
    twin = None
    if spec.cross_check is not None and cross is not None:
        twin = registers_value(_register(spec.cross_check.address), cross)
    return _decode(bound, None if raw is None else registers_value(_register(spec.address), raw), twin)


def decode_snmp(bound: BoundPoint, value: Raw, cross: Raw = None) -> Reading:
    """Decode one SNMP value; None when the agent has no such object. ``cross`` is the cross-check's value."""
    return _decode(bound, _plain(value), _plain(cross))


def registers_value(register: Register, raw: bytes) -> int | float | str:
    """Return the number or text held by these registers. Raises ValueError when there are too few or too many bytes."""
    bits = register.function in {1, 2}
    wanted = 1 if bits else 2 * register.registers
    if len(raw) != wanted:
        raise ValueError(f"{register.type} at {register.address} needs {wanted} bytes, got {len(raw)}")
    if bits:
        return raw[0] & 1
    swapped = register.word_order is WordOrder.LOW_FIRST and len(raw) == 4
    ordered = raw[2:] + raw[:2] if swapped else raw
    match register.type:
        case RegisterType.INT16 | RegisterType.INT32:
            return int.from_bytes(ordered, "big", signed=True)
        case RegisterType.UINT16 | RegisterType.UINT32:
            return int.from_bytes(ordered, "big")
        case RegisterType.FLOAT32:
            return float(struct.unpack(">f", ordered)[0])
        case RegisterType.BIT:
            return int.from_bytes(raw, "big") >> register.bit & 1
        case RegisterType.ASCII:
            return _text(raw)


def _decode(bound: BoundPoint, raw: float | str | None, cross: float | str | None) -> Reading:
    spec = bound.spec
    if raw is None:
        return missing(bound)
    number = _number(raw)
    if number is not None and number in spec.invalid:
        return _bad(bound, Reason.SENTINEL)
    if isinstance(raw, str) and (_listed(raw, spec.invalid_text) or (number is None and spec.is_number)):
        return _bad(bound, Reason.INVALID_TEXT)
    if spec.states:
        return _state(bound, raw, number)
    return Reading(bound.point, str(raw)) if number is None or spec.is_text else _measured(bound, number, cross)


def _measured(bound: BoundPoint, raw: float, cross: float | str | None) -> Reading:
    spec = bound.spec
    if not math.isfinite(raw):
        return _bad(bound, Reason.SENTINEL)
    value = spec.scaling.value(raw)
    if spec.valid_range is not None and not spec.valid_range[0] <= value <= spec.valid_range[1]:
        return _bad(bound, Reason.OUT_OF_RANGE)
    twin = None if cross is None else _number(cross)
    check = spec.cross_check
    if check is None or twin is None or twin in spec.invalid or not math.isfinite(twin):
        return Reading(bound.point, value)
    if abs(check.scaling.value(twin) - value) > check.tolerance:
        return Reading(bound.point, value, Quality.UNCERTAIN, Reason.CROSS_CHECK_FAILED)
    return Reading(bound.point, value)


def _state(bound: BoundPoint, raw: float | str, number: float | None) -> Reading:
    for state in bound.spec.states:
        if state.raw in {raw, number}:
            return Reading(bound.point, state.label, severity=state.severity)
    return _bad(bound, Reason.UNLISTED_STATE)


def _bad(bound: BoundPoint, reason: Reason) -> Reading:
    return Reading(bound.point, None, Quality.BAD, reason, _unknown(bound.spec))


def _unknown(spec: ProfilePoint) -> Severity:
    return Severity.UNKNOWN if spec.states else Severity.NONE


def _listed(text: str, texts: tuple[str, ...]) -> bool:
    return text.casefold() in {known.casefold() for known in texts}


def _number(raw: float | str) -> float | None:
    if not isinstance(raw, str):
        return raw
    try:
        return float(raw)
    except ValueError:
        return None


def _plain(value: Raw) -> int | float | str | None:
    return _text(value) if isinstance(value, bytes) else value.strip() if isinstance(value, str) else value


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").strip("\0 \t\r\n")


def _register(address: Register | Oid) -> Register:
    if isinstance(address, Oid):
        raise TypeError("an SNMP point was handed to the Modbus decoder")
    return address
