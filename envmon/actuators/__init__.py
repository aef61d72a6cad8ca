"""What commands the SIP edges: one kind of actuator per way to command one.

Rules
  - ``ACTUATORS`` is the whole list; a configuration's ``kind`` is one of its keys.
"""

from collections.abc import Callable

from envmon.actuators.command import CommandEdge
from envmon.actuators.contract import Actuator
from envmon.actuators.dispatcher import DispatcherEdge
from envmon.actuators.dns_update import DnsEdge
from envmon.actuators.kamailio import KamailioEdge
from envmon.actuators.rest import RestEdge
from envmon.actuators.simulated import SimulatedEdge
from envmon.actuators.webhook import WebhookEdge
from envmon.config.edge_settings import EdgeSettings

ACTUATORS: dict[str, Callable[[EdgeSettings], Actuator]] = {
    "kamailio": KamailioEdge,
    "dispatcher": DispatcherEdge,
    "dns": DnsEdge,
    "webhook": WebhookEdge,
    "rest": RestEdge,
    "command": CommandEdge,
    "simulated": SimulatedEdge,
}
