"""What the documents promise is there: links lead somewhere, the README's configuration is sound."""

import re
from pathlib import Path

import pytest

from envmon.config import load
from envmon.profiles.loader import load_builtin

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts) and "node_modules" not in path.parts
)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    targets = [match[0] for match in LINK.findall(text) if "://" not in match[0]]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_document_names_a_place_outside_the_project(document):
    text = document.read_text(encoding="utf-8")
    assert not re.search(r"\.\./shared|/work/|/root/", text)


def test_the_readmes_configuration_is_sound(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.split("```yaml\n")[1].split("```")[0]
    config = tmp_path / "envmon.yaml"
    config.write_text(block)
    settings = load(config, profiles=load_builtin())
    assert settings.policy.routes[0].backup_zones == ("hall_b",)
    assert len(block.splitlines()) <= 14


def test_no_two_test_files_share_a_name():
    """Pytest imports them by name: of two only the first would run."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []
