"""``envmon maintenance``, ``shelve`` and ``unshelve`` on the command line, and the times people write there.

Rules
  - A time is how long from now (90min, 2h, 3d), a time of day (06:00, the next one there is) or a whole date and time
    (2026-11-22T06:00). Without an offset of its own it is the time of this machine's zone; the answer says UTC.
"""

import argparse
import re
from datetime import datetime, timedelta

from envmon.cli import desk

_LASTS = re.compile(r"(\d{1,5})(min|h|d)")
_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_SECONDS = {"min": 60, "h": 3_600, "d": 86_400}


def until(text: str, now: datetime | None = None) -> float:
    """Read an end in the future, Unix seconds. Raises argparse.ArgumentTypeError."""
    now = now or datetime.now().astimezone()
    if match := _LASTS.fullmatch(text):
        return now.timestamp() + int(match[1]) * _SECONDS[match[2]]
    if match := _OF_DAY.fullmatch(text):
        today = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        return (today if today > now else today + timedelta(days=1)).timestamp()
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=now.tzinfo)).timestamp()
    except (ValueError, OverflowError):
        text = f"{text!r} is no time; write 90min, 2h, 06:00 or 2026-11-22T06:00"
        raise argparse.ArgumentTypeError(text) from None


def lasting(hold: argparse.ArgumentParser) -> None:
    """Add the end of a hold, as a time or as how long."""
    end = hold.add_mutually_exclusive_group()
    end.add_argument("--until", type=until, metavar="TIME", help="its end: 06:00 or a date and time; a day at most")
    end.add_argument("--for", dest="until", type=until, metavar="TIME", help="how long: 90min, 2h")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands."""
    maintenance = commands.add_parser("maintenance", help="set a unit, zone, edge or the site aside for a while")
    maintenance.add_argument("target", metavar="UNIT|ZONE|EDGE|SITE", help="its name; zone.unit where it is not unique")
    how = maintenance.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--until", type=until, metavar="TIME", help="its end: 2h, 06:00 or a date and time; 7 days at most"
    )
    how.add_argument(
        "--end",
        dest="command",
        action="store_const",
        const="maintenance_end",
        default=argparse.SUPPRESS,
        help="it is over now",
    )
    shelve = commands.add_parser("shelve", help="silence one open page for a while")
    shelve.add_argument("target", metavar="KEY", help="its key, as the status shows it")
    shelve.add_argument("--until", type=until, metavar="TIME", required=True, help="its end; a day at most")
    unshelve = commands.add_parser("unshelve", help="let a shelved page speak again")
    unshelve.add_argument("target", metavar="KEY", help="its key, as the status shows it")
    for each in (maintenance, shelve, unshelve):
        each.add_argument("--reason", required=True, help="why; it goes into the journal")
        desk.options(each)
