"""Whatever the bytes are, the answer is settings or faults; whatever the secret is, no answer repeats it."""

import string
import tempfile
from pathlib import Path

import pytest
from config_samples import EXAMPLE, SOUND, changed, faults_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envmon.cli.check import check

LINES = EXAMPLE.read_text(encoding="utf-8").splitlines()
SPICE = [
    *("NO", "010", "1e3", "12:30:45", "~", "[]", "{}", "- x", "*a", "&a", "<<: *a", "!x y", "? z", "|", "'", '"', "#"),
    *("\t", ": ", "\ud800", "\u2028", "\0", "9" * 5000, "." * 50, "a" * 5000, "é", "%YAML 1.2"),
]
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def well_told(faults) -> bool:
    return all(fault.line >= 1 and fault.col >= 1 and fault.text and str(fault).isprintable() for fault in faults)


@QUIET
@given(st.binary(max_size=400))
def test_any_bytes(directory, raw):
    assert well_told(faults_of(directory, raw))


@QUIET
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`,?#\t\n 01_.~=<", max_size=80))
def test_any_punctuation(directory, text):
    assert well_told(faults_of(directory, text))


@st.composite
def mutations(draw) -> str:
    """The example after a few lines were moved, cut, doubled, dropped or spiced."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at, to = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["move", "drop", "double", "cut", "indent", "spice", "value"])):
            case "move":
                lines.insert(to, lines.pop(at))
            case "drop":
                del lines[at]
            case "double":
                lines.insert(to, lines[at])
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "indent":
                lines[at] = " " * draw(st.integers(0, 9)) + lines[at].lstrip()
            case "spice":
                where = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:where] + draw(st.sampled_from(SPICE)) + lines[at][where:]
            case _:
                lines[at] = lines[at].split(":")[0] + ": " + draw(st.sampled_from(SPICE))
    return "\n".join(lines)


@settings(QUIET, max_examples=400)
@given(mutations())
def test_any_mutation_of_the_example(directory, text):
    assert well_told(faults_of(directory, text))


CORE = st.text(alphabet=string.ascii_letters + string.digits, min_size=6, max_size=20).map(lambda tail: f"Zq7{tail}")
AROUND = st.text(alphabet="!@#$%^&*()-_=+[]{};:'\",.<>/?\\|`~ 0", max_size=4)
STYLES = [
    *("{}", '"{}"', "'{}'", "[{}]", "{{{}}}", "{{a: {}}}", "[a, {{{}: b}}]"),
    *("*{}", "&{} x", "!{} x", "|\n      {}", "- {}"),
    *("!{}! x", "{{{}: 010}}", "{{a: 1, {}: NO, {}: x}}"),
]
PLACES = [
    ("credential:snmp}", "}"),
    ("token: credential:edge", ""),
    ("password: credential:mqtt", ""),
    ("token: credential:pager", ""),
]


@settings(QUIET, max_examples=400)
@given(CORE, AROUND, AROUND, st.sampled_from(STYLES), st.sampled_from(PLACES))
def test_no_answer_repeats_a_secret(directory, core, before, after, style, place):
    old, closing = place
    key = old.partition("credential:")[0]
    wrapped = style.replace("{}", core if closing else before + core + after).replace("{{", "{").replace("}}", "}")
    text = changed((old, f"{key}{wrapped}{closing}"))
    found = faults_of(directory, text)
    assert core not in "\n".join(map(str, found))
    assert core not in repr(found)


@pytest.mark.parametrize(
    "given", ["{sesame: 010", "!sesame! x", "*sesame", "&sesame &sesame x", "sesame: x", "[sesame"]
)
def test_a_broken_file_does_not_tell_what_stands_at_a_secret(directory, given):
    found = faults_of(directory, changed(("token: credential:edge", f"token: {given}")))
    assert {fault.path for fault in found} == {""}
    assert "sesame" not in "\n".join(map(str, found))


@settings(QUIET, max_examples=60)
@given(CORE)
def test_a_password_in_a_url_is_refused_unread(directory, core):
    found = faults_of(directory, changed(("https://pager", f"https://envmon:{core}@pager")))
    assert [fault.path for fault in found] == ["pagers.oncall.url"]
    assert core not in str(found[0])


def test_a_sound_file_never_shows_its_references(tmp_path, capsys):
    path = tmp_path / "envmon.yaml"
    path.write_text(SOUND)
    assert check(path, schema=False) == 0
    assert "credential" not in "".join(capsys.readouterr())
