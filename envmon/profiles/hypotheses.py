"""Ways in which a profile may read a number wrongly, and which of them would show what the panel shows.

Rules
  - One change at a time: the neighbouring register, the other order of words or bytes, ten times more or less, the
    other scale of temperature.
  - A hypothesis that fits proves nothing by itself: a reading that fits as well is told beside it.

Theory of operation
  Every hypothesis is the point itself with one thing changed, without its range and its cross-check, which would hide
  the number. The driver reads them all in one poll; the panel's number then says which of them hold.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from envmon.profiles.record import AS_WRITTEN
from envmon.profiles.schema_point import Order, ProfilePoint, Register, RegisterType
from envmon.profiles.units import UNITS, Scaling

_NUMBER = re.compile(r"([+-]?\d+(?:[.,](\d+))?)\s*(°?\s*[a-zA-Z/%0-9]*)")
_PANEL_UNITS = {"c": "degC", "f": "degF", "k": "K", **{unit.casefold(): unit for unit in UNITS if unit}}
_DRIFT_K = 0.5  # what a temperature may move while somebody reads it off a panel
_DRIFT = 0.02  # the share of any other number
_TURNED = {Order.HIGH_FIRST: Order.LOW_FIRST, Order.LOW_FIRST: Order.HIGH_FIRST}
_WIDE = {RegisterType.ASCII, RegisterType.BIT}
_OTHER_SCALE = {"degC": "degF", "degF": "degC"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A number on a panel, in the measure of its point, and how finely the panel shows it."""

    value: float
    step: float


def shown(text: str, scaling: Scaling) -> Shown:
    """Read what somebody typed off a panel: ``18.5``, ``65.3 F``, ``40,2 %``. Raises ValueError, saying what is wrong.

    Without a unit it is in the point's measure.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no number; type what the panel shows, such as 18.5 or 65.3F")
    word = match[3].replace("°", "").strip().casefold()
    unit = _PANEL_UNITS.get(word, "") if word else scaling.measure
    if word and not unit:
        raise ValueError(f"{match[3]!r} is no unit known here; type the number alone in {scaling.measure or 'counts'}")
    if UNITS[unit].measure != scaling.measure:
        raise ValueError(f"{unit} does not measure this point; it is in {scaling.measure or 'counts'}")
    factor = abs(UNITS[unit].factor)
    number = float(match[1].replace(",", "."))
    step = 10.0 ** -len(match[2] or "") * factor
    return Shown(Scaling(unit, difference=scaling.difference).value(number), step)


def fits(spec: ProfilePoint, value: float, panel: Shown) -> bool:
    """Whether a reading may be what the panel shows: to the coarser of the two, and as far as it may have moved."""
    drift = _DRIFT_K if spec.measure == "degC" else _DRIFT * abs(panel.value)
    return abs(value - panel.value) <= max(panel.step, spec.scaling.resolution) + drift


def alternatives(spec: ProfilePoint) -> Mapping[str, ProfilePoint]:
    """Return every other way to read a number, by its name; ``as written`` is the point without its range."""
    bare = replace(spec, cross_check=None, valid_range=None, role=None)
    return {AS_WRITTEN: bare, **dict(_at_other_registers(bare)), **dict(_scaled_otherwise(bare))}


def explanation(name: str) -> str:
    """Say what a hypothesis means for whoever writes the profile."""
    match name.partition(" ")[0]:
        case "address":
            return f"{name}: the document counts registers otherwise than the wire; change every address"
        case "word" | "byte":
            return f"{name}: set it under modbus, or on the point"
        case "scale":
            return f"{name}: change the point's scale"
        case "unit":
            return f"{name}: the device is set to the other scale; change the unit, or find the register that tells it"
        case _:
            return name


def _at_other_registers(spec: ProfilePoint) -> Iterator[tuple[str, ProfilePoint]]:
    at = spec.address
    if not isinstance(at, Register):
        return
    for step in (-1, 1):
        if at.address + step >= 0 and at.address + step + at.registers <= 65536:
            yield f"address {step:+d}", replace(spec, address=replace(at, address=at.address + step))
    if at.function in {1, 2} or at.type in _WIDE:
        return
    if at.registers > 1:
        other = _TURNED[at.word_order]
        yield f"word order {other}", replace(spec, address=replace(at, word_order=other))
    other = _TURNED[at.byte_order]
    yield f"byte order {other}", replace(spec, address=replace(at, byte_order=other))


def _scaled_otherwise(spec: ProfilePoint) -> Iterator[tuple[str, ProfilePoint]]:
    for word, factor in (("x10", 10.0), ("x0.1", 0.1)):
        scaled = replace(spec.scaling, scale=spec.scaling.scale * factor)
        units = spec.unit_from
        if units is not None:
            cases = tuple((raw, replace(each, scale=each.scale * factor)) for raw, each in units.scalings)
            units = replace(units, scalings=cases)
        yield f"scale {word}", replace(spec, scaling=scaled, unit_from=units)
    unit = spec.scaling.unit
    if unit in _OTHER_SCALE and spec.unit_from is None and not spec.scaling.difference:
        other = _OTHER_SCALE[unit]
        yield f"unit {other}", replace(spec, scaling=replace(spec.scaling, unit=other))
