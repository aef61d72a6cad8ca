"""``envmon run``: the daemon.

Rules
  - What an operator can mend ends the start with one line and exit code 1; a fault of ours ends with 70 (EX_SOFTWARE),
    so that systemd starts it again. Calls stay where they are either way.
"""

import logging
import sys
from pathlib import Path

from envmon.cli import heap, logs
from envmon.cli.build import Assembly, run_forever
from envmon.cli.configured import configured
from envmon.cli.credentials import unreadable
from envmon.cli.open_files import shortage
from envmon.cli.site_journal import open_journal
from envmon.config import ConfigError
from envmon.config.secret import SecretError
from envmon.host import files
from envmon.journal.record import JournalError
from envmon.runtime.clock import SystemClock
from envmon.runtime.orders import DeskError
from envmon.runtime.supervisor import VitalTaskError
from envmon.web.certificates import CertificateError
from envmon.web.server import ListenError

log = logging.getLogger(__name__)

EX_SOFTWARE = 70  # sysexits.h


def run(config: Path) -> int:
    """Run the daemon of ``config`` until SIGTERM; returns the exit code."""
    logs.to_stderr()
    logging.getLogger("mqtt").setLevel(logging.ERROR)
    try:
        with heap.building():
            site = configured(config)
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return 1
    files.allow_most()
    for told in [*unreadable(site.settings), *shortage(site.settings, files.most()), *site.notes]:
        log.warning("%s", told)
    try:
        with open_journal(site.settings) as journal:
            with heap.building():
                assembly = Assembly(config, site.settings, SystemClock(), journal, site.profiles)
            run_forever(assembly)
    except (JournalError, DeskError, ListenError, CertificateError, SecretError, OSError) as error:
        print(f"envmon: {error}", file=sys.stderr)
        return 1
    except VitalTaskError as error:
        print(f"envmon: {error}; calls stay where they are", file=sys.stderr)
        return EX_SOFTWARE
    return 0
