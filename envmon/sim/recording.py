"""A device that answers from a recording: what a walk of a real agent found, and nothing else.

Rules
  - A recording is ``OID|TAG|VALUE`` a line: the tag is the ASN.1 type's number, with ``x`` where the value is hex.
  - A line that is none is left out; a recording without any raises.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from envmon.sim.registers import Trouble
from envmon.wire import ber
from envmon.wire.snmp import Tag, Value

_NUMBERS = {Tag.INTEGER, Tag.COUNTER32, Tag.GAUGE32, Tag.TIME_TICKS, Tag.COUNTER64}


class RecordedDevice:
    """The variables of one recording; ``forget`` and ``put`` make holes and changes."""

    def __init__(self, variables: Iterable[tuple[ber.Oid, Value]]) -> None:
        self.trouble = Trouble()
        self.requests = 0
        self.view = dict(variables)
        if not self.view:
            raise ValueError("the recording holds no variable")
        self.order = sorted(self.view)

    @classmethod
    def load(cls, file: Path) -> "RecordedDevice":
        """Read a recording. Raises OSError, and ValueError when no line of it is one."""
        return cls(_variables(file.read_text(encoding="utf-8", errors="replace").splitlines()))

    @property
    def first(self) -> ber.Oid:
        """The first variable of all."""
        return self.order[0]

    def put(self, oid: str, value: Value) -> None:
        """Answer ``value`` there from now on."""
        self.view[ber.parse_oid(oid)] = value
        self.order = sorted(self.view)

    def forget(self, oid: str) -> None:
        """Answer nothing at or below ``oid`` from now on."""
        prefix = ber.parse_oid(oid)
        self.view = {name: value for name, value in self.view.items() if name[: len(prefix)] != prefix}
        self.order = sorted(self.view)

    def heard(self, *, first_point: bool) -> None:  # noqa: ARG002 - a recording has no profile to count by
        """Count a request; the server calls this."""
        self.requests += 1


def _variables(lines: Iterable[str]) -> Iterator[tuple[ber.Oid, Value]]:
    for line in lines:
        oid, tag, text = (*line.split("|", 2), "", "")[:3]
        try:
            name = ber.parse_oid(oid.strip())
            value = _value(Tag(int(tag.removesuffix("x"))), text, is_hex=tag.endswith("x"))
        except ValueError:
            continue
        yield name, value


def _value(tag: Tag, text: str, *, is_hex: bool) -> Value:
    if tag in _NUMBERS:
        return Value(tag, int(text))
    if tag is Tag.NULL:
        return Value(tag)
    if tag is Tag.OBJECT_IDENTIFIER:
        return Value(tag, ber.parse_oid(text))
    if tag is Tag.IP_ADDRESS and not is_hex:
        return Value(tag, bytes(int(part) for part in text.split(".")))
    return Value(tag, bytes.fromhex(text) if is_hex else text.encode())
