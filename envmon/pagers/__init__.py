"""Ways to reach people, and the queue that gets every page there.

``PAGERS`` maps a pager's ``kind`` in the configuration to what makes one from its settings.
"""

from collections.abc import Callable, Mapping

from envmon.config.settings import PagerSettings
from envmon.pagers.contract import Pager
from envmon.pagers.simulated import SimulatedPager
from envmon.pagers.webhook import WebhookPager

PAGERS: Mapping[str, Callable[[PagerSettings], Pager]] = {
    "simulated": SimulatedPager,  # reaches nobody: for demonstrations and rehearsals
    "webhook": WebhookPager,
}
