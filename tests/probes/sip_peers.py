"""Real far ends for probe calls: sipp as a site, Kamailio as an edge with UDP, TCP, TLS, a login and Record-Route.

Every program is started on free ports and ended by its own process id.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from envmon.config.edge_settings import SipSettings
from envmon.config.secret import Secret
from envmon.probes.sip import SipProbe
from tests.ports import HOST, free_port

PASSWORD = 's3cr"et \\ with marks'
SITE = Path(__file__).parents[1] / "telephony" / "scenarios" / "uas.xml"
EDGE = """\
#!KAMAILIO
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
listen=tls:{host}:{secure}
enable_tls=yes
children=2
tcp_children=2
auto_aliases=no
log_stderror=yes
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
loadmodule "tls.so"
modparam("tls", "config", "{home}/tls.cfg")
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_expire", {nonce_s})
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("tm", "fr_timer", 2000)
request_route {{
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if ({login} && is_method("INVITE|BYE")) {{
        if (!pv_proxy_authenticate("probes", "$def(PASSWORD)", "0")) {{
            $var(code) = $retcode;
            if ($var(code) == -4) auth_challenge("probes", "17");
            else auth_challenge("probes", "1");
            exit;
        }}
        consume_credentials();
    }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (!is_method("ACK")) sl_send_reply("404", "No route");
        exit;
    }}
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "Here");
        exit;
    }}
    if (!is_method("INVITE")) exit;
    record_route();
    $du = "sip:{host}:{site}";
    t_relay();
}}
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> None:
    """``ca.pem``, and ``server.pem`` for 127.0.0.1 and sbc.example; ``other.pem`` is an authority nobody asked."""
    for name in ("ca", "other"):
        openssl(
            folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", f"{name}.key", "-out", f"{name}.pem",
        )  # fmt: skip
    openssl(
        folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=sbc",
        "-keyout", "server.key", "-out", "server.csr",
    )  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:sbc.example\n")
    openssl(
        folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
        "-extfile", "names", "-out", "server.pem",
    )  # fmt: skip


class Peers:
    """A site (sipp) and, after ``edge``, a Kamailio before it."""

    def __init__(self, folder: Path) -> None:
        for program in ("kamailio", "sipp", "openssl"):
            assert shutil.which(program), f"{program} is missing: run tests/run.sh, which installs what is needed"
        self.folder = folder
        self.port, self.secure_port, self.site_port = free_port(), free_port(), free_port()
        self._running: list[subprocess.Popen[bytes]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # Kamailio has children
            process.wait()

    async def site(self, *options: str) -> None:
        """Start sipp, and wait until it answers."""
        log = self.folder / "site.log"
        command = ["sipp", "-sf", str(SITE), "-i", HOST, "-p", str(self.site_port), "-mp", str(free_port())]
        self._start([*command, "-nostdin", "-nd", *options], log)
        way = SipSettings(transport="tcp" if "t1" in options else "udp")
        await self._answers(way, self.site_port, log)

    async def edge(self, *, login: bool = False, algorithm: str = "SHA-256", nonce_s: int = 60) -> None:
        """Start Kamailio before the site, and wait until it answers."""
        certificates(self.folder)
        (self.folder / "tls.cfg").write_text(
            "[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\n"
            f"private_key = {self.folder}/server.key\ncertificate = {self.folder}/server.pem\n"
        )
        quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
        text = EDGE.format(
            host=HOST, port=self.port, secure=self.secure_port, site=self.site_port, home=self.folder,
            algorithm=algorithm, nonce_s=nonce_s, login="1==1" if login else "1==0",
        ).replace("$def(PASSWORD)", quoted)  # fmt: skip
        (self.folder / "edge.cfg").write_text(text)
        (self.folder / "password").write_text(PASSWORD)
        log = self.folder / "kamailio.log"
        self._start(["kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-Y", str(self.folder), "-f", "edge.cfg"], log)
        for transport in ("udp", "tcp", "tls"):
            await self._answers(self.way(transport), self.port_of(transport), log)

    def freeze(self) -> None:
        """Make the last that was started silent without ending it."""
        self._running[-1].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End a freeze."""
        self._running[-1].send_signal(signal.SIGCONT)

    def port_of(self, transport: str) -> int:
        return self.secure_port if transport == "tls" else self.port

    def way(self, transport: str, **changes: object) -> SipSettings:
        """How an operator would speak to the edge."""
        told = {"tls_ca": self.folder / "ca.pem"} if transport == "tls" else {}
        return SipSettings(transport=transport, **{**told, **changes})  # type: ignore[arg-type]

    def secret(self, text: str = PASSWORD) -> Secret:
        path = self.folder / f"secret-{len(text)}"
        path.write_text(text)
        return Secret(f"file:{path}")

    def _start(self, command: list[str], log: Path) -> None:
        with log.open("ab") as out:
            self._running.append(
                subprocess.Popen(
                    command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
                )
            )

    async def _answers(self, way: SipSettings, port: int, log: Path) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 30
        while (sign := await SipProbe(way=way).options(HOST, port)).status != 200:
            assert self._running[-1].poll() is None and loop.time() < deadline, f"{sign}\n{_tail(log)}"
            await asyncio.sleep(0.1)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
