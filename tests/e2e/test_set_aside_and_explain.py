"""Maintenance, the shelf and explanations at the real daemon, by the real command line."""

import subprocess
import sys

from tests.e2e.lab import Lab, exchange


def envmon(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "envmon.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_a_unit_is_set_aside_explained_and_brought_back(tmp_path):
    async with exchange(tmp_path) as (_, edge), Lab(tmp_path, [edge]) as lab:
        lab.start()
        await lab.until(lambda status: status["zones"]["hall_a"]["verdict"] == "ok", 60, "a good room")
        asked = ("--reason", "new fan", "--socket", lab.socket)
        done = envmon("maintenance", "crac_3", "--until", "2h", *asked)
        assert (done.returncode, done.stdout.split()[:2]) == (0, ["K10", "unit:hall_a.crac_3:"]), done
        assert envmon("maintenance", "crac_9", "--until", "2h", *asked).returncode == 2
        assert envmon("maintenance", "hall_a", "--until", "8d", *asked).returncode == 2
        assert envmon("shelve", "envmon/dallas/nothing", "--until", "1h", *asked).returncode == 2
        told = (await lab.ask(command="status"))["status"]
        assert list(told["maintenance"]) == ["unit:hall_a.crac_3"]
        why = envmon("explain", "--socket", lab.socket)
        assert why.returncode == 0
        assert "next, T10: " in why.stdout
        assert "unit:hall_a.crac_3: in maintenance for 1 h 59 min more" in why.stdout
        past = envmon("explain", "--decision", "K10", "--path", lab.journal)
        assert "maintenance was ordered" in past.stdout
        assert envmon("maintenance", "crac_3", "--end", *asked).returncode == 0
        assert (await lab.ask(command="status"))["status"]["maintenance"] == {}
        assert [rule for rule in lab.rules() if rule.startswith("K")] == ["K10", "K11", "K14", "K31", "K20"]
