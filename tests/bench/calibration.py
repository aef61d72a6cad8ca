"""How forecasts fared against the zone's own measured course, tick by tick from the onset of a loss to the limit."""

from dataclasses import dataclass

FIRST_PHASE_S = 300  # the mixing jump
STAYS_S = 30


@dataclass(frozen=True)
class Said:
    """What the engine said of the hottest zone here at second ``t``: degC, and seconds to the limit."""

    t: int
    temperature: float | None
    lost: bool
    lower: float | None
    median: float | None


@dataclass
class Calibration:
    """Counts over any number of plays."""

    ticks: int = 0
    held: int = 0  # the lower bound was not later than the zone
    settled: int = 0  # ticks past the first phase
    stated: int = 0  # of these, with a median
    near: int = 0  # of these, the median within a quarter of what was left

    def add(self, said: list[Said], limit_c: float) -> None:
        """Count one play, if its zone came to the limit."""
        reached_s = reached(said, limit_c)
        if reached_s is None:
            return
        start_s = next((each.t for each in said if each.lost), reached_s)
        for each in said:
            left = reached_s - each.t
            if not each.lost or left <= 0 or each.lower is None:
                continue
            self.ticks += 1
            self.held += each.lower <= left
            if each.t >= start_s + FIRST_PHASE_S:
                self.settled += 1
                self.stated += each.median is not None
                self.near += each.median is not None and abs(each.median - left) <= 0.25 * left

    def __str__(self) -> str:
        lower = 100 * self.held / max(1, self.ticks)
        near = 100 * self.near / max(1, self.stated)
        return (
            f"lower bound held in {lower:.1f} % of {self.ticks} ticks; past the first phase a median in {self.stated} "
            f"of {self.settled} ticks, within a quarter in {near:.1f} %"
        )


def reached(said: list[Said], limit_c: float) -> int | None:
    """When the zone's own temperature came to the limit to stay for half a minute; None when it never did."""
    since: int | None = None
    for each in said:
        if each.temperature is None or each.temperature < limit_c:
            since = None
            continue
        since = each.t if since is None else since
        if each.t - since >= STAYS_S - 1:
            return since
    return None


def report(plays: list[tuple[str, list[Said], float]], *, each: bool) -> None:
    """Print the calibration over every play; ``each``: of every play as well."""
    whole = Calibration()
    for identity, said, limit_c in plays:
        whole.add(said, limit_c)
        own = Calibration()
        own.add(said, limit_c)
        if each and own.ticks:
            print(f"{identity}: {own}")
    print(f"forecasts: {whole}")
