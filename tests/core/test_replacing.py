"""What is made and copied quickly is what ``dataclasses`` makes, for every class the core makes so."""

from dataclasses import dataclass, fields, replace

import pytest

from envmon.core.replacing import making, replacing
from envmon.core.world import Habit, RouteState, Seen, World, ZoneState


@pytest.mark.parametrize("kind", [ZoneState, RouteState])
def test_a_copy_is_what_replace_makes_and_the_original_stays(kind: type):
    value = kind()
    for field in fields(kind):
        made = replacing(kind, field.name)(value, "new")
        assert made == replace(value, **{field.name: "new"}) and type(made) is kind
        assert value == kind()


@pytest.mark.parametrize("kind", [Seen, Habit])
def test_what_is_made_of_all_its_parts_is_what_the_class_makes(kind: type):
    parts = [f"part {number}" for number in range(len(fields(kind)))]
    assert making(kind)(*parts) == kind(*parts)
    with pytest.raises(TypeError):
        making(kind)(*parts[1:])


def test_parts_come_in_the_order_they_were_named():
    made = replacing(Habit, "changes", "before")(Habit(1.0, 2.0, 3, 4.0, every_s=5.0), 7, 8.0)
    assert made == Habit(1.0, 8.0, 3, 4.0, 7, 5.0)


def test_what_is_made_is_frozen():
    for made in (replacing(ZoneState, "phase")(ZoneState(), None), making(ZoneState)(*[None] * len(fields(ZoneState)))):
        with pytest.raises(AttributeError):
            made.phase = None  # type: ignore[misc]


def test_a_field_that_is_not_there_is_a_mistake():
    with pytest.raises(TypeError, match="Seen has no wrong"):
        replacing(Seen, "wrong")
    with pytest.raises(TypeError):
        replacing(World, "now")(None)


def test_a_class_that_checks_itself_is_not_copied_unchecked():
    @dataclass(frozen=True, slots=True)
    class Checked:
        number: int

        def __post_init__(self) -> None:
            assert self.number

    for written in (lambda: replacing(Checked, "number"), lambda: making(Checked)):
        with pytest.raises(TypeError, match="checks itself"):
            written()
