"""A simulated device: engineering values in, the raw numbers its profile says a real one would hold out.

Rules
  - Values are set by point name or role and encoded by the profile, the twins of cross-checks too.
  - Every point holds something plausible from the start; ``hide``, ``show_sentinel`` and ``show_raw`` spoil a point.
  - ``polls`` are the moments (monotonic seconds) at which the profile's first point was asked for: one a poll.
"""

import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from envmon.model.reading import Role, Severity, UnitState
from envmon.profiles.registers import in_order
from envmon.profiles.schema import Profile
from envmon.profiles.schema_point import Address, Oid, ProfilePoint, Register, RegisterType, State
from envmon.profiles.units import Scaling
from envmon.wire import ber
from envmon.wire.snmp import Tag, Value

_SYS_DESCR = ber.parse_oid("1.3.6.1.2.1.1.1.0")
_KEPT_POLLS = 10_000
_SIGNED = {RegisterType.INT16, RegisterType.INT32, RegisterType.INT64}
_FLOATS = {RegisterType.FLOAT32, RegisterType.FLOAT64}
_RANK = (Severity.OK, Severity.WARNING, Severity.CRITICAL, Severity.UNKNOWN)
_NEAREST = {
    UnitState.STARTING: (UnitState.STANDBY, UnitState.OFF),
    UnitState.STANDBY: (UnitState.OFF,),
    UnitState.FAILED: (UnitState.OFF, UnitState.STANDBY),
    UnitState.MAINTENANCE: (UnitState.OFF, UnitState.STANDBY),
    UnitState.OFF: (UnitState.STANDBY,),
}


@dataclass(slots=True)
class Trouble:
    """What is wrong with the whole device: settable at any time, all off at first.

    ``refuse`` is a Modbus exception code or an SNMP error-status. ``zero_holes`` makes a Modbus block across
    addresses the device does not have read as zeros there, as some controllers do, instead of refusing it.
    """

    silent: bool = False
    delay_ms: float = 0.0
    garbage: bool = False
    refuse: int = 0
    zero_holes: bool = False


class SimulatedDevice:
    """The memory of one device: Modbus words and bits, SNMP variables; and how it misbehaves."""

    def __init__(self, profile: Profile, now: Callable[[], float] = time.monotonic) -> None:
        self.profile = profile
        self.trouble = Trouble()
        self.polls: deque[float] = deque(maxlen=_KEPT_POLLS)
        self.requests = 0
        self.words: dict[tuple[int, int], int] = {}
        self.variables: dict[ber.Oid, Value] = {}
        self._now = now
        self._points = {spec.name: spec for spec in profile.points}
        for spec in profile.points:
            self.set(spec.name, _plausible(spec))

    @property
    def view(self) -> dict[ber.Oid, Value]:
        """Every SNMP variable, with a sysDescr."""
        described = Value(Tag.OCTET_STRING, f"envmon simulated {self.profile.name}".encode())
        return {_SYS_DESCR: described, **self.variables}

    @property
    def order(self) -> list[ber.Oid]:
        """The names of the SNMP variables, ascending."""
        return sorted(self.view)

    @property
    def first(self) -> ber.Oid:
        """The variable of the profile's first point. Raises ValueError for a device that does not speak SNMP."""
        match self.profile.points[0].address:
            case Oid(oid=oid):
                return ber.parse_oid(oid)
            case _:
                raise ValueError(f"{self.profile.name} does not speak SNMP")

    def set(self, name: str, value: float | str) -> None:
        """Show ``value``: a number in the point's measure, a state's label, or a text.

        A unit state the device cannot show becomes the nearest it can (starting -> standby). Raises KeyError for a
        point the profile does not have, ValueError for a value the point cannot show.
        """
        spec = self._points[name]
        if spec.states:
            self._write(spec, spec.address, _state(spec, str(value)).raw)
        elif spec.is_text:
            self._write(spec, spec.address, str(value))
        else:
            self._write(spec, spec.address, _raw(spec, spec.scaling, float(value)))
            if spec.cross_check is not None:
                check = spec.cross_check
                self._write(spec, check.address, _raw(spec, check.scaling, float(value)))

    def set_role(self, role: Role, value: float | str) -> bool:
        """Show ``value`` on every point of ``role``; False when the device has none. Raises ValueError."""
        names = [spec.name for spec in self.profile.points if spec.role is role]
        for name in names:
            self.set(name, value)
        return bool(names)

    def show_raw(self, name: str, raw: float | str) -> None:
        """Put a raw number or text into the point's own address; its twin stays as it is."""
        spec = self._points[name]
        self._write(spec, spec.address, raw)

    def show_sentinel(self, name: str) -> None:
        """Show what this device shows for "not available". Raises ValueError when the profile knows no such value."""
        spec = self._points[name]
        marks: tuple[float | str, ...] = (*spec.invalid, *spec.invalid_text)
        if not marks:
            raise ValueError(f"{self.profile.name}: {name} has no sentinel")
        self.show_raw(name, marks[0])

    def hide(self, name: str) -> None:
        """Answer for this point as a device that does not have it, until it is set again."""
        match self._points[name].address:
            case Register() as at:
                for word in range(at.address, at.address + at.registers):
                    self.words.pop((at.function, word), None)
            case Oid() as at:
                self.variables.pop(ber.parse_oid(at.oid), None)

    def heard(self, *, first_point: bool) -> None:
        """Count a request; the servers call this, whatever they answer."""
        self.requests += 1
        if first_point:
            self.polls.append(self._now())

    def _write(self, spec: ProfilePoint, address: Address, raw: float | str) -> None:
        try:
            match address:
                case Register():
                    self._write_words(address, raw)
                case Oid():
                    self.variables[ber.parse_oid(address.oid)] = _variable(raw)
        except (OverflowError, struct.error):
            raise ValueError(f"{self.profile.name}: {spec.name} cannot hold raw {raw}") from None

    def _write_words(self, at: Register, raw: float | str) -> None:
        if at.type is RegisterType.BIT:
            place = (at.function, at.address)
            bit = at.bit if at.function > 2 else 0
            self.words[place] = self.words.get(place, 0) & ~(1 << bit) | int(raw) << bit
            return
        data = in_order(at, _bytes(at, raw))
        for index in range(at.registers):
            self.words[at.function, at.address + index] = int.from_bytes(data[2 * index : 2 * index + 2], "big")


def _bytes(at: Register, raw: float | str) -> bytes:
    match at.type:
        case RegisterType.ASCII:
            return str(raw).encode("latin-1")[: 2 * at.registers].ljust(2 * at.registers, b"\0")
        case RegisterType.FLOAT32:
            return struct.pack(">f", float(raw))
        case RegisterType.FLOAT64:
            return struct.pack(">d", float(raw))
        case RegisterType.BCD:
            digits = str(int(raw)).zfill(4 * at.registers)
            if len(digits) > 4 * at.registers or not digits.isdecimal():
                raise OverflowError
            return bytes.fromhex(digits)
        case _:
            return int(raw).to_bytes(2 * at.registers, "big", signed=at.type in _SIGNED)


def _variable(raw: float | str) -> Value:
    if isinstance(raw, str):
        return Value(Tag.OCTET_STRING, raw.encode("latin-1"))
    number = int(raw)
    if not -(2**31) <= number < 2**32:
        raise OverflowError
    return Value(Tag.INTEGER if number < 2**31 else Tag.GAUGE32, number)


def _raw(spec: ProfilePoint, scaling: Scaling, value: float) -> float:
    raw = scaling.raw(value)
    is_float = isinstance(spec.address, Register) and spec.address.type in _FLOATS
    return raw if is_float else round(raw)


def _state(spec: ProfilePoint, label: str) -> State:
    wanted: tuple[str, ...] = (label,)
    if spec.role is Role.UNIT_RUNNING and label in set(UnitState):
        wanted = (label, *_NEAREST.get(UnitState(label), ()))
    for candidate in wanted:
        found = [state for state in spec.states if state.label == candidate]
        if found:
            return min(found, key=lambda state: _RANK.index(state.severity))
    known = ", ".join(sorted({state.label for state in spec.states}))
    raise ValueError(f"{spec.name} cannot show {label!r}; it shows {known}")


def _plausible(spec: ProfilePoint) -> float | str:
    if spec.states:
        return min(spec.states, key=lambda state: _RANK.index(state.severity)).label
    if spec.is_text:
        return "SIMULATED"
    low, high = spec.valid_range or (0.0, 1e9)
    wanted = 20.0 if spec.measure == "degC" else 0.0
    return min(max(wanted, low), high)
