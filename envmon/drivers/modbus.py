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
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Self

from envmon.config.settings import DeviceSettings
from envmon.drivers.backoff import Backoff
from envmon.drivers.contract import DeviceError
from envmon.drivers.modbus_answers import Answers, Decoding
from envmon.drivers.modbus_line import Lines, Visit, name_of
from envmon.drivers.modbus_plan import Block, Span, plan
from envmon.model.reading import Reason
from envmon.model.readings import Readings
from envmon.profiles.bind import BoundPoint, Place
from envmon.profiles.schema import ModbusLimits, Profile
from envmon.wire.modbus import ExceptionCode, Refusal

_planned = lru_cache(maxsize=1 << 8)(plan)  # devices of one profile share their blocks

_NOTHING: frozenset[Span] = frozenset()  # every call would make one more

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
        self._decoding = Decoding(points)
        self._unit_id = device.unit_id
        self._deadline_s = device.deadline_s
        self._patience_s = max(device.interval_s, device.deadline_s)
        self._where = name_of(device, self._limits)
        self._backoff = Backoff(clock, jitter)
        self._refused = _NOTHING
        self._blocks = _planned(self._decoding.spans, self._limits, self._refused)
        self._line = lines.at(device, self._limits)

    async def __aenter__(self) -> Self:
        self._line.enter()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._line.leave()

    @property
    def bound(self) -> Sequence[BoundPoint]:
        """Every point."""
        return self._decoding.bound

    async def poll(self) -> Readings:
        """Read every point once. Raises DeviceError when nothing answered or a backoff runs."""
        self._backoff.check()
        answers = Answers()
        visit = Visit(self._deadline_s, self._patience_s)
        fault = await self._collect(visit, answers)
        if fault is not None and not answers:
            if not visit.waiting:
                self._backoff.failed(fault, visit.held_s * self._line.others)
                await self._line.gave_up()
            raise fault.anew()
        self._backoff.succeeded()
        left = fault.reason if fault is not None else Reason.TIMEOUT
        readings = self._decoding.readings(self._blocks, answers, left)
        self._learn(answers)
        return readings

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
                answers.whole.append((block, outcome))
            elif len(block.parts) == 1 or not _is_hole(outcome):
                answers.alone.update((part, outcome) for part in block.parts)
            else:
                for part in block.parts:
                    answers.alone[part] = await self._ask(visit, part, answers)
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
        if not self._refused and not answers.refused:
            return  # as nearly always
        spans, found = self._decoding.spans, answers.spans()
        refused = frozenset(
            span for span in spans if (_is_hole(found[span]) if span in found else span in self._refused)
        )
        if refused != self._refused:
            self._refused = refused
            self._blocks = _planned(spans, self._limits, refused)


def _is_hole(outcome: bytes | Refusal) -> bool:
    return isinstance(outcome, Refusal) and outcome.code in _ABOUT_ADDRESSES
