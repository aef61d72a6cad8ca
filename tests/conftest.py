"""Options of the whole suite."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--devices", type=Path, default=None, help="folder of recorded SNMP walks to decode")
