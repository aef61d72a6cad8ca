"""What the demo shows: the rooms, the clock that runs out, the calls, and what envmon decided and why.

Rules
  - On a terminal one live picture; without one, or when asked, a line per decision. Both on standard error, so that
    standard output holds the result alone.
  - Nothing here reads or decides: it shows the daemon's own status, the callers' tally and the journal's lines.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from envmon.core.judge import minutes
from envmon.journal.chain import Line
from envmon.sim.site import Score
from envmon.sim.site_map import LIMITS
from envmon.sim.storm import Storm
from envmon.sim.telephony import BACKUP, PRIMARY

_BAR: Final = 10  # characters
_COLDEST_C: Final = 15.0  # the left end of a temperature bar
_LINES: Final = 6  # decisions shown, the newest last
_READY: Final[Mapping[str, tuple[str, str]]] = {
    "yes": ("ready", "green"),
    "asked": ("being called", "yellow"),
    "no": ("not ready", "yellow"),
}
_COLOURS: Final[Mapping[str, str]] = {"ok": "green", "degraded": "yellow", "critical": "red", "unknown": "magenta"}


class Screen:
    """A context manager; ``show`` may be called as often as one likes."""

    def __init__(self, storm: Storm, *, live: bool, broker: str, console: Console | None = None) -> None:
        self._storm, self._broker = storm, broker
        self._console = console or Console(stderr=True)
        self._begins = datetime.fromisoformat(storm.begins)
        self._picture = Live(console=self._console, auto_refresh=False) if live and self._console.is_terminal else None
        self._told = 0

    def __enter__(self) -> Self:
        if self._picture:
            self._picture.start()
        else:
            self._console.print(Text(f"{self._storm.title} (broker: {self._broker})"))
        return self

    def __exit__(self, *exc: object) -> None:
        if self._picture:
            self._picture.stop()

    def show(
        self,
        status: Mapping[str, Any],
        score: Score,
        live_calls: Mapping[str, int],
        pages: int,
        decisions: Sequence[Line],
    ) -> None:
        """Show this moment: the daemon's status, the calls, how many pages went out, the decisions so far."""
        if self._picture:
            picture = self._paint(status, score, live_calls, pages, decisions)
            self._picture.update(picture, refresh=True)
            return
        for line in decisions[self._told :]:
            self._console.print(self._sentence(line), soft_wrap=True)
            self._console.print(Text(f"            {line.record.extra.get('why', '')}", "dim"), soft_wrap=True)
        self._told = len(decisions)

    def _paint(
        self,
        status: Mapping[str, Any],
        score: Score,
        live_calls: Mapping[str, int],
        pages: int,
        decisions: Sequence[Line],
    ) -> RenderableType:
        parts = [
            self._headline(status),
            _zones(status),
            *(_why(name, zone) for name, zone in status["zones"].items() if zone["verdict"] != "ok"),
            _routes(status),
            _calls(score, live_calls, pages),
            *self._decided(decisions),
        ]
        return Panel(Group(*parts), title=Text(self._storm.title), title_align="left")

    def _headline(self, status: Mapping[str, Any]) -> Text:
        armed = status.get("armed", {"now": False, "why": "starting"})
        return Text.assemble(
            (self._clock(status["time"]), "bold"),
            f"   mode {status['mode']}   broker {self._broker}   ",
            ("armed" if armed["now"] else f"not armed: {armed['why']}", "green" if armed["now"] else "yellow"),
            no_wrap=True,
            overflow="ellipsis",
        )

    def _decided(self, decisions: Sequence[Line]) -> list[RenderableType]:
        head = Text("decided, and why", "dim")
        if not decisions:
            return [head, Text("nothing yet")]
        shown = [self._sentence(line, no_wrap=True, overflow="ellipsis") for line in decisions[-_LINES:]]
        return [head, *shown, Text(f"          {decisions[-1].record.extra.get('why', '')}", "dim")]

    def _sentence(self, line: Line, **style: Any) -> Text:
        record = line.record
        return Text.assemble(
            (self._clock(record.wall), "dim"), "  ", (record.rule, "bold cyan"), f"  {record.text}", **style
        )

    def _clock(self, wall: float) -> str:
        return datetime.fromtimestamp(wall, tz=self._begins.tzinfo).strftime("%H:%M:%S")


def _zones(status: Mapping[str, Any]) -> RenderableType:
    table = Table(expand=True, box=None, padding=(0, 1))
    for head in ("room", "cooling", "rack inlet", "", "time to limit", "margin", "units lost"):
        table.add_column(head, header_style="dim", no_wrap=True)
    for name, zone in status["zones"].items():
        colour = _COLOURS[zone["verdict"]]
        lost, margin = zone["lost_units"], zone["margin_kw"]
        table.add_row(
            Text(name if zone["here"] else f"{name} (backup)"),
            Text(zone["verdict"], f"bold {colour}"),
            Text(_celsius(zone["temperature_c"])),
            _bar(_warmth(zone["temperature_c"]), colour),
            Text(_until_limit(zone["time_to_limit"])),
            Text("not known" if margin is None else f"{margin:+.0f} kW"),
            Text(str(len(lost)) if lost else "none", "red" if lost else ""),
        )
    return table


def _why(name: str, zone: Mapping[str, Any]) -> RenderableType:
    return Text(f" {name}: {zone['why']}", "dim")


def _routes(status: Mapping[str, Any]) -> RenderableType:
    table = Table(expand=True, box=None, padding=(0, 1))
    for head in ("route", "new calls to the backup", "", "position", "proof", "backup"):
        table.add_column(head, header_style="dim", no_wrap=True)
    for name, route in status["routes"].items():
        percent = route["percent"]
        table.add_row(
            Text(name),
            _bar((percent or 0) / 100, "cyan"),
            Text("the edges differ" if percent is None else f"{percent} %", "bold"),
            Text(route["position"]),
            Text(route["proof"]),
            Text(*_READY[route["ready"]]),
        )
    return table


def _calls(score: Score, live_calls: Mapping[str, int], pages: int) -> Text:
    return Text.assemble(
        (" calls", "dim"),
        f" {score.offered} offered, {score.ended} ended well, ",
        (f"{score.failed} failed", "bold red" if score.failed else "bold green"),
        f"; now {live_calls[PRIMARY]} at the primary, {live_calls[BACKUP]} at the backup; {pages} pages",
    )


def _until_limit(limit: Mapping[str, Any]) -> str:
    return "at least " + minutes(limit["lower_s"]) if limit["lower_s"] is not None else limit["sight"].replace("_", " ")


def _celsius(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} °C"


def _warmth(value: float | None) -> float:
    """How far a temperature is on its way from cold to the service limit, 0 to 1."""
    return 0.0 if value is None else (value - _COLDEST_C) / (LIMITS["service_c"] - _COLDEST_C)


def _bar(share: float, colour: str) -> Text:
    full = round(_BAR * min(1.0, max(0.0, share)))
    return Text.assemble(("█" * full, colour), ("░" * (_BAR - full), "dim"))
