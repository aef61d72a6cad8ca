"""A reference to a credential; the text stays out of configuration, logs, reprs and tracebacks."""

import os
from dataclasses import dataclass
from pathlib import Path


class SecretError(Exception):
    """The credential cannot be read; the text says which reference and what to do, never a value."""


@dataclass(frozen=True, slots=True)
class Secret:
    """``credential:NAME`` (a systemd credential, $CREDENTIALS_DIRECTORY/NAME) or ``file:PATH``."""

    reference: str

    def reveal(self) -> str:
        """Read the credential; trailing newlines are not part of it. Raises SecretError."""
        scheme, _, name = self.reference.partition(":")
        if scheme == "credential":
            directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
            if not directory:
                raise SecretError(
                    f"{self.reference}: $CREDENTIALS_DIRECTORY is not set; run under systemd with "
                    f"LoadCredential={name}:/path, or use file:PATH"
                )
            path = Path(directory) / name
        else:
            path = Path(name)
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SecretError(f"{self.reference}: cannot read {path}: {reason}") from None

    def __repr__(self) -> str:
        return "<secret>"
