"""Units that say they run while the air says they cool nothing: a broken belt, a closed valve, a lost refrigerant.

Rules
  - Told and paged, never a vote and never a loss of capacity: one unit's own two probes are one witness, and may lie.
  - Judged beside its neighbours only: when none of them cools, the whole room's air says so (``evidence``).
  - A unit that says itself that it gives nothing is no liar. One that has just started is given time to cool its air.

Theory of operation
  A unit that cools returns the air colder than it took it in. Where those beside it take out ``SPREAD_K`` or more and
  it takes out less than a third of that, its fan only moves the air.
"""

from collections.abc import Mapping
from statistics import median

from envmon.core.evidence import SPREAD_K, SPREAD_LEFT
from envmon.core.fresh import Fresh
from envmon.core.world import Doubt
from envmon.model.event import Stamp
from envmon.model.reading import Role, UnitState

IDLE_S = 300.0  # a minimum off time and a ramp: told no earlier
GIVES_NOTHING = 1.0  # kW or % of its own output
_LOOKED_AT = (Role.UNIT_RUNNING, Role.SUPPLY_TEMP, Role.RETURN_TEMP, Role.COOLING_OUTPUT)


def idlers(fresh: Fresh, doubted: Mapping[str, Doubt], before: Mapping[str, Doubt], now: Stamp) -> dict[str, Doubt]:
    """Unit -> why it is believed to cool nothing, and since when."""
    units: dict[str, dict[Role, float | str]] = {}
    for role in _LOOKED_AT:
        for seen in fresh.of(role):
            point = seen.reading.point
            if point.unit is not None and point.id not in doubted:
                units.setdefault(point.unit, {})[role] = seen.reading.value or 0.0
    taken = {unit: took for unit, read in units.items() if (took := _takes(read)) is not None}
    found: dict[str, Doubt] = {}
    for unit, took in taken.items():
        others = [each for name, each in taken.items() if name != unit]
        usual = median(others) if others else 0.0
        if usual >= SPREAD_K and took <= SPREAD_LEFT * usual:
            since_ns = before[unit].since_ns if unit in before else now.mono_ns
            found[unit] = Doubt(
                f"says it runs, but takes {took:.1f} K out of its air, the others {usual:.1f} K", since_ns
            )
    return found


def _takes(read: Mapping[Role, float | str]) -> float | None:
    """How much colder a unit returns its air, K; None where it does not claim to cool, or nobody measures it."""
    back, supply = read.get(Role.RETURN_TEMP), read.get(Role.SUPPLY_TEMP)
    output = read.get(Role.COOLING_OUTPUT)
    if read.get(Role.UNIT_RUNNING) != UnitState.RUNNING or not isinstance(back, float) or not isinstance(supply, float):
        return None
    return None if isinstance(output, float) and output <= GIVES_NOTHING else back - supply
