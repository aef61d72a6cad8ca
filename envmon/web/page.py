"""The status page: one plain HTML document, readable on a phone at night, with nothing to click.

Rules
  - No script, no inline style; every text that is not ours is escaped.
  - A missing value is shown as a dash, never as zero.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }
body { margin: 1rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin-bottom: 1.5rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; vertical-align: top; }
.ok, .primary, .pass { color: #187a2e; }
.degraded, .shifting, .restoring, .unread, .storm { color: #b35900; }
.critical, .backup, .split, .fail { color: #c4001a; font-weight: bold; }
.unknown { color: #7a3fbf; font-weight: bold; }
@media (prefers-color-scheme: dark) {
  .ok, .primary, .pass { color: #5fd07a; }
  .degraded, .shifting, .restoring, .unread, .storm { color: #ffb25c; }
  .critical, .backup, .split, .fail { color: #ff6b7d; }
  .unknown { color: #c9a3ff; }
}
"""

_DASH = "\N{EN DASH}"
_ZONE_HEAD = ("zone", "cooling", "phase", "temperature", "time to limit", "margin", "spare units", "why")
_ROUTE_HEAD = ("route", "new calls go to", "backup share", "proof", "threat", "calls left", "readiness", "why")


def page(status: Mapping[str, Any], health: Mapping[str, str]) -> str:
    """The whole document; an empty status says that the loop has not spoken yet."""
    site = escape(str(status.get("site") or "envmon"))
    body = [_head(status)] if status else ["<p>The loop has not told its status yet.</p>"]
    if health:
        faults = "".join(f"<li><b>{escape(part)}</b>: {escape(why)}</li>" for part, why in health.items())
        body.append(f'<h2>Not healthy</h2><ul class="fail">{faults}</ul>')
    if zones := status.get("zones"):
        body.append("<h2>Zones</h2>" + _table(_ZONE_HEAD, (_zone(name, zone) for name, zone in zones.items())))
    if routes := status.get("routes"):
        body.append("<h2>Routes</h2>" + _table(_ROUTE_HEAD, (_route(name, route) for name, route in routes.items())))
    if silent := [(name, device) for name, device in (status.get("devices") or {}).items() if not device.get("up")]:
        rows = ((_text(name), _text(device.get("error"))) for name, device in silent)
        body.append("<h2>Devices that do not answer</h2>" + _table(("device", "error"), rows))
    if parts := status.get("explain"):
        body.append("<h2>Why</h2>" + "".join(_part(part) for part in parts))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/style.css">'
        f"<title>{site}</title></head><body><h1>{site}</h1>{''.join(body)}</body></html>\n"
    )


def _head(status: Mapping[str, Any]) -> str:
    armed = status.get("armed") or {}
    lease = status.get("lease") or {}
    can = '<b class="pass">armed</b>' if armed.get("now") else '<b class="fail">not armed</b>'
    held = f"lease held, epoch {_text(lease.get('epoch'))}" if lease.get("held") else "lease not held"
    if standby := status.get("standby"):
        could = "could go on for it" if standby.get("inherits") else f"could not go on for it: {standby.get('why')}"
        held = f"stands by for {_text(standby.get('for'))}, {_text(could)}"
    why = f": {_text(armed.get('why'))}" if armed.get("why") else ""
    mode = f"<p>Mode <b>{_text(status.get('mode'))}</b>: {_text(status.get('mode_why'))}</p>"
    storm = status.get("storm") or {}
    posture = ""
    if storm.get("posture", "calm") != "calm":
        posture = f"<p>Posture {_marked(storm.get('posture'))}: {_text(storm.get('why'))}</p>"
    return f"{mode}<p>{can}{why}; {held}. As of {_time(status.get('time'))}.</p>{posture}"


def _zone(name: str, zone: Mapping[str, Any]) -> Iterable[str]:
    yield _text(name) + (" (backup site)" if zone.get("here") is False else "")
    yield _marked(zone.get("verdict")) + (" (projected)" if zone.get("basis") == "projected" else "")
    yield _text(zone.get("phase"))
    yield _number(zone.get("temperature_c"), "&nbsp;°C")
    yield _text((zone.get("time_to_limit") or {}).get("says"))
    yield _number(zone.get("margin_kw"), "&nbsp;kW")
    yield _number(zone.get("n_plus"))
    yield _text(zone.get("why"))


def _route(name: str, route: Mapping[str, Any]) -> Iterable[str]:
    yield _text(name)
    yield _marked(route.get("position"))
    yield _number(route.get("percent"), "&nbsp;%")
    yield _text(route.get("proof"))
    yield _text(route.get("threat"))
    yield _number(route.get("calls_left"))
    yield "<br>".join(_check(item, check) for item, check in (route.get("readiness") or {}).items()) or _DASH
    yield _text(route.get("why"))


def _check(item: str, check: Mapping[str, Any]) -> str:
    result = {True: "pass", False: "fail"}.get(check.get("pass"), "unknown")  # type: ignore[arg-type]
    why = f": {_text(check.get('why'))}" if check.get("why") else ""
    return f'{_text(item)} <span class="{result}">{result}</span>{why}'


def _part(part: Mapping[str, Any]) -> str:
    lines = "".join(f"<li>{_text(line)}</li>" for line in part.get("lines") or ())
    return f"<details><summary>{_text(part.get('title'))}</summary><ul>{lines}</ul></details>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _marked(word: Any) -> str:
    return f'<span class="{_text(word)}">{_text(word)}</span>'


def _number(value: Any, unit: str = "") -> str:
    return f"{value:.4g}{unit}" if isinstance(value, int | float) else _DASH


def _time(wall: Any) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%S} UTC" if isinstance(wall, int | float) else _DASH


def _text(value: Any) -> str:
    return _DASH if value is None or value == "" else escape(str(value))
