"""SIP edges that do as they are told: what edges would report had another policy, or a rehearsal, commanded them.

Rules
  - Every effect is carried out at once and completely; a silent edge stays silent.
  - Calls keep arriving as they did; new ones go where the edge was told, old ones end evenly over ``drain_s``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from envmon.model.effect import SetPercent, StampEpoch, TrafficEffect
from envmon.model.event import EdgeReport, EdgeStatus, EffectReport, Outcome, Stamp


@dataclass(slots=True)
class _Way:
    """Where one edge sends the new calls of one route, and what it has counted."""

    percent: int
    set_epoch: int
    primary: int
    backup: int
    offered: int  # as last reported by the edge this one stands for
    turned_ns: int = 0  # when the position last changed; 0: never
    staying: float = 0.0  # share of the calls in progress at the primary when it changed


class ObedientEdges:
    """Give it every effect (``obey``) and every report (``seen``), in order."""

    def __init__(self, drain_s: float) -> None:
        self._drain_ns = max(drain_s, 1.0) * 1e9
        self._ways: dict[tuple[str, str], _Way] = {}
        self._fences: dict[str, int] = {}

    def obey(self, effect: TrafficEffect, at: Stamp) -> Iterator[EffectReport]:
        """Carry an effect out and answer for every edge."""
        for edge in effect.edges:
            fenced = effect.epoch < self._fences.get(edge, 0)
            if not fenced:
                self._fences[edge] = effect.epoch
                self._turn(edge, effect, at)
            yield EffectReport(at, effect.id, edge, Outcome.FENCED if fenced else Outcome.DONE, "as if")

    def seen(self, report: EdgeReport) -> EdgeReport:
        """What the edge would have reported."""
        return replace(report, statuses=tuple(self._as_if(status, report.at) for status in report.statuses))

    def _turn(self, edge: str, effect: SetPercent | StampEpoch, at: Stamp) -> None:
        if isinstance(effect, StampEpoch):
            return
        way = self._ways.setdefault((edge, effect.route), _Way(0, 0, 0, 0, 0))
        if way.percent != effect.percent:
            way.staying = self._at_primary(way, at)
            way.turned_ns = at.mono_ns
        way.percent, way.set_epoch = effect.percent, effect.epoch

    def _at_primary(self, way: _Way, at: Stamp) -> float:
        """The share of the calls in progress that are at the primary."""
        meant = 1 - way.percent / 100
        if not way.turned_ns:
            return meant
        old = max(0.0, 1 - (at.mono_ns - way.turned_ns) / self._drain_ns)
        return meant + (way.staying - meant) * old

    def _as_if(self, status: EdgeStatus, at: Stamp) -> EdgeStatus:
        offered = status.calls_primary + status.calls_backup
        fence = self._fences.setdefault(status.edge, status.fence)
        way = self._ways.get((status.edge, status.route))
        if way is None:
            way = _Way(status.percent, status.set_epoch, status.calls_primary, status.calls_backup, offered)
            self._ways[status.edge, status.route] = way
        new = offered - way.offered if offered >= way.offered else 0  # less: the edge restarted
        way.offered = offered
        moved = round(new * way.percent / 100)
        way.primary, way.backup = way.primary + new - moved, way.backup + moved
        active = status.active_primary + status.active_backup
        stay = round(active * self._at_primary(way, at))
        return replace(
            status,
            percent=way.percent,
            set_epoch=way.set_epoch,
            fence=fence,
            calls_primary=way.primary,
            calls_backup=way.backup,
            active_primary=stay,
            active_backup=active - stay,
        )
