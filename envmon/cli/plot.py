"""A story as a picture: temperatures, time to limit and decisions over time, as SVG.

Rules
  - Plain SVG 1.1, no script, no font file: it opens in any browser and prints.
  - A curve stops where nothing is known; it is never drawn across a gap.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from envmon.cli.story import Sample, Story, Told, clock

WIDTH, LEFT, RIGHT = 1100.0, 70.0, 170.0
COLOURS = ("#c0392b", "#2471a3", "#b9770e", "#1e8449", "#7d3c98", "#34495e")
SOON_MIN = 90.0  # the time to limit is drawn up to here
DECIDING = ("T", "O", "M")
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)  # minutes between marks
Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class _Panel:
    """One coordinate system: ``low`` to ``high`` from ``bottom`` up to ``top`` (pixels), ``ends`` seconds wide."""

    top: float
    bottom: float
    low: float
    high: float
    ends: float

    def x(self, t: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * t / max(self.ends, 1.0)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * share


def draw(story: Story, title: str, *, wall: bool, extra: Sequence[tuple[str, Points]] = ()) -> str:
    """The picture; ``extra`` are further temperature curves by name, drawn dashed."""
    decided = [told for told in story.told if told.rule.startswith(DECIDING)]
    legend = list(_legend(story, decided, 470.0, wall=wall))
    height = 490.0 + 18 * len(legend)
    size = f'width="{WIDTH:g}" height="{height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH:g} {height:g}" font-family="sans-serif">',
        f'<rect width="{WIDTH:g}" height="{height:g}" fill="#ffffff"/>',
        _text(LEFT, 22, title, size=16),
        *_temperatures(story, extra),
        *_limits(story),
        *_decisions(story, decided),
        *_time(story, wall=wall),
        *legend,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def save(path: Path, picture: str) -> str:
    """Write the picture; what went wrong, or ""."""
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        return f"{path}: the picture cannot be written: {error.strerror}"
    return ""


def _temperatures(story: Story, extra: Sequence[tuple[str, Points]]) -> Iterator[str]:
    curves: list[tuple[str, Points]] = [
        (zone, [(s.t, s.temperature) for s in samples]) for zone, samples in story.curves.items()
    ]
    known = [v for _, points in (*curves, *extra) for _, v in points if v is not None] or [20.0]
    top = max(*known, *story.limits.values(), 0.0)
    panel = _Panel(
        50, 250, min(*known, 20.0) - 1, min(top, max(story.limits.values(), default=40.0) + 8) + 1, story.ends
    )
    yield from _frame(panel, "°C", 5)
    for limit in sorted(set(story.limits.values())):
        yield _line(panel, limit, "#c0392b", f"service limit {limit:g} °C")
    for index, (name, points) in enumerate(curves):
        yield from _curve(panel, points, COLOURS[index % len(COLOURS)], name, label=True)
    for name, points in extra:
        yield from _curve(panel, points, "#7f8c8d", name, dashed=True)
        yield _text(WIDTH - RIGHT + 8, panel.bottom, f"dashed: {name}", size=10)


def _limits(story: Story) -> Iterator[str]:
    """Lower bound solid, median thin, minutes; the time an evacuation takes as a line."""
    panel = _Panel(280, 440, 0.0, SOON_MIN, story.ends)
    yield from _frame(panel, "min to limit", 15)
    for route, seconds in story.evacuate_s.items():
        yield _line(panel, seconds / 60, "#7f8c8d", f"{route}: evacuation")
    for index, samples in enumerate(story.curves.values()):
        colour = COLOURS[index % len(COLOURS)]
        yield from _curve(panel, _minutes(samples, lambda s: s.lower), colour, "")
        yield from _curve(panel, _minutes(samples, lambda s: s.median), colour, "", dashed=True)
    yield _text(WIDTH - RIGHT + 8, 296, "solid: at least", size=10)
    yield _text(WIDTH - RIGHT + 8, 310, "dashed: median", size=10)


def _minutes(samples: Iterable[Sample], of: Callable[[Sample], float | None]) -> Points:
    found = [(sample.t, of(sample)) for sample in samples]
    return [(t, None if value is None or value / 60 > SOON_MIN else value / 60) for t, value in found]


def _decisions(story: Story, decided: Sequence[Told]) -> Iterator[str]:
    panel = _Panel(40, 440, 0, 1, story.ends)
    last, row = -100.0, 0
    for told in decided:
        x = panel.x(told.t)
        row = row + 1 if x - last < 30 else 0
        last = x
        y = 40 + 11 * (row % 4)
        yield f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="440" stroke="#2c3e50" stroke-width="0.7" opacity="0.6"/>'
        yield _text(x + 2, y, told.rule, size=10)


def _time(story: Story, *, wall: bool) -> Iterator[str]:
    panel = _Panel(40, 440, 0, 1, story.ends)
    step = next((s for s in _STEPS if story.ends / 60 / s <= 10), _STEPS[-1]) * 60.0
    for number in range(int(story.ends // step) + 1):
        x = panel.x(number * step)
        stamp = clock(story, number * step, wall=wall)
        yield f'<line x1="{x:.1f}" y1="440" x2="{x:.1f}" y2="445" stroke="#2c3e50"/>'
        yield _text(x, 458, stamp[11:17] if wall else stamp[:-3], anchor="middle", size=10)


def _legend(story: Story, decided: Sequence[Told], top: float, *, wall: bool) -> Iterator[str]:
    for number, told in enumerate(decided[:40]):
        text = f"{clock(story, told.t, wall=wall)}  {told.rule} {told.subject}: {told.sentence}"
        yield _text(LEFT, top + 18 * (number + 1), text, size=11)


def _frame(panel: _Panel, unit: str, step: int) -> Iterator[str]:
    yield (
        f'<rect x="{LEFT:g}" y="{panel.top:g}" width="{WIDTH - LEFT - RIGHT:g}" height="{panel.bottom - panel.top:g}" '
        'fill="none" stroke="#bdc3c7"/>'
    )
    yield _text(LEFT - 8, panel.top - 6, unit, anchor="end", size=10)
    first = int(panel.low // step + 1) * step
    for value in range(first, int(panel.high) + 1, step):
        y = panel.y(value)
        yield f'<line x1="{LEFT:g}" y1="{y:.1f}" x2="{WIDTH - RIGHT:g}" y2="{y:.1f}" stroke="#ecf0f1"/>'
        yield _text(LEFT - 8, y + 4, str(value), anchor="end", size=10)


def _line(panel: _Panel, value: float, colour: str, label: str) -> str:
    y = panel.y(value)
    return (
        f'<line x1="{LEFT:g}" y1="{y:.1f}" x2="{WIDTH - RIGHT:g}" y2="{y:.1f}" stroke="{colour}" '
        f'stroke-dasharray="6 4"/>{_text(LEFT + 8, y - 4, label, size=10, colour=colour)}'
    )


def _curve(
    panel: _Panel, points: Points, colour: str, name: str, *, dashed: bool = False, label: bool = False
) -> Iterator[str]:
    style = ' stroke-dasharray="3 3" stroke-width="1"' if dashed else ' stroke-width="1.8"'
    runs: list[list[str]] = [[]]
    last: float | None = None
    for t, value in points:
        if value is None:
            runs.append([])
            continue
        runs[-1].append(f"{panel.x(t):.1f},{panel.y(value):.1f}")
        last = value
    for run in filter(None, runs):
        line = f'points="{" ".join(run)}" fill="none" stroke="{colour}"{style}'
        yield f"<polyline {line}><title>{escape(name)}</title></polyline>"
    if label and last is not None:
        yield _text(WIDTH - RIGHT + 8, panel.y(last) + 4, name, colour=colour)


def _text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", colour: str = "#2c3e50") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )
