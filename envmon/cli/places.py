"""Where things are unless the command line says otherwise."""

from pathlib import Path

CONFIG = Path("/etc/envmon/envmon.yaml")
SOCKET = Path("/run/envmon/envmon.sock")
STATE = Path("/var/lib/envmon")
JOURNAL = "journal.db"  # in the state directory
