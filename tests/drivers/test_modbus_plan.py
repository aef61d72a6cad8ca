"""Merging points into reads: what a merged read may cross, and what comes out of it."""

from hypothesis import given
from hypothesis import strategies as st

from envmon.drivers.modbus_plan import Block, Span, plan
from envmon.profiles.schema import ModbusLimits
from envmon.wire.modbus import Function, pack_bits

HOLDING, COILS = Function.READ_HOLDING_REGISTERS, Function.READ_COILS


def holding(*pairs: tuple[int, int]) -> list[Span]:
    return [Span(HOLDING, address, count) for address, count in pairs]


def shape(blocks: tuple[Block, ...]) -> list[tuple[int, int]]:
    return [(block.span.address, block.span.count) for block in blocks]


def test_neighbours_are_one_read():
    assert shape(plan(holding((2, 2), (0, 1), (1, 1)), ModbusLimits())) == [(0, 4)]


def test_points_that_share_registers_are_one_read():
    assert shape(plan(holding((0, 4), (1, 1), (1, 1), (3, 2)), ModbusLimits())) == [(0, 5)]


def test_a_hole_is_never_crossed_unless_the_profile_says_so():
    spans = holding((0, 1), (2, 1), (5, 1))
    assert shape(plan(spans, ModbusLimits())) == [(0, 1), (2, 1), (5, 1)]
    assert shape(plan(spans, ModbusLimits(max_gap_fill=1))) == [(0, 3), (5, 1)]
    assert shape(plan(spans, ModbusLimits(max_gap_fill=2))) == [(0, 6)]


def test_functions_do_not_mix():
    spans = [Span(HOLDING, 0, 1), Span(Function.READ_INPUT_REGISTERS, 1, 1)]
    assert len(plan(spans, ModbusLimits(max_gap_fill=9))) == 2


def test_a_read_is_no_longer_than_the_device_can():
    assert shape(plan(holding(*((n, 1) for n in range(12))), ModbusLimits(max_read=5))) == [(0, 5), (5, 5), (10, 2)]


def test_for_bits_the_limit_is_the_same_amount_of_data():
    spans = [Span(COILS, n, 1) for n in range(40)]
    assert shape(plan(spans, ModbusLimits(max_read=2))) == [(0, 32), (32, 8)]
    many = [Span(COILS, n, 1) for n in range(2010)]
    assert shape(plan(many, ModbusLimits(max_read=9999))) == [(0, 2000), (2000, 10)]


def test_a_refused_span_is_alone_and_nothing_reaches_across_it():
    spans = holding((0, 1), (1, 1), (2, 1), (3, 1))
    assert shape(plan(spans, ModbusLimits(max_gap_fill=9), holding((2, 1)))) == [(0, 2), (2, 1), (3, 1)]


SPANS = st.lists(
    st.builds(Span, st.sampled_from([HOLDING, COILS]), st.integers(0, 60), st.integers(1, 4)), min_size=1, max_size=20
)


@given(SPANS, st.integers(4, 40), st.integers(0, 3), st.data())
def test_every_span_comes_out_of_exactly_one_block_as_it_went_in(spans, max_read, gap, data):
    apart = data.draw(st.sets(st.sampled_from(spans)))
    limits = ModbusLimits(max_read=max_read, max_gap_fill=gap)
    blocks = plan(spans, limits, apart)
    memory = [data.draw(st.integers(0, 1)) * 0xABCD ^ n for n in range(70)]
    parts = [part for block in blocks for part in block.parts]
    assert sorted(parts) == sorted(set(spans))
    for block in blocks:
        whole = memory[block.span.address : block.span.end]
        bits = block.span.function.reads_bits
        assert block.span.count <= (max_read * 16 if bits else max_read)
        raw = pack_bits([w & 1 == 1 for w in whole]) if bits else b"".join(w.to_bytes(2, "big") for w in whole)
        cut = dict(block.cut_all(raw))
        for part in block.parts:
            own = memory[part.address : part.end]
            wanted = pack_bits([w & 1 == 1 for w in own]) if bits else b"".join(w.to_bytes(2, "big") for w in own)
            assert cut[part] == wanted
        assert len(block.parts) == 1 or not apart & set(block.parts)
        named = {address for part in block.parts for address in range(part.address, part.end)}
        unnamed = [n for n in range(block.span.address, block.span.end) if n not in named]
        assert all(set(range(n, n + gap + 1)) & named for n in unnamed)
