"""Three members of Debian's etcd on loopback and free ports, ended by their own process ids.

async with Cluster(tmp_path) as cluster:
    settings = cluster.settings(ttl_s=2.0)
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from envmon.config.settings import LeaseMember, LeaseSettings
from tests.ports import HOST, free_ports

NAMES = ("one", "two", "three")


class Cluster:
    """Three members in ``directory``; with ``tls`` (cert, key) they answer over https."""

    def __init__(self, directory: Path, tls: tuple[Path, Path] | None = None) -> None:
        if shutil.which("etcd") is None:
            raise RuntimeError("etcd is missing: apt-get install etcd-server")
        self._directory = directory
        self._tls = tls
        self._scheme = "https" if tls else "http"
        ports = free_ports(2 * len(NAMES))
        self._client = {name: next(ports) for name in NAMES}
        self._peer = {name: next(ports) for name in NAMES}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        try:
            for name in NAMES:
                self.start(name)
            await self.ready()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.kill(name)

    def settings(self, ttl_s: float = 5.0, **changes: Any) -> LeaseSettings:
        """What an operator would write for this cluster."""
        members = tuple(
            LeaseMember(name, f"{self._scheme}://{HOST}:{port}", "elsewhere") for name, port in self._client.items()
        )
        return LeaseSettings("etcd", members, ttl_s, **changes)

    def start(self, name: str) -> None:
        """Start a member, or start it again with what it has on disk."""
        cluster = ",".join(f"{each}=http://{HOST}:{port}" for each, port in self._peer.items())
        client = f"{self._scheme}://{HOST}:{self._client[name]}"
        command = [
            *("etcd", "--name", name, "--data-dir", str(self._directory / f"etcd-{name}"), "--logger", "zap"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", f"http://{HOST}:{self._peer[name]}"),
            *("--initial-advertise-peer-urls", f"http://{HOST}:{self._peer[name]}"),
            *("--initial-cluster", cluster, "--initial-cluster-token", self._directory.name),
        ]
        if self._tls:
            command += ["--cert-file", str(self._tls[0]), "--key-file", str(self._tls[1])]
        with (self._directory / f"etcd-{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
            )

    def kill(self, name: str) -> None:
        """End a member without warning."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        """Make a member silent without ending it."""
        self._running[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """End a freeze."""
        self._running[name].send_signal(signal.SIGCONT)

    async def leader(self) -> str:
        """The member that leads now, as the first one that answers sees it."""
        for name in NAMES:
            with suppress(aiohttp.ClientError, TimeoutError, KeyError):
                told = await self.ask("maintenance/status", {}, name)
                members = (await self.ask("cluster/member/list", {}, name))["members"]
                return str({member["ID"]: member["name"] for member in members}[told["leader"]])
        raise RuntimeError("no member knows a leader")

    async def ask(self, path: str, body: dict[str, Any], name: str = NAMES[0], token: str = "") -> Any:
        """One request to the JSON gateway of one member, certificates unchecked."""
        url = f"{self._scheme}://{HOST}:{self._client[name]}/v3/{path}"
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"Authorization": token} if token else {}) as session,
            session.post(url, json=body, ssl=False) as answer,
        ):
            return json.loads(await answer.text())

    async def ready(self) -> None:
        """Return when every member can read with the majority's word."""
        for name in NAMES:
            for _ in range(1_200):
                with suppress(aiohttp.ClientError, TimeoutError):
                    if "header" in await self.ask("kv/range", {"key": "AA=="}, name):
                        break
                if self._running[name].poll() is not None:
                    log = (self._directory / f"etcd-{name}.log").read_text(errors="replace")
                    raise RuntimeError(f"etcd {name} ended:\n{log[-2000:]}")
                await asyncio.sleep(0.05)
            else:
                raise RuntimeError(f"etcd {name} did not become ready")
