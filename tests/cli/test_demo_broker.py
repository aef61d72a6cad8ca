"""The demo's broker: a port that stays its own, and nothing left behind when it does not start."""

import socket
from pathlib import Path

import pytest

from envmon.cli import demo_broker
from envmon.cli.demo_broker import Broker, BrokerError, kept_port


def test_a_kept_port_is_for_the_server_that_names_it() -> None:
    with kept_port() as port:
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))


async def test_a_broker_that_does_not_listen_is_told_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mosquitto").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "mosquitto").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(demo_broker, "STARTS_WITHIN_S", 0.2)
    broker = Broker(tmp_path)
    with pytest.raises(BrokerError, match="does not listen on port"):
        async with broker:
            pass
    assert broker._process is not None
    assert broker._process.returncode is not None
