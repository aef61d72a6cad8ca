"""What holds for every test, and the order in which several workers take them.

Rules
- Examples (hypothesis) are judged by their result, never by how long a busy machine took for them.
- The tests that wait for real servers and calls come first, the others fill what is left; two suites at once take the
  long ones from opposite ends (``--backwards``), so that they do not place the same thousand calls side by side.
- Nothing is skipped: a test that skips fails the run.
"""

import pytest
from hypothesis import HealthCheck, settings

LONG = ("e2e", "telephony", "leases")

settings.register_profile("envmon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("envmon")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backwards", action="store_true", help="the long tests from last to first")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [item for item in items if item.path.parent.name in LONG]
    others = [item for item in items if item.path.parent.name not in LONG]
    items[:] = [*(reversed(long) if config.getoption("backwards") else long), *others]


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
