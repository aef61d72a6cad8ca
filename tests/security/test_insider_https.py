"""What one person with a certificate, or with a login and patience, can do alone: nothing silently. The real daemon."""

import asyncio
import json
import os
import pwd
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import Lab, exchange
from tests.pki import Authority
from tests.ports import HOST, free_port
from tests.security.test_insider import PEOPLE, Site

ME = pwd.getpwuid(os.getuid()).pw_name


class Remote(Site):
    """An armed site whose orders also arrive over HTTPS."""

    def __init__(self, lab: Lab, port: int, folder: Path) -> None:
        super().__init__(lab)
        self.port = port
        self.folder = folder

    async def envmon(self, who: str, *words: str) -> tuple[int, str]:
        """The command line with somebody's certificate; its exit code and what it said."""
        environment = os.environ | {
            "ENVMON_URL": f"https://{HOST}:{self.port}",
            "ENVMON_CERT": str(self.folder / "people" / f"{who}.pem"),
            "ENVMON_KEY": str(self.folder / "people" / f"{who}.key"),
            "ENVMON_CA": str(self.folder / "server" / "server-ca.pem"),
        }
        command = [sys.executable, "-c", "import sys; from envmon.cli.main import main; sys.exit(main(sys.argv[1:]))"]
        process = await asyncio.create_subprocess_exec(
            *command, *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def remote(self, who: str, *words: str) -> tuple[int, str]:
        return await self.envmon(who, *words, "--reason", "mine")


def web(folder: Path, port: int, people: dict[str, Any]) -> dict[str, Any]:
    server = folder / "server"
    return {
        "orders": {
            "listen": f"{HOST}:{port}",
            "cert": str(server / "daemon.pem"),
            "key": str(server / "daemon.key"),
            "client_ca": str(folder / "people" / "people-ca.pem"),
            "people": people,
        }
    }


EVERYBODY = {
    "email:op@example.com": {"user": "daemon", "role": "operator"},
    "email:vic@example.com": {"user": "games", "role": "viewer"},
    "email:app@example.com": {"user": "bin", "role": "approver"},
    "email:me@example.com": {"user": ME, "role": "approver"},
}


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Remote]:
    people, server = Authority(folder / "people"), Authority(folder / "server", "server")
    for who in ("op", "vic", "app", "me", "eve"):
        people.issue(who, f"email:{who}@example.com")
    Authority(folder / "strange", "people").issue("op", "email:op@example.com")
    server.issue("daemon", f"IP:{HOST}")
    port = free_port()
    async with (
        exchange(folder) as (_, edge),
        Lab(folder, [edge], people=PEOPLE, web=web(folder, port, EVERYBODY)) as lab,
    ):
        lab.start()
        await lab.armed()
        yield Remote(lab, port, folder)
        assert await lab.end() == 0


async def test_a_certificate_alone_gets_nobody_past_the_second_person(site: Remote) -> None:
    code, said = await site.envmon("vic", "status")
    assert (code, said.startswith("dallas: automatic")) == (0, True), said
    code, said = await site.remote("vic", "hold")
    assert (code, said.startswith("P10 order: Refused")) == (2, True), said
    code, said = await site.remote("op", "disarm")
    assert (code, said.startswith("P20 order: ")) == (3, True), said
    (request,) = (await site.lab.status())["requests"]
    assert (await site.remote("op", "approve", request))[1].startswith("P31")

    # One person by certificate and by login: never two.
    code, said = await site.remote("me", "disarm")
    (mine,) = (await site.lab.status())["requests"].keys() - {request}
    code, said = await site.envmon("me", "approve", mine, "--reason", "by login", "--socket", str(site.lab.socket))
    assert (code, said.startswith("P32 order: Refused: the second person must be another")) == (2, True), said

    assert (await site.lab.status())["mode"] == "automatic"
    code, said = await site.remote("app", "approve", mine)
    assert (code, "M20 mode: Disarmed" in said) == (0, True), said
    await site.paged("P20", "daemon (certificate email:op@example.com)")
    approved = [line.record for line in site.lab.lines() if line.record.rule == "P34"]
    assert len(approved[0].approvals) == 2
    assert "bin (certificate email:app@example.com)" in approved[0].approvals


async def test_who_is_struck_from_people_is_refused_paged_and_journalled(site: Remote) -> None:
    code, said = await site.remote("eve", "shift", "--break-glass")
    assert (code, said.startswith("P10")) == (2, True), said
    await site.paged("P10", "certificate email:eve@example.com")
    code, said = await site.envmon("eve", "status")
    assert (code, "is in nobody's name" in said) == (1, True), said

    fewer = {name: each for name, each in EVERYBODY.items() if name != "email:op@example.com"}
    site.lab.configure(web=web(site.folder, site.port, fewer))
    assert site.lab.daemon is not None
    reloads = (await site.lab.status())["daemon"]["counters"]["reloads"]
    site.lab.daemon.send_signal(signal.SIGHUP)
    await site.lab.until(lambda s: s["daemon"]["counters"]["reloads"] > reloads, 20, "the reload")
    code, said = await site.remote("op", "hold")
    assert (code, said.startswith("P10")) == (2, True), said
    assert "certificate email:op@example.com" in said

    config = web(site.folder, site.port, fewer)
    config["orders"]["cert"] = str(site.folder / "none.pem")
    site.lab.configure(web=config)
    site.lab.daemon.send_signal(signal.SIGHUP)
    status = await site.lab.until(lambda s: s["daemon"]["reload_error"], 20, "a refused reload")
    assert "none.pem: cannot be read" in status["daemon"]["reload_error"]
    assert (await site.envmon("vic", "status"))[0] == 0, "the certificates in force stay"

    code, said = await site.envmon("../strange/op", "status")
    assert (code, "https://" in said) == (1, True), said
    tried = {line.record.who for line in site.lab.lines() if line.record.entry == "order"}
    assert {"certificate email:eve@example.com", "certificate email:op@example.com"} <= tried


async def test_holding_and_setting_aside_again_and_again_is_paged_each_time(site: Remote) -> None:
    assert (await site.remote("op", "hold", "--for", "1h"))[1].startswith("M30")
    await site.paged("mode/held", "daemon (certificate")
    for number in ("2h", "3h"):
        assert (await site.remote("op", "hold", "--for", number))[1].startswith("M33")
    await site.lab.until(
        lambda _: len(set(re.findall(r"/order/(M33-\w+)", json.dumps(list(site.lab.on_call.pages))))) == 2,
        20,
        "a page for each time",
    )
    assert (await site.remote("op", "hold", "--for", "2d"))[1].startswith("M35")
    held = (await site.lab.status())["hold"]
    assert held["who"] == "daemon (certificate email:op@example.com)"
    assert (await site.remote("op", "shelve", "envmon/dallas/mode/held", "--until", "1h"))[1].startswith("K34")
    assert (await site.remote("op", "maintenance", "dallas", "--until", "6d"))[1].startswith("K15")
    await site.paged("K15", "site:dallas", "daemon (certificate")
    assert "K34" in {line.record.rule for line in site.lab.lines()}
