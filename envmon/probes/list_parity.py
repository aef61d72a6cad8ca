"""Whether two do-not-record lists are one: their digests compared, never a number of theirs.

Rules
  - Two lists are one when count, SHA-256 and version are, and neither is older than the bound: lists that both stopped
    being renewed agree for ever, and say nothing about who asked not to be recorded since.
  - Our own list is as old as its digest says, and as much older as the file with that digest is; theirs is as old as it
    says, because an answer that did not advance does not come here.
  - A digest that leaves something out is an error; an age or a version nobody told is never taken for a good one. Two
    empty lists are no parity: that is what a list lost at both sites looks like.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from envmon.config.values import duration_text
from envmon.probes.evidence_sources import EvidenceError

MINUTE_S, HOUR_S = 60, 3_600
MOST = 10**12  # numbers, or seconds: whatever says more is no digest
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Digest:
    """What ``envmon parity digest`` tells of a list. ``age_s``: since its file was last written."""

    count: int
    sha256: str
    version: str
    age_s: float

    @classmethod
    def of(cls, told: Mapping[str, Any], more_s: float = 0.0) -> Self:
        """Read it; it is ``more_s`` older than it says. Raises EvidenceError."""
        said: Iterator[Any] = (told.get(key) for key in ("count", "sha256", "version", "age_s"))
        count, sha256, version, age_s = said
        numbers = _is_count(count) and _is_age(age_s)
        if not (numbers and isinstance(sha256, str) and _SHA256.fullmatch(sha256) and isinstance(version, str)):
            raise EvidenceError("it must tell count, sha256, version and age_s as envmon parity digest does")
        return cls(count, sha256, version, age_s + more_s)

    @classmethod
    def kept(cls, file: Path | None, now: float) -> Self:
        """Read our own from its file, at ``now`` (Unix seconds). Raises EvidenceError."""
        if file is None:
            raise EvidenceError("it told a list's digest; say in ours: where our own is")
        try:
            told = json.loads(file.read_text())
            written = file.stat().st_mtime
        except OSError as error:
            raise EvidenceError(f"our own digest cannot be read: {error.strerror}: {file}") from None
        except (ValueError, RecursionError):
            raise EvidenceError(f"our own digest cannot be read: no JSON in {file}") from None
        try:
            return cls.of(told if isinstance(told, dict) else {}, max(0.0, now - written))
        except EvidenceError as error:
            raise EvidenceError(f"our own digest cannot be used: {error}") from None


def parity(theirs: Mapping[str, Any], ours: Path | None, oldest_s: float) -> tuple[bool, str]:
    """Compare their digest with ours: whether it is one list, young enough, and why. Raises EvidenceError."""
    here = Digest.kept(ours, time.time())
    there = Digest.of(theirs)
    same = (there.count, there.sha256) == (here.count, here.sha256)
    said = [f"{there.count} numbers there, {here.count} here, {'the same' if same else 'not the same'}"]
    if there.version != here.version:
        said.append(f"version {there.version or 'unknown'} there, {here.version or 'unknown'} here")
    if same and not there.count:
        said.append("an empty list is how a lost one looks")
    for where, age_s in (("there", there.age_s), ("here", here.age_s)):
        if age_s > oldest_s:
            said.append(f"the list {where} is {_age_text(age_s)} old, and may be {duration_text(oldest_s)}")
    return same and len(said) == 1, "; ".join(said)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_age(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float) and 0 <= value <= MOST)  # NaN is neither


def _age_text(age_s: float) -> str:
    step = HOUR_S if age_s >= 3 * HOUR_S else MINUTE_S
    return duration_text(age_s // step * step)
