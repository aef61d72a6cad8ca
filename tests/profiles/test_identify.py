"""Which profile fits: ranked, with reasons; what does not hold is never guessed."""

import pytest

from envmon.profiles.identify import Facts, identify, probes, why_not
from envmon.profiles.loader import load_builtin, load_text
from envmon.profiles.schema import Profile, Protocol
from envmon.profiles.schema_point import Register, RegisterType

SHIPPED = load_builtin()
LIEBERT = "1.3.6.1.4.1.476.1.42"


def facts(object_id: str = "", descr: str = "", *answers: str) -> Facts:
    below = {
        oid: any(answer == oid or answer.startswith(f"{oid}.") for answer in answers)
        for oid in probes(SHIPPED.values())
    }
    return Facts(Protocol.SNMP, object_id, descr, below)


def first(told: Facts) -> str:
    return next((match.profile for match in identify(SHIPPED.values(), told)), "")


@pytest.mark.parametrize(
    ("answers", "profile"),
    [
        (f"{LIEBERT}.3.4.3.1.0", "liebert-crac"),
        (f"{LIEBERT}.3.8.20.1.25.1", "liebert-mph-pdu"),
        (f"{LIEBERT}.3.5.2.2.1.2.1", "liebert-fpc"),
    ],
)
def test_one_sys_object_id_covers_cooling_units_and_power(answers: str, profile: str) -> None:
    assert first(facts(LIEBERT, "Uninitialized", answers)) == profile
    assert first(facts(LIEBERT, "Uninitialized")) == ""


def test_the_more_specific_wins_and_says_why() -> None:
    told = facts("1.3.6.1.4.1.705.1", "Eaton 5PX 3000", "1.3.6.1.2.1.33.1.4.1.0")
    matches = identify(SHIPPED.values(), told)
    assert [match.profile for match in matches] == ["eaton-mge-ups", "rfc1628-ups"]
    assert matches[0].reasons == ("sysObjectID begins with 1.3.6.1.4.1.705.1",)
    assert matches[1].reasons == ("1.3.6.1.2.1.33.1.4.1.0 answers",)


def test_a_pcoweb_card_is_its_program_where_that_is_known_and_a_pco_otherwise() -> None:
    carel = "1.3.6.1.4.1.9839"
    link, program = f"{carel}.2.0.10.1.0", [f"{carel}.2.1.{last}" for last in ("2.1.0", "2.3.0", "2.24.0", "1.51.0")]
    assert first(facts(carel, "pCOWeb", link, *program)) == "carel-uniflair"
    assert first(facts(carel, "pCOWeb", link)) == "carel-pco"
    assert first(facts(carel, "pCOWeb")) == ""


def test_an_apc_transfer_switch_is_no_ups() -> None:
    assert first(facts("1.3.6.1.4.1.318.1.3.11", "", "1.3.6.1.4.1.318.1.1.8.5.1.2.0")) == "apc-ats"


def test_a_prefix_ends_at_a_dot() -> None:
    row = "1.3.6.1.4.1.21796.4.1.3.1.5.1"
    assert first(facts("1.3.6.1.4.1.21796.4.1", "", row)) == "hwg-ste"
    assert first(facts("1.3.6.1.4.1.21796.4.11", "", row)) == ""


def test_two_devices_with_one_sys_object_id_are_told_apart_by_what_answers() -> None:
    hwg = "1.3.6.1.4.1.21796.4"
    assert first(facts(f"{hwg}.9", "WLD2 1.4.3", f"{hwg}.5.4.1.6.1")) == "hwg-wld"
    assert first(facts(f"{hwg}.9", "STE2", f"{hwg}.9.3.1.5.1")) == "hwg-ste2"
    assert first(facts(f"{hwg}.9")) == ""


def test_an_agent_that_says_nothing_of_itself_is_known_by_what_it_answers() -> None:
    assert first(facts("0.0", "", "1.3.6.1.2.1.33.1.4.1.0")) == "rfc1628-ups"
    assert first(facts("", "")) == ""


def test_what_was_not_asked_is_no_reason() -> None:
    silent = Facts(Protocol.SNMP, "1.3.6.1.4.1.9839", "CAREL cpCO controller", {"1.3.6.1.4.1.9839.1.2.19.0": True})
    assert identify(SHIPPED.values(), silent) == ()  # whether 21 answers is not known
    assert why_not(SHIPPED["carel-scs-ks"], silent) == "1.3.6.1.4.1.9839.1.2.21.0 answers"


def test_modbus_by_a_register_that_tells_the_model() -> None:
    text = """profile: made-up
vendor: nobody
kind: cooling_unit
protocol: modbus
evidence: document
sources: [{document: a test, revision: "1"}]
identify: {registers: [{function: 4, address: 458, type: uint16, equals: 2}]}
points: [{name: t, function: 4, address: 1, type: int16}]
"""
    kind: Profile = load_text(text, "made-up.yaml")
    register = Register(4, 458, RegisterType.UINT16, 1)
    assert [m.reasons for m in identify([kind], Facts(Protocol.MODBUS, registers={register: 2}))] == [
        ("function 4 register 458 reads 2",)
    ]
    assert why_not(kind, Facts(Protocol.MODBUS, registers={register: 1})) == "function 4 register 458 reads 1"
    assert why_not(kind, Facts(Protocol.MODBUS)) == "function 4 register 458 does not answer"


def test_every_profile_that_can_be_recognised_names_something_of_its_own() -> None:
    told = {name: profile.identify for name, profile in SHIPPED.items() if profile.identify is not None}
    assert len(set(told.values())) == len(told)
