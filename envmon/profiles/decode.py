"""Turn what a device answered into a reading, and decide its quality, once.

Rules
  - Nothing answered -> missing/absent. A sentinel, a text where a number belongs, NaN, a value outside its range or a
    state the profile does not list -> bad, without a value. Two encodings that disagree -> uncertain, with the value.
  - A state that is not good has severity ``unknown``: never ok.
  - Sentinels are per point and compared before scaling: -1 is a valid temperature.
  - A cross-check whose second address did not answer a number checks nothing and accuses nobody.
  - A text is one printable line: a device cannot fill pages and memories.
  - What is good on a device nobody commissioned, by a profile made of excerpts, is uncertain: shown, but it may not
    vote.
"""

import math
from dataclasses import dataclass, replace

from envmon.model.reading import Quality, Reading, Reason, Severity
from envmon.model.texts import line
from envmon.profiles.bind import BoundPoint
from envmon.profiles.registers import registers_value
from envmon.profiles.schema_point import Oid, ProfilePoint, Register
from envmon.profiles.units import Scaling

Raw = int | float | str | bytes | None
"""An SNMP value (``wire.snmp_pdu``)."""
Plain = int | float | str | None


@dataclass(frozen=True, slots=True)
class Beside:
    """What was read beside a point: by ``spec.cross_check``, ``unit_from``, ``valid_from`` and ``enum_from``."""

    cross: Raw = None
    unit: Raw = None
    valid: Raw = None
    label: Raw = None


NOTHING = Beside()
_AROUND = "\0 \t\r\n"  # what surrounds a text on the wire
_LEAST, _MOST = -(2**63), 2**64 - 1  # of a number that is a row of bits


def missing(bound: BoundPoint, reason: Reason = Reason.ABSENT) -> Reading:
    """Say that nothing is known of this point, and why."""
    return Reading(bound.point, None, Quality.MISSING, reason, _unknown(bound.spec))


def plain_registers(address: Register | Oid, raw: bytes | None) -> Plain:
    """Return what ``raw`` says at a Modbus address."""
    if isinstance(address, Oid):
        raise TypeError("an SNMP point was handed to the Modbus decoder")
    return None if raw is None else registers_value(address, raw)


def decode(bound: BoundPoint, raw: Raw, beside: Beside = NOTHING) -> Reading:
    """Decode one value with what was read beside it."""
    spec = bound.spec
    if spec.valid_from is not None:
        shown = plain(beside.valid)
        if shown is None or not any(_same(shown, case) for case in spec.valid_from.shows):
            return missing(bound)
    reading = _decode(bound, plain(raw), beside)
    if bound.votes or reading.quality is not Quality.GOOD:
        return reading
    return replace(reading, quality=Quality.UNCERTAIN, reason=Reason.NOT_COMMISSIONED)


def plain(value: Raw) -> Plain:
    """Return a number or a text without what surrounds it on the wire."""
    if isinstance(value, int):  # nearly every value
        return value
    return text(value) if isinstance(value, bytes) else value.strip(_AROUND) if isinstance(value, str) else value


def text(raw: bytes) -> str:
    """Return the text of an octet string: UTF-8 where it is, Latin-1 otherwise."""
    try:
        return raw.decode("utf-8").strip(_AROUND)
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip(_AROUND)


def _decode(bound: BoundPoint, raw: Plain, beside: Beside) -> Reading:
    spec = bound.spec
    if raw is None:
        return missing(bound)
    number = _number(raw)
    if number is not None and number in spec.invalid:
        return _bad(bound, Reason.SENTINEL)
    if isinstance(raw, str) and (_listed(raw, spec.invalid_text) or (number is None and spec.is_number)):
        return _bad(bound, Reason.INVALID_TEXT)
    if number is not None and spec.bits is not None:
        if number % 1 or not _LEAST <= number <= _MOST:  # NaN fails both
            return _bad(bound, Reason.INVALID_TEXT)
        raw = number = _field(number, *spec.bits)
    if spec.states:
        return _state(bound, raw, number) if spec.enum_from is None else _named_state(bound, plain(beside.label))
    return Reading(bound.point, line(str(raw))) if number is None or spec.is_text else _measured(bound, number, beside)


def _measured(bound: BoundPoint, raw: float, beside: Beside) -> Reading:
    spec = bound.spec
    if not math.isfinite(raw):
        return _bad(bound, Reason.SENTINEL)
    scaling = spec.scaling if spec.unit_from is None else _set_scaling(spec, plain(beside.unit))
    if scaling is None:
        return _bad(bound, Reason.UNKNOWN_UNIT)
    value = scaling.value(raw)
    low, high = spec.valid_range or (-math.inf, math.inf)
    if not (low <= value <= high and math.isfinite(value)):
        return _bad(bound, Reason.OUT_OF_RANGE)
    check = spec.cross_check
    if check is None:
        return Reading(bound.point, value)
    twin = _number(plain(beside.cross))
    if twin is None or twin in spec.invalid or not math.isfinite(twin):
        return Reading(bound.point, value)
    if abs(check.scaling.value(twin) - value) > check.tolerance:
        return Reading(bound.point, value, Quality.UNCERTAIN, Reason.CROSS_CHECK_FAILED)
    return Reading(bound.point, value)


def _set_scaling(spec: ProfilePoint, shown: Plain) -> Scaling | None:
    if spec.unit_from is None:
        return None
    if shown is None:
        return spec.unit_from.absent
    return next((scaling for case, scaling in spec.unit_from.scalings if _same(shown, case)), None)


def _state(bound: BoundPoint, raw: float | str, number: float | None) -> Reading:
    for state in bound.spec.states:
        if state.raw in {raw, number}:
            return Reading(bound.point, state.label, severity=state.severity)
    return _bad(bound, Reason.UNLISTED_STATE)


def _named_state(bound: BoundPoint, shown: Plain) -> Reading:
    """Take the state the device writes out; letters of either case, as firmware changes them."""
    if shown is None:
        return missing(bound)
    for state in bound.spec.states:
        if _same(shown, state.raw):
            return Reading(bound.point, state.label, severity=state.severity)
    return _bad(bound, Reason.UNLISTED_STATE)


def _field(number: float, first: int, last: int) -> float:
    return int(number) >> first & ((1 << (last - first + 1)) - 1)


def _bad(bound: BoundPoint, reason: Reason) -> Reading:
    return Reading(bound.point, None, Quality.BAD, reason, _unknown(bound.spec))


def _unknown(spec: ProfilePoint) -> Severity:
    return Severity.UNKNOWN if spec.states else Severity.NONE


def _same(shown: float | str, case: int | str) -> bool:
    return shown == case or str(shown).casefold() == str(case).casefold()


def _listed(word: str, words: tuple[str, ...]) -> bool:
    return word.casefold() in {known.casefold() for known in words}


def _number(raw: Plain) -> float | None:
    if not isinstance(raw, str):
        return raw
    if "_" in raw or not (raw.isascii() and raw.isprintable()):  # a number to Python, but no device means one
        return None
    try:
        return float(raw)
    except ValueError:
        return None
