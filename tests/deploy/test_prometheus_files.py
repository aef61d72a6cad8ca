"""The alert rules, their tests, their runbooks and the metrics list."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from mqtt_broker import needed

from envmon.publishers.catalog import catalog


def promtool(*arguments: str) -> None:
    ran = subprocess.run([needed("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def alerts(deploy: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((deploy / "prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_accepts_the_rules(deploy: Path) -> None:
    promtool("check", "rules", str(deploy / "prometheus/rules.yml"), str(deploy / "prometheus/alerts.yml"))
    promtool("check", "config", str(deploy / "prometheus/prometheus.yml"))


def test_every_alert_fires_when_it_should(deploy: Path) -> None:
    promtool("test", "rules", str(deploy / "prometheus/alerts.test.yml"))
    tests = yaml.safe_load((deploy / "prometheus/alerts.test.yml").read_text())["tests"]
    fires = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    stays_quiet = {case["alertname"] for test in tests for case in test["alert_rule_test"] if not case["exp_alerts"]}
    names = {rule["alert"] for rule in alerts(deploy)}
    assert fires == names
    assert stays_quiet == names - {"EnvmonDeadMan"}


def test_every_alert_can_be_acted_on(deploy: Path) -> None:
    runbooks = (deploy / "prometheus/RUNBOOKS.md").read_text()
    paragraphs = dict(re.findall(r"^## (\w+)\n\n(.+?)(?=\n\n|\Z)", runbooks, re.MULTILINE | re.DOTALL))
    rules = alerts(deploy)
    assert [rule["alert"] for rule in rules] == list(paragraphs)
    for rule in rules:
        name = rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}, name
        assert rule["annotations"]["summary"].endswith("."), name
        assert rule["annotations"]["runbook_url"] == f"deploy/prometheus/RUNBOOKS.md#{name.lower()}"
        assert len(paragraphs[name]) > 100, name


def test_the_metrics_list_is_fresh(deploy: Path) -> None:
    document = deploy / "prometheus/METRICS.md"
    assert document.read_text() == catalog(), f"run: python -m envmon.publishers.catalog > {document.name}"


@pytest.mark.parametrize(
    "file", ["prometheus/alerts.yml", "prometheus/rules.yml", "prometheus/alerts.test.yml", "grafana/envmon-site.json"]
)
def test_only_metrics_that_exist_are_used(deploy: Path, file: str) -> None:
    text = (deploy / file).read_text()
    if file.endswith(".json"):
        text = "\n".join(_expressions(json.loads(text)))
    recorded = {rule["record"] for group in _rules(deploy) for rule in group["rules"]}
    for record in recorded:
        text = text.replace(record, "")
    known = set(re.findall(r"^\| `(\w+)` \|", catalog(), re.MULTILINE))
    known |= {name + suffix for name in known for suffix in ("_bucket", "_sum", "_count")}
    used = set(re.findall(r"\benvmon_\w+", text))
    assert used and used <= known, used - known


def _rules(deploy: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load((deploy / "prometheus/rules.yml").read_text())["groups"]
    return groups


def _expressions(node: Any) -> list[str]:
    match node:
        case dict():
            own = [node[key] for key in ("expr", "query") if isinstance(node.get(key), str)]
            return own + [text for value in node.values() for text in _expressions(value)]
        case list():
            return [text for value in node for text in _expressions(value)]
        case _:
            return []
