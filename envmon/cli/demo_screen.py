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

from envmon.journal.chain import Line
from envmon.sim.site import Score
from envmon.sim.site_map import LIMITS
from envmon.sim.storm import Storm
from envmon.sim.telephony import BACKUP, PRIMARY

_BAR: Final = 30  # characters
_COLDEST_C: Final = 15.0  # the left end of a temperature bar
_LINES: Final = 8  # decisions shown, the newest last
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
        self._told = len(decisions)

    def _paint(
        self,
        status: Mapping[str, Any],
        score: Score,
        live_calls: Mapping[str, int],
        pages: int,
        decisions: Sequence[Line],
    ) -> RenderableType:
        parts: list[RenderableType] = [self._headline(status), _zones(status)]
        parts += [_route(name, route) for name, route in status["routes"].items()]
        parts.append(_calls(score, live_calls, pages))
        parts.append(self._decided(decisions))
        return Group(*parts)

    def _headline(self, status: Mapping[str, Any]) -> RenderableType:
        armed = status.get("armed", {"now": False, "why": "starting"})
        text = Text.assemble(
            (self._clock(status["time"]), "bold"),
            f"   mode {status['mode']}   ",
            ("armed" if armed["now"] else f"not armed: {armed['why']}", "green" if armed["now"] else "yellow"),
            f"   broker {self._broker}",
        )
        return Panel(text, title=Text(self._storm.title), title_align="left")

    def _decided(self, decisions: Sequence[Line]) -> RenderableType:
        shown = [self._sentence(line) for line in decisions[-_LINES:]] or [Text("nothing yet", "dim")]
        return Panel(Group(*shown), title="decided, and why", title_align="left")

    def _sentence(self, line: Line) -> Text:
        record = line.record
        why = record.extra.get("why", "")
        return Text.assemble(
            (self._clock(record.wall), "dim"),
            "  ",
            (record.rule, "bold cyan"),
            f"  {record.text}",
            (f"\n            {why}" if why and why not in record.text else "", "dim"),
        )

    def _clock(self, wall: float) -> str:
        return datetime.fromtimestamp(wall, tz=self._begins.tzinfo).strftime("%H:%M:%S")


def _zones(status: Mapping[str, Any]) -> RenderableType:
    table = Table(expand=True, box=None, padding=(0, 1))
    for head in ("room", "cooling", "rack inlet", "", "time to limit", "margin", "units lost"):
        table.add_column(head, header_style="dim")
    for name, zone in status["zones"].items():
        colour = _COLOURS[zone["verdict"]]
        where = "" if zone["here"] else " (backup)"
        table.add_row(
            Text(name + where),
            Text(zone["verdict"], f"bold {colour}"),
            Text(_celsius(zone["temperature_c"])),
            _bar(_warmth(zone["temperature_c"]), colour),
            Text(zone["time_to_limit"]["says"]),
            Text(f"{zone['margin_kw']:+.0f} kW"),
            Text(", ".join(zone["lost_units"]) or "none"),
        )
    whys = [Text(f"{name}: {z['why']}", "dim") for name, z in status["zones"].items() if z["verdict"] != "ok"]
    return Panel(Group(table, *whys), title="rooms", title_align="left")


def _route(name: str, route: Mapping[str, Any]) -> RenderableType:
    percent = route["percent"]
    told = Table.grid(padding=(0, 2))
    told.add_row(
        Text("new calls to the backup"),
        _bar((percent or 0) / 100, "cyan"),
        Text("the edges differ" if percent is None else f"{percent} %", "bold"),
        Text(f"position {route['position']}, proof {route['proof']}"),
        _ready(route["ready"]),
    )
    why = Text(route["why"], "dim")
    return Panel(Group(told, why), title=Text(f"route {name}"), title_align="left")


def _ready(ready: str) -> Text:
    told = {"yes": ("backup ready", "green"), "asked": ("backup is being called", "yellow")}
    return Text(*told.get(ready, ("backup not ready", "red")))


def _calls(score: Score, live_calls: Mapping[str, int], pages: int) -> RenderableType:
    text = Text.assemble(
        f"offered {score.offered}   answered {score.answered}   ended well {score.ended}   ",
        (f"failed {score.failed}", "bold red" if score.failed else "bold green"),
        f"   in progress: primary {live_calls[PRIMARY]}, backup {live_calls[BACKUP]}   pages {pages}",
    )
    return Panel(text, title="calls", title_align="left")


def _celsius(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} °C"


def _warmth(value: float | None) -> float:
    """How far a temperature is on its way from cold to the service limit, 0 to 1."""
    return 0.0 if value is None else (value - _COLDEST_C) / (LIMITS["service_c"] - _COLDEST_C)


def _bar(share: float, colour: str) -> Text:
    full = round(_BAR * min(1.0, max(0.0, share)))
    return Text.assemble(("█" * full, colour), ("░" * (_BAR - full), "dim"))
