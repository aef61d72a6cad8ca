"""Modbus devices, over TCP or RTU: every point once per poll, with as few reads as the profile allows.

Rules
  - One request in flight on the whole line; one deadline for the poll, connecting and pauses included, waiting for
    other devices of the line (``modbus_line``) not.
  - An exception response concerns the points it was asked for: illegal data address is ``absent``, any other code
    ``refused``. Both are asked again at the next poll, because devices also answer so before their data is ready.
  - What was answered stays good when a later read fails; the points left over say why they are missing.
  - Only a poll in which nothing was answered raises and starts the backoff, longer where it kept others waiting.

Theory of operation
  Points are merged into blocks (``modbus_plan``). When a block of several points is refused, its points are read
  singly in the same poll, and those refused again are kept apart from the blocks until they answer. A block that
  met silence or garbage is asked last from then on, so that one bad block cannot starve the others. A gateway that
  reports its target missing (exceptions 10 and 11) speaks for the whole device. Late answers are dropped
  (``modbus_framing``), so a slow device costs its poll and nothing more.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, assert_never

from envmon.config.settings import DeviceSettings
from envmon.drivers.backoff import Backoff
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_line import Lines, Visit, name_of
from envmon.drivers.modbus_plan import Block, Span, plan
from envmon.model.reading import Reading, Reason
from envmon.profiles.bind import BoundPoint, Place
from envmon.profiles.decode import Beside, Plain, ShortWay, decode, missing, plain_registers, short_way
from envmon.profiles.registers import reader
from envmon.profiles.schema import Address, CrossCheck, ModbusLimits, Profile, Register, UnitFrom, ValidFrom
from envmon.wire.modbus import ExceptionCode, Function, Refusal

Answers = dict[Span, bytes | Refusal]

_GATEWAY = {
    ExceptionCode.GATEWAY_PATH_UNAVAILABLE: Reason.UNREACHABLE,
    ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND: Reason.TIMEOUT,
}
_ABOUT_ADDRESSES = {
    ExceptionCode.ILLEGAL_DATA_ADDRESS,
    ExceptionCode.ILLEGAL_DATA_VALUE,
    ExceptionCode.SERVER_DEVICE_FAILURE,
    ExceptionCode.MEMORY_PARITY_ERROR,
}


class ModbusDriver:
    """One Modbus device on one of ``lines``.

    ``clock`` is monotonic seconds and ``jitter`` gives 0.0 to 1.0, both for the backoff.
    """

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        points: tuple[BoundPoint, ...],
        *,
        at: Place,  # noqa: ARG002 - drivers are built alike; Modbus rows are bound beforehand
        lines: Lines,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._limits = profile.modbus or ModbusLimits()
        self._wanted = tuple(_want(bound) for bound in points)
        self._unit_id = device.unit_id
        self._deadline_s = device.deadline_s
        self._patience_s = max(device.interval_s, device.deadline_s)
        self._where = name_of(device, self._limits)
        self._backoff = Backoff(clock, jitter)
        self._spans = frozenset(span for wanted in self._wanted for span in wanted.spans)
        self._refused: frozenset[Span] = frozenset()
        self._blocks = plan(self._spans, self._limits)
        self._line = lines.at(device, self._limits)

    async def __aenter__(self) -> Self:
        self._line.enter()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._line.leave()

    @property
    def bound(self) -> tuple[BoundPoint, ...]:
        """Every point."""
        return tuple(wanted.bound for wanted in self._wanted)

    async def poll(self) -> tuple[Reading, ...]:
        """Read every point once. Raises DeviceError when nothing answered or a backoff runs."""
        self._backoff.check()
        answers: Answers = {}
        visit = Visit(self._deadline_s, self._patience_s)
        fault = await self._collect(visit, answers)
        if fault is not None and not answers:
            if not visit.waiting:
                self._backoff.failed(fault, visit.held_s * self._line.others)
                await self._line.gave_up()
            raise fault
        self._backoff.succeeded()
        self._learn(answers)
        left = fault.reason if fault is not None else Reason.TIMEOUT
        return tuple(wanted.reading(answers, left) for wanted in self._wanted)

    async def _collect(self, visit: Visit, answers: Answers) -> DeviceError | None:
        try:
            async with visit:
                for block in self._blocks:
                    await self._read_block(visit, block, answers)
        except TimeoutError:
            return DeviceError(Reason.TIMEOUT, f"{self._where}: {self._why_late(visit)}")
        except DeviceError as fault:
            return DeviceError(fault.reason, f"{self._where}: {fault}")
        return None

    def _why_late(self, visit: Visit) -> str:
        if visit.waiting:
            others = self._line.others
            return f"no turn within {self._patience_s:g} s; {others} others use its line, poll them less often"
        late = self._line.late
        hint = f" ({late} answers on this connection came late or with a wrong transaction identifier)" if late else ""
        return f"no answer within {self._deadline_s:g} s{hint}"

    async def _read_block(self, visit: Visit, block: Block, answers: Answers) -> None:
        try:
            outcome = await self._ask(visit, block.span, answers)
            if isinstance(outcome, bytes):
                answers.update(block.cut_all(outcome))
            elif len(block.parts) == 1 or not _is_hole(outcome):
                answers.update((part, outcome) for part in block.parts)
            else:
                for part in block.parts:
                    answers[part] = await self._ask(visit, part, answers)
        except (DeviceError, asyncio.CancelledError):
            if not visit.waiting:
                self._blocks = (*(other for other in self._blocks if other is not block), block)
            raise

    async def _ask(self, visit: Visit, span: Span, answers: Answers) -> bytes | Refusal:
        unit_id = self._unit_id + span.unit
        outcome = await self._line.ask(visit, unit_id, span, self._limits, first=not answers)
        if isinstance(outcome, Refusal) and outcome.code in _GATEWAY:
            raise DeviceError(_GATEWAY[ExceptionCode(outcome.code)], f"the gateway answers {outcome}")
        return outcome

    def _learn(self, answers: Answers) -> None:
        """Read refused spans by themselves from now on, and merge those that answer again."""
        if not self._refused and not any(isinstance(outcome, Refusal) for outcome in answers.values()):
            return  # as nearly always
        refused = frozenset(
            span for span in self._spans if (_is_hole(answers[span]) if span in answers else span in self._refused)
        )
        if refused != self._refused:
            self._refused = refused
            self._blocks = plan(self._spans, self._limits, refused)


def _is_hole(outcome: bytes | Refusal) -> bool:
    return isinstance(outcome, Refusal) and outcome.code in _ABOUT_ADDRESSES


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One point and the spans it is decoded from; None for what it does not need."""

    bound: BoundPoint
    own: Span
    cross: Span | None
    unit: Span | None
    valid: Span | None
    number: Callable[[bytes], Plain]
    short: ShortWay | None

    @property
    def spans(self) -> Iterator[Span]:
        return (span for span in (self.own, self.cross, self.unit, self.valid) if span is not None)

    def reading(self, answers: Answers, left: Reason) -> Reading:
        outcome = answers.get(self.own)
        if self.short is not None and isinstance(outcome, bytes):
            reading = self.short(self.bound.point, self.number(outcome))
            if reading is not None:
                return reading
        match outcome:
            case None:
                return missing(self.bound, left)
            case Refusal(code=ExceptionCode.ILLEGAL_DATA_ADDRESS):
                return missing(self.bound, Reason.ABSENT)
            case Refusal():
                return missing(self.bound, Reason.REFUSED)
            case bytes() as data:
                spec = self.bound.spec
                beside = Beside(
                    cross=_shown(answers, self.cross, spec.cross_check),
                    unit=_shown(answers, self.unit, spec.unit_from),
                    valid=_shown(answers, self.valid, spec.valid_from),
                )
                return decode(self.bound, plain_registers(spec.address, data), beside)
            case other:
                assert_never(other)


def _want(bound: BoundPoint) -> _Wanted:
    spec = bound.spec
    return _Wanted(
        bound,
        _span(spec.address),
        _span(spec.cross_check.address) if spec.cross_check else None,
        _span(spec.unit_from.address) if spec.unit_from else None,
        _span(spec.valid_from.address) if spec.valid_from else None,
        reader(_register(spec.address)),
        short_way(bound),
    )


def _shown(answers: Answers, span: Span | None, at: CrossCheck | UnitFrom | ValidFrom | None) -> Plain:
    found = answers.get(span) if span is not None else None
    return plain_registers(at.address, found) if at is not None and isinstance(found, bytes) else None


def _register(address: Address) -> Register:
    if not isinstance(address, Register):
        raise TypeError("a Modbus device was bound to a profile with SNMP addresses")
    return address


@lru_cache(maxsize=1 << 13)
def _span(address: Address) -> Span:
    """Return what must be read at an address; devices of one profile share it."""
    at = _register(address)
    return Span(Function(at.function), at.address, at.registers, at.unit_offset)
