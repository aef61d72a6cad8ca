"""A short run of the fuzzer's targets: seeds, their mutations by a fixed chance, and bytes of no meaning.

The long, coverage-guided run is tests/bench/fuzz.py; both check the same.
"""

import random
import time

import fuzz_product
import fuzz_wire
import pytest
from fuzz_wire import Target

TARGETS = (*fuzz_wire.TARGETS, *fuzz_product.TARGETS)
SPICE = (b"\0", b"\xff", b"\x80", b"\x30\x84", b"\x7f\xff\xff\xff", b"\r\n", b'"', b"\x02\0", b"nan", b": ", b"-1")
LONGEST_S = 5.0


def mutated(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """A seed after one to five changes: bytes set, bits flipped, cut, doubled, spiced, joined to another seed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 5)):
        at, to = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        match chance.randrange(7):
            case 0 if data:
                data[at % len(data)] = chance.randrange(256)
            case 1 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 2:
                del data[at : min(to, at + 8)]
            case 3:
                data[at:at] = data[at : min(to, at + 8)]
            case 4:
                data[at:at] = chance.choice(SPICE)
            case 5:
                data[at:] = chance.choice(seeds)[at:]
            case _:
                del data[to:]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_no_input_crashes_hangs_or_is_believed_wrongly(target: Target):
    chance, seeds = random.Random(20261122), target.seeds()
    inputs = [*seeds, b"", *(chance.randbytes(chance.randrange(1, 200)) for _ in range(target.short // 10))]
    inputs += [mutated(chance, seeds) for _ in range(target.short)]
    for data in inputs:
        began = time.process_time()
        try:
            target.check(data)
        except Exception as error:
            error.add_note(f"python tests/bench/fuzz.py --replay {target.name} FILE, with this hex in it: {data.hex()}")
            raise
        assert time.process_time() - began < LONGEST_S, f"hangs: {data.hex()}"
