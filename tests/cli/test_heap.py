"""The collector is out of the way while a daemon is built, and seldom afterwards."""

import gc

import pytest

from envmon.cli import heap


@pytest.fixture(autouse=True)
def own_collector():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_was_built_is_frozen_and_the_collector_works_again():
    with heap.building():
        assert not gc.isenabled()
        built = [[number] for number in range(1_000)]
    assert gc.isenabled()
    assert gc.get_threshold() == (heap.YOUNG, *heap.RATIOS)
    assert gc.get_freeze_count() >= len(built)


def test_a_start_that_fails_leaves_the_collector_as_it_was():
    before = gc.get_threshold()
    with pytest.raises(OSError, match="no"), heap.building():
        raise OSError("no")
    assert gc.isenabled()
    assert gc.get_threshold() == before
