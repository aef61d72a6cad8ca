"""Engineering units: what a device counts in, what envmon speaks, and the straight line between them.

Rules
  - envmon speaks degC, %, kW, kVA, kWh, Pa, l/s, s, V, A, Hz, rpm and "" (counts, states); a
    profile names the device's own unit.
  - A temperature difference converts without the 32 degF offset.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """``measure = (number + before) * factor``; ``before`` is the offset of the scale's zero."""

    measure: str
    factor: float = 1.0
    before: float = 0.0


UNITS: Mapping[str, Unit] = {
    "": Unit(""),
    "degC": Unit("degC"),
    "degF": Unit("degC", 5 / 9, -32.0),
    "K": Unit("degC", 1.0, -273.15),
    "%": Unit("%"),
    "kW": Unit("kW"),
    "W": Unit("kW", 0.001),
    "kVA": Unit("kVA"),
    "VA": Unit("kVA", 0.001),
    "kWh": Unit("kWh"),
    "Wh": Unit("kWh", 0.001),
    "Pa": Unit("Pa"),
    "hPa": Unit("Pa", 100.0),
    "kPa": Unit("Pa", 1000.0),
    "bar": Unit("Pa", 100_000.0),
    "psi": Unit("Pa", 6894.757293168),
    "l/s": Unit("l/s"),
    "l/min": Unit("l/s", 1 / 60),
    "m3/h": Unit("l/s", 1 / 3.6),
    "l/h": Unit("l/s", 1 / 3600),
    "gpm": Unit("l/s", 3.785411784 / 60),  # US gallons per minute
    "cfm": Unit("l/s", 28.316846592 / 60),  # cubic feet per minute
    "s": Unit("s"),
    "min": Unit("s", 60.0),
    "h": Unit("s", 3600.0),
    "V": Unit("V"),
    "mV": Unit("V", 0.001),
    "A": Unit("A"),
    "mA": Unit("A", 0.001),
    "Hz": Unit("Hz"),
    "rpm": Unit("rpm"),
}

_DIGITS = 9  # hides binary noise (219 * 0.1), keeps every device's resolution


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a raw number becomes a value: ``raw * scale + offset`` in ``unit``, then into the unit's measure."""

    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    difference: bool = False

    @property
    def measure(self) -> str:
        """The unit after decode."""
        return UNITS[self.unit].measure

    @property
    def resolution(self) -> float:
        """What one raw count is worth, in ``measure``."""
        return abs(self.scale * UNITS[self.unit].factor)

    def value(self, raw: float) -> float:
        """Raw number to value, in ``measure``."""
        unit = UNITS[self.unit]
        before = 0.0 if self.difference else unit.before
        return round((raw * self.scale + self.offset + before) * unit.factor, _DIGITS)

    def raw(self, value: float) -> float:
        """Value in ``measure`` to the raw number, not rounded: the inverse of ``value``."""
        unit = UNITS[self.unit]
        before = 0.0 if self.difference else unit.before
        return (value / unit.factor - before - self.offset) / self.scale


AS_IS = Scaling()
"""The number as the device gives it."""
