"""Readiness items from a real HTTP server and real programs: what counts, what is old, what is nothing."""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from envmon.cli.main import main
from envmon.config.secret import Secret
from envmon.config.settings import ProofSettings
from envmon.probes.evidence import Evidence
from envmon.probes.evidence_sources import EvidenceError


class Peer:
    """A server that tells one document."""

    def __init__(self) -> None:
        self.told: Any = {}
        self.tokens: list[str | None] = []
        self.url = ""

    async def tell(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        if isinstance(self.told, int):
            return web.Response(status=self.told)
        text = self.told if isinstance(self.told, str) else json.dumps(self.told)
        return web.Response(text=text)


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    found = Peer()
    app = web.Application()
    app.router.add_get("/", found.tell)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield found
    finally:
        await runner.cleanup()


def said(seq: int, boot: str = "a", **more: Any) -> dict[str, Any]:
    return {"boot": boot, "seq": seq, "pass": True, "why": "it is so", **more}


async def test_only_an_answer_that_has_advanced_says_something(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("peer-token")
    async with peer() as there:
        evidence = Evidence(ProofSettings("outbound", "trunk", there.url, Secret(f"file:{tmp_path / 'token'}")))
        heard = []
        for document in (
            said(5), said(5), said(4), said(6, value=120), said(1, "b"), said(6), said(7), said(0, "b"),
        ):  # fmt: skip
            there.told = document
            found = await evidence.look()
            heard.append(None if found is None else (found.passed, found.value))
    assert heard == [(True, None), None, None, (True, 120.0), (True, None), None, (True, None), None]
    assert set(there.tokens) == {"Bearer peer-token"}


@pytest.mark.parametrize(
    "told",
    [
        404, 302, "", "[]", "nonsense", {}, {"pass": True, "why": "no life"}, said(True), said(1, boot=3), said("1"),
        {"boot": "a", "seq": 1}, {"boot": "a", "seq": 1, "pass": "yes", "why": "x"}, said(1, value=-1),
        said(1, value="9"), "x" * 3_000_000, said(1, value=float("inf")), said(1, value=float("nan")),
        said(1, value=10**400), said(1, value=10**10), said(1, boot="b" * 201),
        '{"boot":"a","seq":1,"pass":true,"why":"x","value":1e999}',
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_an_error_and_no_evidence(told: Any) -> None:
    async with peer() as there:
        there.told = told
        with pytest.raises(EvidenceError) as error:
            await Evidence(ProofSettings("outbound", "trunk", there.url)).look()
    assert len(str(error.value)) < 200 and str(error.value).isprintable()


async def test_no_file_is_read_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, ours, readers = tmp_path / "token", tmp_path / "ours.json", []
    digest = {"boot": "a", "seq": 1, "count": 1, "sha256": "0" * 64, "version": "1", "age_s": 1}
    token.write_text("peer-token")
    ours.write_text(json.dumps(digest))
    read = Path.read_text

    def noted(path: Path, *args: Any, **more: Any) -> str:
        readers.append((path, threading.current_thread() is threading.main_thread()))
        return read(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", noted)
    async with peer() as there:
        there.told = digest
        settings = ProofSettings("outbound", "list_parity", there.url, Secret(f"file:{token}"), ours=ours)
        found = await Evidence(settings).look()
    assert found is not None and found.passed
    assert readers == [(token, False), (ours, False)]


async def test_what_a_peer_says_is_a_line_that_can_be_shown_and_written() -> None:
    async with peer() as there:
        evidence = Evidence(ProofSettings("outbound", "trunk", there.url))
        there.told = said(1, why="half \ud800 \x1b[2J\n" + "x" * 9_999)
        found = await evidence.look()
        assert found is not None and found.why.startswith("half [2J x") and len(found.why) == 500
        nest = '{"a":' * 900 + "0" + "}" * 900
        there.told = (
            f'{{"site":"a\\udcff","zones":{{"z":{{"here":1,"verdict":{nest}}}}},"daemon":{{"boot":"a","seq":2}}}}'
        )
        found = await evidence.look()
        assert found is not None and (found.passed, found.why) == (False, "a : z is unknown")


async def test_the_peers_own_envmon_speaks_for_its_rooms() -> None:
    def status(seq: int, verdict: str) -> dict[str, Any]:
        zones = {"hall_1": {"here": True, "verdict": verdict}, "far": {"here": False, "verdict": "critical"}}
        return {"site": "houston", "zones": zones, "daemon": {"boot": "x", "seq": seq}}

    async with peer() as there:
        evidence = Evidence(ProofSettings("outbound", "peer_cooling", there.url))
        there.told = status(1, "ok")
        good = await evidence.look()
        there.told = status(2, "unknown")
        unknown = await evidence.look()
    assert good is not None and good.passed
    assert unknown is not None and not unknown.passed
    assert "hall_1 is unknown" in unknown.why


async def test_list_parity_compares_digests_and_never_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, ours = tmp_path / "list", tmp_path / "ours.json"
    listed.write_text("12145550101\n")
    assert main(["parity", "digest", str(listed)]) == 0
    ours.write_text(capsys.readouterr().out)
    async with peer() as there:
        evidence = Evidence(ProofSettings("outbound", "list_parity", there.url, ours=ours))
        theirs = json.loads(ours.read_text())
        there.told = theirs
        same = await evidence.look()
        there.told = {**theirs, "seq": theirs["seq"] + 1, "count": 2, "sha256": "0" * 64}
        other = await evidence.look()
        ours.unlink()
        there.told = {**theirs, "seq": theirs["seq"] + 2}
        with pytest.raises(EvidenceError, match="our own digest"):
            await evidence.look()
    assert same is not None and same.passed
    assert other is not None and not other.passed
    assert other.why == "2 numbers there, 1 here, not the same"


async def test_a_program_is_asked_and_ended(tmp_path: Path) -> None:
    def program(script: str) -> Evidence:
        return Evidence(ProofSettings("outbound", "call_capacity", argv=("/bin/sh", "-c", script), deadline_s=1.0))

    found = await program('echo \'{"pass": true, "why": "licences", "value": 300}\'').look()
    assert found is not None and (found.passed, found.value) == (True, 300.0)
    for script in ("exit 3", "sleep 60", "echo nothing"):
        with pytest.raises(EvidenceError):
            await program(script).look()
    with pytest.raises(EvidenceError, match="cannot be started"):
        await Evidence(ProofSettings("outbound", "x", argv=(str(tmp_path / "none"),))).look()


async def test_a_silent_peer_is_an_error() -> None:
    async with peer() as there:
        url = there.url
    with pytest.raises(EvidenceError):
        await Evidence(ProofSettings("outbound", "x", url)).look()
