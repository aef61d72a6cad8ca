"""Ways to reach people, and the queue that gets every page there.

``PAGERS`` maps a pager's ``kind`` in the configuration to what makes one from its settings.
"""

from collections.abc import Callable, Mapping

from envmon.config.settings import PagerSettings
from envmon.pagers.command import CommandPager
from envmon.pagers.contract import Pager
from envmon.pagers.only import Only
from envmon.pagers.simulated import SimulatedPager
from envmon.pagers.webhook import WebhookPager

PAGERS: Mapping[str, Callable[[PagerSettings], Pager]] = {
    "command": CommandPager,
    "simulated": SimulatedPager,  # reaches nobody: for demonstrations and rehearsals
    "webhook": WebhookPager,
}


def open_pager(settings: PagerSettings) -> Pager:
    """Make the pager of these settings, told of some kinds of pages only where they say so."""
    pager = PAGERS[settings.kind](settings)
    return Only(pager, settings.only) if settings.only else pager
