"""What documents name in backticks is there: configuration keys, commands with their options, metrics, files."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from envmon.cli.main import parser
from envmon.config.reference import reference_text
from envmon.publishers.catalog import catalog

ROOT = Path(__file__).parents[2]
PRINTED = "REFERENCE.md", "METRICS.md", "RULES.md", "CHANGELOG.md"  # by the code; and what was true once
DOCUMENTS = [
    path
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md"), *(ROOT / "envmon").rglob("*.md")])
    if path.name not in PRINTED
]
OTHERS = {
    "kamailio.cfg", "envmon.yaml", "core.kill", "dispatcher.reload", "hmac.compare_digest", "failure_route",
    "db_sqlite", "profiles_with_value", "ds_select_dst", "runbook_url", "tmp_path",
}  # fmt: skip
FILES = [path for folder in ("envmon", "config", "deploy", "tests") for path in (ROOT / folder).rglob("*.*")]
EXAMPLE = (ROOT / "config/envmon.example.yaml").read_text()
KEYS = re.findall(r"^(?:\| `|## )([a-z][\w.]*)", reference_text(), re.MULTILINE)
ENDS = set(KEYS) | {key.partition(".NAME.")[2] for key in KEYS} | {key.rpartition(".")[2] for key in KEYS}
SAYING = ("core", "model", "publishers", "actuators", "pagers")
METRICS = set(re.findall(r"^\| `(\w+)` \|", catalog(), re.MULTILINE))
SAID = set(
    re.findall(r'"(\w+)"', "\n".join(p.read_text() for p in FILES if p.suffix == ".py" and p.parts[-2] in SAYING))
)
SAID |= set(re.findall(r"(\w+):", EXAMPLE))
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def faults(text: str) -> Iterator[str]:
    """Everything a document names that is not there."""
    prose, fenced = FENCE.sub("", text), "\n".join(FENCE.findall(text))
    quoted = [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose)]
    blocks = re.findall(r"^    (envmon .*)", prose, re.MULTILINE) + re.findall(r"^(envmon .*)", fenced, re.MULTILINE)
    for asked in [*(each for each in quoted if each.startswith("envmon ")), *blocks]:
        yield from wrong_command(shlex.split(asked.partition(" > ")[0], comments=True)[1:], parser())
    for name in quoted:
        key = re.fullmatch(r"([a-z]\w*(?:\.[a-zA-Z]\w*)+|[a-z]+_\w+)(?:: .*)?", name)
        if name in OTHERS or any(f"{file}".endswith((f"/{name}", f"/{name.replace('.', '/')}.py")) for file in FILES):
            continue
        if re.fullmatch(r"[\w./-]*\w\.(?:py|md|yml|yaml|cfg|conf|acl|sh|list)", name):
            yield f"no file {name}"
        elif name.startswith("envmon_"):
            yield from [] if name in METRICS else [f"no metric {name}"]
        elif key and not {key[1], re.sub(r"^proofs\.\w+", "proofs.NAME", key[1])} & (ENDS | SAID):
            yield f"no key {key[1]}"


def wrong_command(words: list[str], at: argparse.ArgumentParser) -> Iterator[str]:
    """The first word that is no command, and every option its command does not know."""
    for below in at._actions:
        if isinstance(below, argparse._SubParsersAction) and words and not words[0].startswith("-"):
            found = below.choices.get(words[0])
            yield from wrong_command(words[1:], found) if found else [f"no command {at.prog} {words[0]}"]
            return
    yield from (f"no option {at.prog} {w}" for w in words if w.startswith("-") and w not in at._option_string_actions)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document):
    assert list(faults(document.read_text(encoding="utf-8"))) == []


WRONG = ("http.host", "interval_s", "mqtt.queue", "envmon shfit", "envmon arm --fast", "envmon_jurnal", "x/y.py")


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_there_would_be_seen(wrong):
    assert len(list(faults(f"`{wrong}`"))) == 1
