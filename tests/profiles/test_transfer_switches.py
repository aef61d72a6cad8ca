"""A transfer switch on its second source: the shipped profiles say so, and the posture is raised."""

import pytest

from envmon.core.status import status
from envmon.model.event import DeviceBatch
from envmon.model.reading import Reading, Role
from envmon.model.weather import Posture
from envmon.profiles.bind import bind_at, place
from envmon.profiles.decode import decode
from envmon.profiles.expand import expand
from envmon.profiles.loader import load_builtin
from envmon.profiles.registers import registers_value
from envmon.profiles.schema import Register
from tests.core.room import Room

PROFILES = load_builtin()
PREFERRED, SELECTED = "1.3.6.1.4.1.318.1.1.8.4.2.0", "1.3.6.1.4.1.318.1.1.8.5.1.2.0"
A, B, NONE = 1, 2, 3


def ats(preferred: int, selected: int) -> list[Reading]:
    """What an APC switch tells of its sources; somebody has compared it with its panel."""
    kind = PROFILES["apc-ats"]
    [table] = kind.tables
    there = place(kind, site="dallas", device="ats", path="ats", zone="hall_a", commissioned=True)
    bounds = expand(table, ["0"], {PREFERRED: preferred, SELECTED: selected}, there)
    return [decode(bound, selected) for bound in bounds]


def sts(source: int, **roles: Role) -> list[Reading]:
    """What a Liebert switch tells of its sources."""
    kind = PROFILES["liebert-sts-modbus"]
    there = place(kind, site="dallas", device="sts", path="sts", zone="hall_a", commissioned=True, roles=roles)
    found = []
    for bound in bind_at(kind, there):
        address = bound.spec.address
        if isinstance(address, Register) and (address.function, address.address) == (3, 2):
            found.append(decode(bound, registers_value(address, source.to_bytes(2, "big"))))
    return found


def posture(*readings: Reading) -> tuple[Posture, str]:
    """The posture after the switch has said so for 20 s."""
    room = Room().run(5)
    for _ in range(20):
        room.tell(DeviceBatch(room.at, "hall_a_probes", (*room.readings("hall_a_probes", "hall_a"), *readings)))
        room.run(1)
    return room.world.sky.posture, status(room.world)["storm"]["why"]


@pytest.mark.parametrize(
    ("preferred", "selected", "name", "value"),
    [(A, A, "off_source_a", "no"), (A, B, "off_source_a", "yes"), (B, A, "off_source_b", "yes"),
     (B, B, "off_source_b", "no")],
)  # fmt: skip
def test_an_ats_is_off_its_preferred_source_by_its_own_word(
    preferred: int, selected: int, name: str, value: str
) -> None:
    [reading] = ats(preferred, selected)
    assert (reading.point.name, reading.point.role, reading.value) == (name, Role.ON_GENERATOR, value)


def test_an_ats_that_prefers_neither_has_no_second_source() -> None:
    [reading] = ats(NONE, B)
    assert (reading.point.name, reading.point.role, reading.value) == ("on_source_b_preferring_neither", None, "yes")


def test_an_ats_on_its_second_source_raises_the_posture() -> None:
    raised, why = posture(*ats(A, B))
    assert raised is Posture.STORM
    assert why == "dallas.hall_a.ats.off_source_a: on generator"
    assert posture(*ats(B, B))[0] is not Posture.STORM


def test_an_sts_raises_the_posture_where_the_site_says_which_source_is_the_second() -> None:
    assert {each.point.name: each.value for each in sts(2)} == {
        "load_on_source": "source_2", "on_source_1": "no", "on_source_2": "yes",
    }  # fmt: skip
    assert posture(*sts(2))[0] is not Posture.STORM, "half of a room's switches prefer source 2"
    assert posture(*sts(2, on_source_2=Role.ON_GENERATOR))[0] is Posture.STORM
    assert posture(*sts(1, on_source_2=Role.ON_GENERATOR))[0] is not Posture.STORM
    assert posture(*sts(1, on_source_1=Role.ON_GENERATOR))[0] is Posture.STORM
