"""Whoever types ``--help`` reads what every option and every argument is."""

import argparse
from collections.abc import Iterator

import pytest

from envmon.cli.main import parser


def silent(asked: argparse.ArgumentParser) -> Iterator[str]:
    """Every command, option and argument without a word of help, below this parser too."""
    for action in asked._actions:
        if not isinstance(action, argparse._SubParsersAction):
            yield from [] if action.help else [f"{asked.prog}: {action.dest}"]
            continue
        told = {choice.dest for choice in action._choices_actions if choice.help}
        for name, inner in action.choices.items():
            yield from [] if name in told else [f"{asked.prog} {name}"]
            yield from silent(inner)


def test_every_command_and_option_has_help() -> None:
    assert list(silent(parser())) == []


def test_what_has_no_help_would_be_seen() -> None:
    mute = argparse.ArgumentParser(prog="x")
    mute.add_argument("--dark")
    mute.add_subparsers().add_parser("y").add_argument("z")
    assert list(silent(mute)) == ["x: dark", "x y", "x y: z"]


def test_help_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["journal", "show"], ["demo"], ["rehearse"]):
        with pytest.raises(SystemExit):
            parser().parse_args([*command, "--help"])
    assert "/etc/envmon/envmon.yaml unless given" in capsys.readouterr().out
