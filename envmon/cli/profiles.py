"""``envmon profiles`` and ``envmon profile check FILE``: what envmon can read, and whether a new profile is sound."""

import sys
from pathlib import Path

from envmon.profiles.loader import ProfileError, load_builtin, load_file
from envmon.profiles.schema import Profile


def profiles() -> int:
    """List the profiles that ship with envmon."""
    shipped = load_builtin()
    width = max(map(len, shipped))
    for name, profile in shipped.items():
        print(f"{name:{width}}  {profile.protocol:6}  {profile.kind:12}  {profile.evidence:8}  {profile.vendor}")
    return 0


def check(file: Path) -> int:
    """Tell every fault of a profile file, or what it reads."""
    try:
        profile = load_file(file)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: no fault found")
    print("\n".join(_read_back(profile)))
    return 0


def _read_back(profile: Profile) -> list[str]:
    lines = [f"{profile.name}: {profile.vendor}, {profile.kind} over {profile.protocol}, {profile.evidence}"]
    for spec in profile.points:
        role = f" [{spec.role}]" if spec.role else ""
        lines.append(f"  {spec.name}{role} {spec.measure}".rstrip())
    for table in profile.tables:
        names = ", ".join(point.spec.name for point in table.points)
        lines.append(f"  a table of {', '.join(table.walk) or 'rows ' + ', '.join(table.rows)}: {names}")
    lines += [f"  {each.count} times: {', '.join(spec.name for spec in each.points)}" for each in profile.repeats]
    lines += [f"  conditions of {each.walk}: {each.name}" for each in profile.conditions]
    if profile.identify is None:
        lines.append("  note: it has no identify, so envmon identify never proposes it")
    return lines
