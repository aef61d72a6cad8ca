"""Every rule has a story: its id is named in a test, which the sweep of the tables alone is not."""

import re
from pathlib import Path

from envmon.core.rules_text import rules_text

TESTS = Path(__file__).parents[1]
RULES = re.findall(r"^\| ([A-Z]\d\d) ", rules_text(), re.MULTILINE)


def test_every_rule_is_named_in_some_test():
    told = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    assert len(RULES) > 150
    named = set(re.findall(r'["/]([A-Z]\d\d)[":]', told))
    assert [rule for rule in RULES if rule not in named] == []
