"""What a reload may change, and what waits for a restart after a start beside a file nobody had accepted."""

from dataclasses import replace
from pathlib import Path

import pytest

from envmon.cli.fixed import AT_RESTART, at_restart
from envmon.config import load
from envmon.config.settings import OrdersSettings, PeopleSettings, Settings
from envmon.profiles.loader import load_builtin
from envmon.runtime.parts import ReloadError

EXAMPLE = Path(__file__).parents[2] / "config" / "envmon.example.yaml"
DOOR = OrdersSettings("127.0.0.1", 9714, Path("/c"), Path("/k"), Path("/ca"))


@pytest.fixture(scope="module")
def ours() -> Settings:
    return replace(load(EXAMPLE, profiles=load_builtin()), people=PeopleSettings(("noc",), ("leads",)), orders=None)


@pytest.mark.parametrize("changed", [{"people": PeopleSettings((), ("eve",))}, {"orders": DOOR}])
def test_what_the_file_said_at_the_start_follows_at_a_restart(ours: Settings, changed: dict[str, object]) -> None:
    asked = replace(ours, **changed)
    assert at_restart(asked, ours, asked) == AT_RESTART
    assert at_restart(replace(asked, devices=()), ours, asked) == AT_RESTART
    assert at_restart(ours, ours, asked) == "", "the file is as it was"
    with pytest.raises(ReloadError, match=r"people.*web\.orders\.listen.*only a restart can change these"):
        at_restart(asked, ours, ours)
    with pytest.raises(ReloadError, match="only a restart"):
        at_restart(replace(asked, edges=()), ours, asked)
