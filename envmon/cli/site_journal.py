"""The site's journal: opened for writing, and followed from end to end by a reader of its own."""

from pathlib import Path

from envmon.cli.places import JOURNAL
from envmon.config.settings import Settings
from envmon.journal.reader import JournalReader
from envmon.journal.record import JournalError
from envmon.journal.store import Journal


def open_journal(settings: Settings) -> Journal:
    """Open the site's journal. Raises JournalError."""
    state_dir = settings.daemon.state_dir
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        text = f"{state_dir} cannot be made: {fault.strerror}; make it for envmon, or set daemon.state_dir"
        raise JournalError(text) from None
    return Journal.open(state_dir / JOURNAL)


def journal_fault(path: Path) -> str:
    """Follow the whole chain with a reader of its own; the writer is not disturbed."""
    try:
        with JournalReader.open(path) as journal:
            return journal.verify().fault
    except JournalError as error:
        return str(error)
