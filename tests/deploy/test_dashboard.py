"""The Grafana dashboard against a real Prometheus that scrapes a real exporter: every query has data."""

import asyncio
import contextlib
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from mqtt_broker import needed
from publish_samples import SUPPLY, batch, point, status, unit_readings

from envmon.config.settings import HttpSettings
from envmon.model.reading import Quality, Reading, Reason, Role
from envmon.publishers.daemon_metrics import PAGES, RUNTIME, DaemonMetrics
from envmon.publishers.metrics import MetricsPublisher
from envmon.publishers.mqtt import MqttCounts
from envmon.web.server import WebServer
from tests.ports import free_port

INLET = point("rack_inlet_temp", "degC", device="probe_1", unit=None, role=Role.RACK_INLET_TEMP)


async def live(metrics: MetricsPublisher, daemon: DaemonMetrics) -> None:
    """A site at work: polls, a dead device, a bad reading, a status twice a second."""
    mqtt_shows = daemon.publish_lag("mqtt")
    while True:
        metrics.offer_batch(batch(*unit_readings(), wall=time.time()))
        metrics.offer_batch(batch(Reading(INLET, 23.5), device="probe_1", wall=time.time()))
        dead = Reading(SUPPLY, None, Quality.MISSING, Reason.TIMEOUT)
        metrics.offer_batch(batch(dead, device="crac_4_card", error="no answer", wall=time.time()))
        metrics.offer_status(status(time=time.time()))
        mqtt_shows(time.monotonic_ns() - 20_000_000)
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def exporter() -> AsyncIterator[int]:
    daemon = DaemonMetrics("0.1.0")
    metrics = MetricsPublisher("dallas", daemon)
    daemon.watch_mqtt(lambda: MqttCounts(connected=True, sent=3, connects=1))
    daemon.watch_runtime(lambda: {key: {"x": 1} if row.label else 1 for key, row in RUNTIME.items()})
    daemon.watch_pages(lambda: {key: {"duty": 1} for key in PAGES})
    daemon.watch_journal(lambda: {"seq": 12, "head": {"ab12": 12}})
    site = asyncio.create_task(live(metrics, daemon))
    async with WebServer(HttpSettings(port=0), metrics.scrape, dict, dict) as server:
        yield server.port
    site.cancel()


@contextlib.contextmanager
def prometheus(directory: Path, deploy: Path, target: int) -> Iterator[str]:
    configuration = yaml.safe_load((deploy / "prometheus/prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(deploy / "prometheus" / name) for name in configuration["rule_files"]]
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    command = [
        needed("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def queries(deploy: Path) -> dict[str, str]:
    """Panel title and reference -> its query, with the variables as a person would have chosen them."""
    dashboard = json.loads((deploy / "grafana/envmon-site.json").read_text())
    values = {"$__rate_interval": "5s", "$site": "dallas", "$zone": "hall_a", "$instance": ".*"}
    found = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = re.sub(r"\$\w+", lambda name: values[name.group()], target["expr"])
            found[f"{panel['title']} {target['refId']}"] = text
    return found


async def ask(session: aiohttp.ClientSession, url: str, query: str) -> list[Any]:
    async with session.get(f"{url}/api/v1/query", params={"query": query}) as answer:
        body = await answer.json()
        assert body["status"] == "success", f"{query}: {body}"
        result: list[Any] = body["data"]["result"]
        return result


async def test_every_panel_has_data(tmp_path: Path, deploy: Path) -> None:
    empty = queries(deploy)
    assert len(empty) > 30
    deadline = time.monotonic() + 120
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(exporter())
        url = stack.enter_context(prometheus(tmp_path, deploy, target))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        while empty:
            assert time.monotonic() < deadline, f"no data for {empty}\n{(tmp_path / 'prometheus.log').read_text()}"
            with contextlib.suppress(aiohttp.ClientConnectionError):
                for name, query in list(empty.items()):
                    if any(sample["value"][1] != "NaN" for sample in await ask(session, url, query)):
                        del empty[name]
            await asyncio.sleep(0.3)
        while (await ask(session, url, 'up{job="envmon"}'))[0]["value"][1] != "1":  # now, not at some time
            assert time.monotonic() < deadline
            await asyncio.sleep(0.3)


def test_the_dashboard_is_whole(deploy: Path) -> None:
    dashboard = json.loads((deploy / "grafana/envmon-site.json").read_text())
    panels = dashboard["panels"]
    numbers = [panel["id"] for panel in panels]
    assert len(numbers) == len(set(numbers))
    places = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & places, panel["title"]
        places |= cells
        assert panel["type"] == "row" or panel["targets"], panel["title"]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) - {"__rate_interval"} <= variables


def test_provisioning_points_at_the_dashboard(deploy: Path) -> None:
    providers = yaml.safe_load((deploy / "grafana/provisioning/dashboards/envmon.yaml").read_text())["providers"]
    assert [provider["type"] for provider in providers] == ["file"]
    sources = yaml.safe_load((deploy / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert [source["type"] for source in sources] == ["prometheus"]
