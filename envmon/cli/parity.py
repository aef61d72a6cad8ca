"""``envmon parity digest FILE``: what two sites compare of their do-not-record lists. The numbers stay where they are.

Rules
  - A line is a number; blanks around it, blank lines and lines that begin with # are left out, repetitions count once.
  - The SHA-256 is taken over the sorted numbers, each followed by a line feed, so order and layout do not matter.
  - A line that is no telephone number is an error: a list of something else must not look like a list.
"""

import hashlib
import json
import re
import socket
import sys
import time
from pathlib import Path

NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{1,30}")
PUNCTUATION = re.compile(r"[ ().-]")


def digest(file: Path, version: str) -> int:
    """Print count, SHA-256, version and age of a list as one JSON object, with what makes it evidence elsewhere."""
    try:
        changed = file.stat()
        numbers = numbers_of(file.read_text(encoding="ascii"))
    except UnicodeDecodeError:
        print(f"envmon: {file}: holds other than ASCII text; is that the list?", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"envmon: {file}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return 1
    age_s = max(0, round(time.time() - changed.st_mtime))
    told = {"count": len(numbers), "sha256": sha256(numbers), "version": version, "age_s": age_s}
    print(json.dumps({"boot": socket.gethostname(), "seq": int(time.time()), **told}))
    return 0


def numbers_of(text: str) -> list[str]:
    """The sorted numbers of a list, each once. Raises ValueError for a line that is none, by its number only."""
    found: set[str] = set()
    for line, raw in enumerate(text.splitlines(), start=1):
        words = raw.strip()
        if not words or words.startswith("#"):
            continue
        if not NUMBER.fullmatch(words):
            raise ValueError(f"line {line} is no telephone number")
        found.add(PUNCTUATION.sub("", words))
    return sorted(found)


def sha256(numbers: list[str]) -> str:
    """The digest of sorted numbers."""
    return hashlib.sha256("".join(f"{number}\n" for number in numbers).encode("ascii")).hexdigest()
