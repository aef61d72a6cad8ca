"""List parity: one list, one version, renewed lately at both sites; what cannot be told is not taken for good."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from envmon.probes.evidence_sources import EvidenceError
from envmon.probes.list_parity import parity

DAY_S = 86_400.0
DIGEST: dict[str, Any] = {"boot": "a", "seq": 1, "count": 3, "sha256": "ab" * 32, "version": "42", "age_s": 60}
SAME = "3 numbers there, 3 here, the same"


def compared(folder: Path, theirs: Any, ours: Any, made_ago_s: float = 0.0) -> tuple[bool, str]:
    file = folder / "ours.json"
    file.write_text(json.dumps(ours))
    os.utime(file, (time.time() - made_ago_s,) * 2)
    return parity(theirs, file, DAY_S)


def test_one_list_of_one_version_renewed_today_is_parity(tmp_path: Path) -> None:
    assert compared(tmp_path, DIGEST, {**DIGEST, "boot": "b", "age_s": 3_600.5}) == (True, SAME)


@pytest.mark.parametrize(
    ("theirs", "ours", "made_ago_s", "why"),
    [
        ({"count": 4, "sha256": "cd" * 32}, {}, 0, "4 numbers there, 3 here, not the same"),
        ({"sha256": "cd" * 32}, {}, 0, "3 numbers there, 3 here, not the same"),
        ({"version": "43"}, {}, 0, f"{SAME}; version 43 there, 42 here"),
        ({"version": ""}, {}, 0, f"{SAME}; version unknown there, 42 here"),
        ({"age_s": 90_000}, {}, 0, f"{SAME}; the list there is 25h old, and may be 24h"),
        ({}, {"age_s": 86_500}, 0, f"{SAME}; the list here is 24h old, and may be 24h"),
        ({}, {}, 2 * DAY_S, f"{SAME}; the list here is 48h old, and may be 24h"),
        ({"age_s": 63e6}, {"age_s": 63e6}, 0, "the list there is 17500h old, and may be 24h; the list here is 17500h"),
        ({"count": 0}, {"count": 0}, 0, "0 numbers there, 0 here, the same; an empty list is how a lost one looks"),
    ],
)
def test_what_is_no_parity_says_why(
    tmp_path: Path, theirs: dict[str, Any], ours: dict[str, Any], made_ago_s: float, why: str
) -> None:
    passed, said = compared(tmp_path, {**DIGEST, **theirs}, {**DIGEST, **ours}, made_ago_s)
    assert not passed
    assert why in said


@pytest.mark.parametrize(
    "odd",
    [
        {"age_s": None}, {"age_s": -1}, {"age_s": True}, {"age_s": float("inf")}, {"age_s": float("nan")},
        {"age_s": "60"}, {"count": "3"}, {"count": 3.0}, {"count": True}, {"sha256": ""}, {"sha256": "AB" * 32},
        {"version": 42}, {"version": None}, {"age_s": 10**400}, {"count": 10**400}, {"age_s": 1e300},
    ],
)  # fmt: skip
def test_what_a_digest_does_not_tell_is_unknown(tmp_path: Path, odd: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError, match=r"^it must tell count, sha256, version and age_s"):
        compared(tmp_path, {**DIGEST, **odd}, DIGEST)
    with pytest.raises(EvidenceError, match="our own digest cannot be used: it must tell count"):
        compared(tmp_path, DIGEST, {**DIGEST, **odd})


def test_without_a_digest_of_our_own_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="say in ours:"):
        parity(DIGEST, None, DAY_S)
    with pytest.raises(EvidenceError, match="our own digest cannot be read: No such file"):
        parity(DIGEST, tmp_path / "none", DAY_S)
    (tmp_path / "torn").write_text('{"count": 3')
    with pytest.raises(EvidenceError, match="our own digest cannot be read: no JSON in"):
        parity(DIGEST, tmp_path / "torn", DAY_S)
    with pytest.raises(EvidenceError, match="our own digest cannot be used"):
        compared(tmp_path, DIGEST, [3])
