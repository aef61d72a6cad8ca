"""Which profile fits a device, by what it told: ranked, with the reasons for and against.

Rules
  - Everything a profile names must hold; a profile that names nothing is never proposed.
  - The more specific wins: a longer object identifier, a matching description, more probes, a model register.
  - What was not asked is no reason: a profile whose probe has no answer in the facts does not match.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from envmon.profiles.schema import Identify, ModbusProbe, Profile, Protocol
from envmon.profiles.schema_point import Register

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
_NOTHING_SPECIFIC = 7  # arcs of 1.3.6.1.4.1.VENDOR: the vendor alone


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device told.

    ``answers_below`` maps each OID that was probed to whether anything answers at or below it; ``registers`` maps what
    was read over Modbus to its number or text.
    """

    protocol: Protocol
    sys_object_id: str = ""
    sys_descr: str = ""
    answers_below: Mapping[str, bool] | None = None
    registers: Mapping[Register, int | float | str] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A profile that fits, how specifically, and why."""

    profile: str
    score: int
    reasons: tuple[str, ...]


Reason = tuple[int, str]
"""How specific, and what it says."""


class _Against(Exception):  # noqa: N818 - no error: it ends the collection of reasons
    """Something the profile names does not hold."""


def identify(profiles: Iterable[Profile], facts: Facts) -> tuple[Match, ...]:
    """Return the profiles that fit, the most specific first."""
    found: list[Match] = []
    for profile in profiles:
        if profile.identify is None or profile.protocol is not facts.protocol:
            continue
        try:
            reasons = list(_reasons(profile.identify, facts))
        except _Against:
            continue
        found.append(Match(profile.name, sum(score for score, _ in reasons), tuple(text for _, text in reasons)))
    return tuple(sorted(found, key=lambda match: (-match.score, match.profile)))


def why_not(profile: Profile, facts: Facts) -> str:
    """Say what keeps this profile from fitting; "" when it fits."""
    if profile.identify is None:
        return "the profile does not say how to recognise its devices"
    try:
        list(_reasons(profile.identify, facts))
    except _Against as against:
        return str(against)
    return ""


def probes(profiles: Iterable[Profile]) -> tuple[str, ...]:
    """Return every OID that must be probed to tell these profiles apart."""
    told = [profile.identify for profile in profiles if profile.identify is not None]
    return tuple(dict.fromkeys(oid for each in told for oid in (*each.probe, *each.absent)))


def registers(profiles: Iterable[Profile]) -> tuple[Register, ...]:
    """Return every register that must be read to tell these profiles apart."""
    told = [profile.identify for profile in profiles if profile.identify is not None]
    return tuple(dict.fromkeys(probe.register for each in told for probe in each.registers))


def _reasons(told: Identify, facts: Facts) -> Iterator[Reason]:
    if told.sys_object_id:
        prefixes = [oid for oid in told.sys_object_id if _starts(facts.sys_object_id, oid)]
        if not prefixes:
            raise _Against(f"sysObjectID {facts.sys_object_id or 'is not told'}, not {', '.join(told.sys_object_id)}")
        longest = max(prefixes, key=len)
        yield 10 * (len(longest.split(".")) - _NOTHING_SPECIFIC + 2), f"sysObjectID begins with {longest}"
    if told.sys_descr:
        if re.search(told.sys_descr, facts.sys_descr) is None:
            raise _Against(f"sysDescr {facts.sys_descr!r} does not match {told.sys_descr!r}")
        yield 15, f"sysDescr matches {told.sys_descr!r}"
    below = facts.answers_below or {}
    for oid in told.probe:
        if not below.get(oid, False):
            raise _Against(f"nothing answers below {oid}")
        yield 8, f"{oid} answers"
    for oid in told.absent:
        if below.get(oid, True):
            raise _Against(f"{oid} answers")
        yield 1, f"{oid} does not answer"
    for probe in told.registers:
        yield _register(probe, facts)


def _register(probe: ModbusProbe, facts: Facts) -> Reason:
    shown = (facts.registers or {}).get(probe.register)
    where = f"function {probe.register.function} register {probe.register.address}"
    if shown is None:
        raise _Against(f"{where} does not answer")
    fits = shown in probe.equals if probe.equals else re.search(probe.matches, str(shown)) is not None
    if not fits:
        raise _Against(f"{where} reads {shown!r}")
    return 20, f"{where} reads {shown!r}"


def _starts(oid: str, prefix: str) -> bool:
    return oid == prefix or oid.startswith(f"{prefix}.")
