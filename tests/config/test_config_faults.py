"""Every fault an operator can make, with the exact words and the exact place of the answer."""

from pathlib import Path

import pytest
from config_samples import EXAMPLE, HERE, PROFILES, changed, faults_of

from envmon.config import ConfigError, load

FAULTS = sorted((HERE / "faults").glob("*.yaml"))
FRAGMENTS = sorted((HERE / "fragments").iterdir())


def answer(path: Path, within: Path) -> str:
    try:
        settings = load(path, profiles=PROFILES)
    except ConfigError as error:
        return f"{error}\n".replace(f"{within}/", "")
    return f"no fault: {' '.join(device.id for device in settings.devices)}\n"


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_fault_is_told_in_these_words_at_this_place(path):
    assert answer(path, path.parent) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_faults_and_each_has_its_answer():
    assert len(FAULTS) >= 35
    assert {path.stem for path in FAULTS} == {path.stem for path in (HERE / "faults").glob("*.txt")}
    assert all(path.with_suffix(".txt").read_text() for path in FAULTS)


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_fragments_merge_or_are_told_apart(path):
    assert answer(path / "envmon.yaml", path) == (path / "expected.txt").read_text(encoding="utf-8")


def test_a_missing_file_and_a_directory_are_faults(tmp_path):
    for path, words in ((tmp_path / "none.yaml", "there is no such file"), (tmp_path, "this is a directory")):
        with pytest.raises(ConfigError) as caught:
            load(path, profiles=PROFILES)
        (fault,) = caught.value.faults
        assert (fault.file, fault.line, fault.col) == (str(path), 1, 1)
        assert words in fault.text


def test_an_unreadable_file_is_a_fault(tmp_path):
    path = tmp_path / "envmon.yaml"
    path.symlink_to(path)
    with pytest.raises(ConfigError, match="cannot be read: Too many levels of symbolic links"):
        load(path, profiles=PROFILES)


def test_a_huge_file_is_refused_without_parsing(tmp_path):
    (fault,) = faults_of(tmp_path, b"# x\n" * (3 << 20))
    assert "larger than 8 MiB" in fault.text


def test_an_alias_bomb_is_refused(tmp_path):
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (fault,) = faults_of(tmp_path, "\n".join(rows))
    assert "aliases followed" in fault.text


def example_mappings() -> list[tuple[int, int]]:
    """Every line of the example that starts a key in block style: its number from 0, and its indentation."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return [
        (at, len(line) - len(line.lstrip()))
        for at, line in enumerate(lines)
        if line.strip() and not line.lstrip().startswith("#")
    ]


@pytest.mark.parametrize(("at", "indent"), example_mappings())
def test_a_foreign_key_is_found_wherever_it_stands(at, indent, tmp_path):
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    lines.insert(at, f"{' ' * indent}zzz: 1")
    unserved = "no device serves this unit; add serves: hall_a.zzz to its device"
    told = faults_of(tmp_path, "\n".join(lines))
    (fault,) = [each for each in told if each.text not in {unserved, unserved.replace("_a", "_b")}]
    own_names = fault.text == "must be a mapping (key: value), not a number"
    assert (fault.line, fault.col) == (at + 1, indent + 1 + (len("zzz: ") if own_names else 0))
    assert own_names or fault.text.startswith("unknown key")
    assert fault.path.endswith("zzz")


def test_a_top_level_fault_is_not_always_on_the_first_line(tmp_path):
    (fault,) = faults_of(tmp_path, changed(("pagers:", "places_too: [x]\npagers:")))
    assert (fault.line, fault.col, fault.path) == (changed().split("pagers:")[0].count("\n") + 1, 1, "places_too")


def test_faults_come_by_file_and_line_and_once():
    with pytest.raises(ConfigError) as caught:
        load(HERE / "fragments" / "06-faults-in-each" / "envmon.yaml", profiles=PROFILES)
    faults = caught.value.faults
    assert len(faults) == len(set(faults)) == 4
    assert list(faults) == sorted(faults, key=lambda fault: (fault.file, fault.line, fault.col))


def test_faults_of_several_stages_are_told_together(tmp_path):
    text = changed(
        ("it_load_kw: 60", "it_load_kw: 1_0"),  # the text
        ("address: 192.0.2.31", "adress: 192.0.2.31"),  # the shape
        ("address: 192.0.2.32", "address: 192.0.2.32\n    deadline: 9s"),  # two keys of one entry
        ("zone: outside", "zone: out_side"),  # a reference
    )
    paths = [fault.path for fault in faults_of(tmp_path, text)]
    assert paths == [
        "zones.hall_a.it_load_kw",
        "devices.crac_1.adress",
        "devices.crac_2.deadline",
        "pagers.oncall.zone",
    ]
