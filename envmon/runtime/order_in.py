"""From a request and who stands behind it to an order, the same for every door orders come in by."""

import logging
import uuid
from dataclasses import dataclass

from envmon.model.event import Access, Command, Order
from envmon.runtime.order_line import Request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks: ``who`` for people to read, ``person`` the same for every order of one person by any door."""

    who: str
    person: str
    access: Access


def order_of(command: Command, request: Request, by: Asking) -> Order:
    """Return the order a request makes, with a number of its own, and log that it came in."""
    order = Order(
        id=uuid.uuid4().hex,
        command=command,
        route=request.route,
        who=by.who,
        reason=request.reason,
        person=by.person,
        access=by.access,
        override=request.override,
        break_glass=request.break_glass,
        request=request.request,
        target=request.target,
        until=request.until,
    )
    log.info("order %s: %s %s by %s (%s)", order.id, order.command, order.route, by.who, order.reason)
    return order
