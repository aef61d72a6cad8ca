"""Ways to reach people, and the queue that gets every page there.

``PAGERS`` maps a pager's ``kind`` in the configuration to what makes one from its settings.
"""

from collections.abc import Callable, Mapping

from envmon.config.settings import PagerSettings
from envmon.pagers.command import CommandPager
from envmon.pagers.contract import Pager
from envmon.pagers.simulated import SimulatedPager
from envmon.pagers.webhook import WebhookPager

PAGERS: Mapping[str, Callable[[PagerSettings], Pager]] = {
    "command": CommandPager,
    "simulated": SimulatedPager,  # reaches nobody: for demonstrations and rehearsals
    "webhook": WebhookPager,
}


def open_pager(settings: PagerSettings) -> Pager:
    """Make the pager of these settings; which pages it is told of (``only``) is the queue's business."""
    return PAGERS[settings.kind](settings)
