"""Keeps the newest readings and status as finished Prometheus text, so that a scrape only joins it.

Rules
  - A block nobody renewed for ``stale_s`` is left out: a reading is dropped rather than repeated. What remains of
    such a device is when it last answered, so that its age can be alerted on.
  - The text is rendered when a device is polled, not when somebody scrapes: a scrape costs the joining only.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from envmon.model.event import DeviceBatch
from envmon.model.readings import columns
from envmon.publishers.daemon_metrics import DaemonMetrics
from envmon.publishers.exposition import BatchText, Block, device_block, device_labels, join, status_block


@dataclass(frozen=True, slots=True)
class _Device:
    """The newest poll of one device, rendered."""

    at: float
    zone: str | None
    where: str
    last_success: float | None
    block: Block


class MetricsPublisher:
    """A ``Publisher`` whose ``scrape`` is the whole ``/metrics`` page.

    ``stale_s``: seconds after which a device or the loop that says nothing any more has no values; more than the
    longest poll interval.
    """

    def __init__(self, site: str, daemon: DaemonMetrics, stale_s: float = 30.0) -> None:
        self._site = site
        self._daemon = daemon
        self._stale_s = stale_s
        self._on_seen = daemon.publish_lag("metrics")
        self._text = BatchText(site)
        self._devices: dict[str, _Device] = {}
        self._status: tuple[float, Block] | None = None

    def offer_batch(self, batch: DeviceBatch) -> None:
        """Render this device's poll."""
        before = self._devices.get(batch.device)
        up = not batch.error
        points = columns(batch.readings).sheet.points
        zone = points[0].zone if points else before.zone if before else None
        last_success = batch.at.wall if up else before.last_success if before else None
        same = before is not None and before.zone == zone
        where = before.where if before and same else device_labels(self._site, zone, batch.device)
        block = self._text.render(batch)
        block.update(device_block(where, up=up, last_success=last_success))
        self._devices[batch.device] = _Device(time.monotonic(), zone, where, last_success, block)
        if up:
            self._on_seen(batch.at.mono_ns)

    def offer_status(self, status: Mapping[str, Any]) -> None:
        """Render the loop's status."""
        self._status = (time.monotonic(), status_block(self._site, status))

    def keep_only(self, devices: Iterable[str]) -> None:
        """Forget every device a new configuration no longer names."""
        wanted = set(devices)
        self._devices = {name: device for name, device in self._devices.items() if name in wanted}
        self._text.keep_only(wanted)

    def scrape(self) -> bytearray:
        """The page in text exposition format 0.0.4, without timestamps."""
        oldest = time.monotonic() - self._stale_s
        blocks: list[Block] = []
        for device in self._devices.values():
            if device.at >= oldest:
                blocks.append(device.block)
            else:
                blocks.append(device_block(device.where, up=False, last_success=device.last_success))
        if self._status and self._status[0] >= oldest:
            blocks.append(self._status[1])
        page = bytearray()  # of megabytes: joining its pieces would need them twice
        for text in join(blocks):
            page += text.encode("utf-8", "replace")
        page += self._daemon.render()
        return page

    async def run(self) -> None:
        """Nothing to deliver: readers come and fetch."""
        await asyncio.Event().wait()
