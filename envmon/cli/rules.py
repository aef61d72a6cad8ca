"""``envmon rules``: print the rule tables."""

from envmon.core.rules_text import rules_text


def rules() -> int:
    """Print the tables as Markdown."""
    print(rules_text(), end="")
    return 0
