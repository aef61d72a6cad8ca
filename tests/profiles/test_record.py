"""Records of commissioning: what they are about, when they stand, and what they let vote."""

from dataclasses import replace
from pathlib import Path

import pytest

from envmon.model.reading import Reason
from envmon.profiles.bind import Compared, bind_at, place
from envmon.profiles.conditions import bind_conditions
from envmon.profiles.decode import decode
from envmon.profiles.loader import load_builtin, load_text
from envmon.profiles.record import Comparison, Record, RecordError, Verdict, load_record, text_of

PROFILE = """profile: made-up
vendor: nobody
kind: sensor
protocol: modbus
evidence: excerpt
sources: [{document: a test, revision: "1"}]
points:
- {name: t, function: 3, address: 1, type: int16, unit: degC, scale: 0.1}
- {name: u, function: 3, address: 2, type: int16, unit: degC, scale: 0.1}
"""
MADE_UP = load_text(PROFILE, "made-up.yaml")
SEEN = Comparison(Verdict.CONFIRMED, 18.4, "good", "degC", "18.5", "Ada", "2026-11-22T10:00:00+00:00")
RECORD = Record(
    "crac_1", "made-up", MADE_UP.digest, "192.0.2.1:502", "Ada", "2026-11-22T10:00:00+00:00",
    {
        "s.z.d.t": replace(SEEN, also=("address +1",), sentinels=(-32768, 0.5)),
        "s.z.d.u": replace(SEEN, verdict=Verdict.DIFFERS, reading="°", panel="yes", hypothesis="unit degF"),
        "s.z.d.v": replace(SEEN, verdict=Verdict.ABSENT, reading=None),
    },
)  # fmt: skip


def written(folder: Path, record: Record = RECORD) -> Path:
    file = folder / "crac_1.yaml"
    file.write_text(text_of(record, file), encoding="utf-8")
    return file


def test_a_record_comes_back_as_it_was_signed(tmp_path: Path) -> None:
    assert load_record(written(tmp_path)) == RECORD


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("18.4", "18.6", "was changed since it was signed by Ada"),
        ("by: Ada", "by: Bob", "was changed since it was signed by"),
        ("verdict: differs", "verdict: confirmed", "was changed"),
        ("verdict: differs", "verdict: maybe", "points.s.z.d.u.verdict is not as envmon commission writes it"),
        ("record: 1", "record: 2", "record is not as"),
        ("device: crac_1", "device: [", "not YAML"),
        ("device: crac_1", "device: crac_1\ndevice: crac_2", "given twice"),
        ("device: crac_1\n", "", "device is not as"),
    ],
)
def test_a_record_that_somebody_changed_is_refused_in_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = written(tmp_path)
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RecordError, match=said) as refused:
        load_record(file)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path) -> None:
    for text in ("", "- a list", "just words", "\0", "x" * (5 << 20)):
        file = tmp_path / "record.yaml"
        file.write_text(text)
        with pytest.raises(RecordError) as refused:
            load_record(file)
        assert "\n" not in str(refused.value)
    with pytest.raises(RecordError, match="No such file"):
        load_record(tmp_path / "none.yaml")


def test_the_digest_is_of_what_is_read_and_how() -> None:
    same = [
        PROFILE.replace("nobody", "somebody"),
        PROFILE.replace("points:", "identify: {registers: [{function: 3, address: 9, type: bcd, equals: 1}]}\npoints:"),
        PROFILE.replace("kind: sensor", "kind: sensor\nmodbus: {max_read: 9, pause_ms: 20}"),
        PROFILE.replace("points:", "# a comment\npoints:"),
        PROFILE.replace("{name: t, function: 3,", "{function: 3, name: t,"),
    ]  # fmt: skip
    assert {load_text(text, "p.yaml").digest for text in same} == {MADE_UP.digest}
    other = [
        PROFILE.replace("address: 1,", "address: 3,"),
        PROFILE.replace("scale: 0.1", "scale: 0.01", 1),
        PROFILE.replace("kind: sensor", "kind: sensor\nmodbus: {word_order: low_first}"),
        PROFILE.replace("profile: made-up", "profile: made-up-2"),
    ]
    assert len({load_text(text, "p.yaml").digest for text in other} | {MADE_UP.digest}) == 5


def test_the_digest_of_a_profile_counts_what_it_includes() -> None:
    digests = {profile.digest for profile in load_builtin().values()}
    assert len(digests) == len(load_builtin())
    assert all(len(digest) == 64 for digest in digests)
    text = (
        'profile: x\nvendor: v\nkind: ups\nprotocol: snmp\nevidence: excerpt\nsources: [{document: d, revision: "1"}]\n'
    )
    one = load_text(f"{text}include: [rfc1628-ups]\npoints: [{{name: p, oid: 1.3.6.1.9.0}}]", "x.yaml")
    two = load_text(f"{text}include: [apc-uio-sensors]\npoints: [{{name: p, oid: 1.3.6.1.9.0}}]", "x.yaml")
    assert one.digest != two.digest


def test_only_a_point_that_was_confirmed_votes() -> None:
    compared = Compared(RECORD.having(Verdict.CONFIRMED), RECORD.having(Verdict.DIFFERS), RECORD.sentinels)
    at = place(MADE_UP, site="s", device="d", path="p", zone="z", compared=compared)
    t, u = bind_at(MADE_UP, at)
    assert decode(t, 184).good
    assert decode(u, 184).reason is Reason.NOT_COMMISSIONED
    assert decode(t, -32768).reason is Reason.SENTINEL


def test_a_point_that_differed_never_votes_whatever_the_profile_rests_on() -> None:
    ups = load_builtin()["rfc1628-ups"]
    at = place(ups, site="s", device="d", path="p", zone="z", compared=Compared(differing=frozenset({"s.z.d.charge"})))
    votes = {bound.spec.name: bound.votes for bound in bind_at(ups, at)}
    assert not votes["charge"]
    assert votes["battery_voltage"]


def test_a_condition_table_votes_when_its_alarm_was_confirmed() -> None:
    crac = load_builtin()["liebert-crac"]
    for confirmed, votes in ((frozenset[str](), False), (frozenset({"s.z.d.conditions"}), True)):
        at = place(crac, site="s", device="d", path="p", zone="z", compared=Compared(confirmed))
        assert bind_conditions(crac.conditions[0], at).votes is votes
