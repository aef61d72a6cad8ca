"""The command line: ``envmon COMMAND``.

Rules
  - A command loads nothing it does not need, so every one is imported where it is called (PLC0415): at night an order
    leaves at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from envmon import __version__
from envmon.cli import aside, desk
from envmon.cli.places import CONFIG, JOURNAL, STATE
from envmon.model.event import Command

SAYS = {
    Command.SHIFT: "send new calls to the backup",
    Command.RESTORE: "bring new calls home",
    Command.DRILL: "move a first share of real calls to the backup and home again, and measure it",
    Command.HOLD: "freeze automation for a while, keep the position; again: a new end",
    Command.RESUME: "end a hold",
    Command.ARM: "let envmon act by its rules (mode automatic)",
    Command.DISARM: "let envmon only observe; needs a second person",
    Command.ACCEPT: "let a looser policy take force; needs a second person",
    Command.APPROVE: "be the second person of an order that needs two",
}
CONFIG_SAYS = f"the configuration; {CONFIG} unless given"
JOURNAL_SAYS = f"the journal; {STATE / JOURNAL} unless given"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    asked = parser().parse_args(arguments)
    try:
        code = _command(asked)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output had enough of it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _command(asked: argparse.Namespace) -> int:
    match asked.command:
        case "run":
            from envmon.cli.run import run  # noqa: PLC0415

            return run(asked.config)
        case "check":
            from envmon.cli.check import check  # noqa: PLC0415

            return check(asked.config, asked.schema)
        case "journal" | "report":
            return _written(asked)
        case "poll" | "identify" | "profiles" | "profile" | "commission":
            return _devices(asked)
        case "edge":
            from envmon.cli.edge import check_edge  # noqa: PLC0415

            return check_edge(asked.config, asked.name, asked.script, asked.restart, as_json=asked.json)
        case "replay" | "rehearse":
            return _virtual(asked)
        case "demo":
            from envmon.cli.demo import demo  # noqa: PLC0415

            return demo(asked)
        case _:
            return _asking(asked)


def _asking(asked: argparse.Namespace) -> int:
    match asked.command:
        case "explain":
            from envmon.cli.explain import explain  # noqa: PLC0415

            return explain(asked)
        case "rules":
            from envmon.cli.rules import rules  # noqa: PLC0415

            return rules()
        case "parity":
            from envmon.cli.parity import digest  # noqa: PLC0415

            return digest(asked.file, asked.list_version)
    from envmon.cli import orders  # noqa: PLC0415

    if asked.command == "status":
        return orders.status(desk.chosen(asked), as_json=asked.json)
    return orders.order(desk.chosen(asked), orders.request(vars(asked)))


def _written(asked: argparse.Namespace) -> int:
    from envmon.cli import journal  # noqa: PLC0415

    match asked.command, getattr(asked, "what", ""):
        case "report", _:
            return journal.report(asked.path, asked.episode, asked.output, asked.users)
        case _, "show":
            return journal.show(asked.path, as_lines=asked.json, since=asked.since)
        case _, "export":
            return journal.export(asked.path, asked.output)
        case _:
            return journal.verify(asked.path, asked.head)


def _devices(asked: argparse.Namespace) -> int:
    from envmon.cli import devices, profiles  # noqa: PLC0415

    match asked.command:
        case "commission":
            return _commission(asked)
        case "poll":
            return devices.poll(asked.config, asked.device, as_json=asked.json)
        case "identify":
            login = devices.Login(asked.community, asked.like, asked.config)
            return devices.identify_host(asked.host, login, modbus=asked.modbus, unit_id=asked.unit_id)
        case "profiles":
            return profiles.profiles()
        case _:
            return profiles.check(asked.file)


def _commission(asked: argparse.Namespace) -> int:
    from envmon.cli.commission import Wish, commission  # noqa: PLC0415

    wish = Wish(
        asked.config,
        asked.device,
        asked.record,
        asked.answers,
        asked.by,
        tuple(asked.points),
        roles_only=asked.roles,
        as_json=asked.json,
    )
    return commission(wish)


def _virtual(asked: argparse.Namespace) -> int:
    if asked.command == "rehearse":
        from envmon.cli import rehearse  # noqa: PLC0415

        return rehearse.run(rehearse.Asked(asked.scenario, asked.config, asked.seed, asked.json, asked.plot))
    from envmon.cli import replay  # noqa: PLC0415

    return replay.run(replay.Asked(asked.recording, asked.policy, asked.since, asked.json, asked.plot))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(
        prog="envmon", description="Watches data center cooling; moves calls before the room is lost."
    )
    whole.add_argument("--version", action="version", version=f"envmon {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the daemon")
    run.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    check = commands.add_parser("check", help="check a configuration, or print its JSON Schema")
    check.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    check.add_argument("--schema", action="store_true", help="print the JSON Schema")
    status = commands.add_parser("status", help="what the daemon sees and would do")
    desk.options(status)
    status.add_argument("--json", action="store_true", help="print it as JSON")
    why = commands.add_parser("explain", help="why: what is true, which rule fired or is next, what it waits for")
    why.add_argument("--decision", metavar="N|ID", help="a line of the journal, or the newest of a rule or an order")
    desk.options(why)
    why.add_argument("--path", type=Path, default=STATE / JOURNAL, help=JOURNAL_SAYS)
    why.add_argument("--json", action="store_true", help="print it as JSON")
    _orders(commands)
    aside.add(commands)
    _journal(commands.add_parser("journal", help="what was decided and done"))
    _report(commands.add_parser("report", help="an episode as a readable file; without one, which there are"))
    commands.add_parser("rules", help="print the rule tables")
    _parity(commands.add_parser("parity", help="what two sites compare of their do-not-record lists"))
    _reading(commands)
    _comparing(commands.add_parser("commission", help="compare a device with its panel and sign a record of it"))
    _edge(commands.add_parser("edge", help="work on an edge"))
    _replaying(commands)
    _demo(commands.add_parser("demo", help="a simulated site in a storm, on this machine"))
    return whole


def _orders(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for command, says in SAYS.items():
        order = commands.add_parser(command, help=says)
        order.add_argument("--reason", required=True, help="why; it goes into the journal")
        desk.options(order)
        if command in (Command.SHIFT, Command.RESTORE):
            order.add_argument("--route", default="", help="one route; all of them unless given")
            order.add_argument("--override", action="store_true", help="against a refusal; needs a second person")
        if command is Command.HOLD:
            aside.lasting(order)
        if command is Command.DRILL:
            order.add_argument("route", metavar="ROUTE", help="the route to drill")
        if command in (Command.SHIFT, Command.RESTORE, Command.DISARM, Command.ACCEPT):
            order.add_argument("--break-glass", action="store_true", help="without the second person; pages everybody")
        if command is Command.APPROVE:
            order.add_argument("request", help="its number, as the page and the status show it")


def _journal(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="show|verify|export")
    show = what.add_parser("show", help="print the lines")
    show.add_argument("--json", action="store_true", help="one JSON object a line")
    show.add_argument("--since", type=int, default=0, help="first line number")
    verify = what.add_parser("verify", help="check the hash chain")
    verify.add_argument("--head", help="NUMBER:HASH, from a page, the MQTT status or a metric")
    export = what.add_parser("export", help="write all of it to a file that can be verified elsewhere")
    export.add_argument("-o", "--output", type=Path, required=True, help="a new file, JSON Lines")
    for each in (show, verify, export):
        each.add_argument("--path", type=Path, default=STATE / JOURNAL, help=JOURNAL_SAYS)


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("episode", nargs="?", default="", help="its name; without it they are listed")
    parser.add_argument("-o", "--output", type=Path, help="FILE.md or FILE.html; printed unless given")
    parser.add_argument("--users", type=int, default=0, help="whom the calls belong to, for the thresholds")
    parser.add_argument("--path", type=Path, default=STATE / JOURNAL, help=JOURNAL_SAYS)


def _reading(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    poll = commands.add_parser("poll", help="read one configured device and show its readings")
    poll.add_argument("device", help="its name in the configuration")
    poll.add_argument("--json", action="store_true", help="print it as JSON")
    poll.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    identify = commands.add_parser("identify", help="which profile fits a device, and why")
    identify.add_argument("host", help="host or host:port")
    login = identify.add_mutually_exclusive_group(required=True)
    login.add_argument("--community", help="SNMP v2c: credential:NAME or file:/PATH")
    login.add_argument("--like", help="SNMP: log in as this configured device does")
    login.add_argument("--modbus", action="store_true", help="ask over Modbus TCP")
    identify.add_argument("--unit-id", type=int, default=1, help="Modbus unit identifier")
    identify.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    commands.add_parser("profiles", help="list the kinds of devices that can be read")
    profile = commands.add_parser("profile", help="work on a profile file")
    what = profile.add_subparsers(dest="what", required=True, metavar="check")
    check = what.add_parser("check", help="tell every fault of a profile file, or what it reads")
    check.add_argument("file", type=Path, help="the profile, as YAML")


def _parity(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="digest")
    digest = what.add_parser("digest", help="count, SHA-256, version and age of a list; never a number of it")
    digest.add_argument("file", type=Path, help="the list, a number a line")
    digest.add_argument("--list-version", default="", help="how its source calls this state of it")


def _edge(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="check")
    check = what.add_parser("check", help="prove that it refuses what it must, and keeps what it must; moves no call")
    check.add_argument("name", help="its name in the configuration")
    check.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    check.add_argument("--script", type=Path, help="Kamailio's script, where it can be read")
    check.add_argument("--restart", action="store_true", help="wait for you to restart it, and see what it kept")
    check.add_argument("--json", action="store_true", help="print it as JSON")


def _comparing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", help="its name in the configuration")
    parser.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    parser.add_argument("--record", type=Path, help="where to write; commissioned/DEVICE.yaml beside the configuration")
    parser.add_argument("--answers", type=Path, help="what the panel shows, as YAML: by: NAME, points: {name: shown}")
    parser.add_argument("--by", default="", help="who signs")
    parser.add_argument("--points", nargs="+", default=(), metavar="POINT", help="only these")
    parser.add_argument("--roles", action="store_true", help="only the points that have a role: those that vote")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def _replaying(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    replay = commands.add_parser("replay", help="re-run a recording, to the identical decisions")
    replay.add_argument("recording", type=Path, help="a file, or a folder of them: the recordings, or an episode")
    replay.add_argument("--policy", type=Path, help="a configuration: show what its policy would have done")
    replay.add_argument("--since", type=int, default=0, help="start at the first recorded world after this event")
    rehearse = commands.add_parser("rehearse", help="play a failure of your own site, in virtual time")
    rehearse.add_argument("scenario", nargs="?", default="", help="a name or a file; without it the names are listed")
    rehearse.add_argument("--config", type=Path, default=CONFIG, help=CONFIG_SAYS)
    rehearse.add_argument("--seed", type=int, default=1, help="varies the noise of the sensors")
    for each in (replay, rehearse):
        each.add_argument("--json", action="store_true", help="print it as JSON")
        each.add_argument("--plot", type=Path, metavar="FILE.svg", help="write a picture of it")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1.0 <= speed <= 60.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed; give a number from 1 to 60")
    return speed


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", default="june-2015", help="what happens; june-2015 unless given")
    parser.add_argument("--seed", type=int, default=1, help="varies loads, thermal mass, failures and noise")
    parser.add_argument("--speed", type=_speed, default=15.0, help="virtual seconds in a real one, 1 to 60")
    parser.add_argument("--embedded-broker", action="store_true", help="do not look for mosquitto")
    parser.add_argument("--headless", action="store_true", help="no screen; the last line is the result as JSON")
    parser.add_argument("--without-envmon", action="store_true", help="the same storm with nobody watching")


if __name__ == "__main__":
    sys.exit(main())
