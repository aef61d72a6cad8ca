"""From a poll's answers to readings: whole blocks at once say what their spans say one by one."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from envmon.drivers.modbus_answers import Answers, Decoding
from envmon.drivers.modbus_plan import Block, plan
from envmon.model.reading import Reason
from envmon.profiles.bind import Place
from envmon.profiles.registers import code
from envmon.profiles.schema import ModbusLimits
from envmon.profiles.schema_point import Order, ProfilePoint, Register, RegisterType
from envmon.profiles.units import Scaling

PLACE = Place("site", "crac_1", "switch_1", "hall_a")
SIZES = {
    RegisterType.INT16: 1, RegisterType.UINT16: 1, RegisterType.BIT: 1, RegisterType.BCD: 1, RegisterType.ASCII: 2,
    RegisterType.INT32: 2, RegisterType.UINT32: 2, RegisterType.FLOAT32: 2, RegisterType.INT64: 4,
    RegisterType.UINT64: 4, RegisterType.FLOAT64: 4,
}  # fmt: skip

registers = st.builds(
    lambda kind, function, address, word, byte: Register(
        function, address, kind, 1 if function in {1, 2} else SIZES[kind], word, 3, byte
    ),
    st.sampled_from(list(SIZES)),
    st.sampled_from([1, 3, 3, 3, 4]),
    st.integers(0, 30),
    st.sampled_from(Order),
    st.sampled_from(Order),
)
specs = st.lists(registers, min_size=1, max_size=25).map(
    lambda found: [
        ProfilePoint(f"p{at}", None, address, Scaling("degC", 0.1), invalid=(0.0,)) for at, address in enumerate(found)
    ]
)


def data_of(block: Block, seed: bytes) -> bytes:
    wanted = block.span.function.data_bytes(block.span.count)
    return (seed * (wanted // len(seed) + 1))[:wanted]


@given(points=specs, seed=st.binary(min_size=1, max_size=40), gap=st.integers(0, 9))
def test_whole_blocks_say_what_their_spans_say_one_by_one(points: list[ProfilePoint], seed: bytes, gap: int) -> None:
    decoding = Decoding([PLACE.bind(spec) for spec in points])
    blocks = plan(decoding.spans, ModbusLimits(max_gap_fill=gap))
    whole = Answers(whole=[(block, data_of(block, seed)) for block in blocks])
    singly = Answers(alone=whole.spans())
    told = decoding.readings(blocks, whole, Reason.TIMEOUT)
    assert list(map(repr, told)) == list(map(repr, decoding.readings(blocks, singly, Reason.TIMEOUT)))
    assert told.sheet.points == tuple(bound.point for bound in decoding.bound)


def test_what_was_not_reached_says_why_and_the_rest_is_decoded() -> None:
    points = [ProfilePoint(f"p{at}", None, Register(3, at * 10, RegisterType.INT16, 1)) for at in (0, 1)]
    decoding = Decoding([PLACE.bind(spec) for spec in points])
    blocks = plan(decoding.spans, ModbusLimits())
    told = decoding.readings(blocks, Answers(whole=[(blocks[0], b"\x00\x07")]), Reason.TIMEOUT)
    assert [(reading.value, reading.reason) for reading in told] == [(7.0, Reason.NONE), (None, Reason.TIMEOUT)]


def test_devices_of_one_profile_share_what_does_not_name_them() -> None:
    points = [ProfilePoint("p", None, Register(3, 1, RegisterType.INT16, 1))]
    one, other = (Decoding([PLACE.bind(spec) for spec in points]) for _ in range(2))
    assert one.bound.specs is other.bound.specs
    assert one.bound.sheet is not other.bound.sheet


@given(registers)
def test_a_code_reads_as_many_bytes_as_the_register_has(register: Register) -> None:
    found = code(register)
    assert not found or struct.calcsize(f">{found}") == 2 * register.registers
