"""The rule document in the tree is the one the tables make."""

from pathlib import Path

import envmon.core
from envmon.core.rules_text import rules_text

DOCUMENT = Path(envmon.core.__file__).with_name("RULES.md")


def test_the_document_is_not_stale():
    assert DOCUMENT.read_text(encoding="utf-8") == rules_text(), "run: envmon rules > envmon/core/RULES.md"
