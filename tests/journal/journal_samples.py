"""Records for the journal's tests, and the environment of their child processes."""

import os
from pathlib import Path

from hypothesis import strategies as st

import envmon
from envmon.journal.record import Entry, Record

CHILD_ENV = {**os.environ, "PYTHONPATH": f"{Path(envmon.__file__).parents[1]}:{Path(__file__).parent}"}

FULL = Record(
    entry=Entry.DECISION,
    mono_ns=123_456_789_012,
    wall=1_772_366_527.25,
    boot_id="9d6f0f5e-boot",
    subject="route:main",
    who="anna",
    text="New calls of main go to the backup: 18 min left, 11 min needed.",
    rule="R07",
    facts=(("time_to_limit_s", "1080"), ("time_to_evacuate_s", "660")),
    effect='{"percent":100,"route":"main"}',
    order="order-1",
    approvals=("bert", "carla"),
    deadline=1_772_366_999.5,
    state_hash="ab" * 32,
    epoch=42,
    episode="e-1",
    extra={"note": "ünïcödé", "b": "2"},
)


def record(number: int) -> Record:
    return Record(
        Entry.VERDICT, number, 1_700_000_000.0 + number, "boot", f"zone:{number % 3}", "envmon", f"n={number}"
    )


TEXT = st.text(max_size=20) | st.sampled_from(["\ud800", "a\x00b", "\n\x1b[2J", "ß'\";--"])
TIMES = st.floats(allow_nan=False, allow_infinity=False)
RECORDS = st.builds(
    Record,
    entry=st.sampled_from(Entry),
    mono_ns=st.integers(0, 2**63 - 1),
    wall=TIMES,
    boot_id=TEXT,
    subject=TEXT,
    who=TEXT,
    text=TEXT,
    rule=TEXT,
    facts=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    effect=TEXT,
    order=TEXT,
    approvals=st.lists(TEXT, max_size=2).map(tuple),
    deadline=TIMES,
    state_hash=TEXT,
    epoch=st.integers(0, 2**31 - 1),
    episode=TEXT,
    extra=st.dictionaries(TEXT, TEXT, max_size=3),
)
