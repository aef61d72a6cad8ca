"""Who gives orders and who is paged, as settings, and as the text by which a policy is compared with the one in force.

Rules
  - What the text says is all that matters of it: two settings that have one text reach the same people the same way.
  - It holds references to credentials, never one; it can be read back where the policy in force must stay.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from envmon.config.settings import Certified, OrdersSettings, PagerSettings, PeopleSettings
from envmon.config.shape import SiteFile
from envmon.core.snapshot import canonical, typed
from envmon.model.event import Access


def people(site: SiteFile) -> PeopleSettings:
    """The groups of those who give orders."""
    return PeopleSettings(tuple(site.people.operators), tuple(site.people.approvers))


def orders(site: SiteFile) -> OrdersSettings | None:
    """The door of orders over HTTPS, where there is one."""
    if (entry := site.web.orders) is None:
        return None
    return OrdersSettings(
        host=entry.listen.host,
        port=entry.listen.port,
        cert=Path(entry.cert),
        key=Path(entry.key),
        client_ca=Path(entry.client_ca),
        people=tuple(Certified(name, each.user, Access(each.role)) for name, each in entry.people.items()),
    )


def pagers(site: SiteFile) -> tuple[PagerSettings, ...]:
    """The ways to reach people."""
    return tuple(
        PagerSettings(
            id=name,
            kind=entry.kind,
            zone=entry.zone,
            url=entry.url or "",
            token=entry.token,
            deadline_s=entry.deadline,
            argv=tuple(entry.command or ()),
            only=tuple(entry.only or ()),
        )
        for name, entry in site.pagers.items()
    )


def groups(settings: PeopleSettings) -> tuple[str, ...]:
    """Each group and what its members may do; nothing where everybody may do everything."""
    named = ((Access.OPERATOR, settings.operators), (Access.APPROVER, settings.approvers))
    return tuple(f"{access} {group}" for access, names in named for group in names)


def certified(settings: OrdersSettings | None) -> tuple[str, ...]:
    """Whose certificates count, by what authority, for whom."""
    if settings is None:
        return ()
    named = (f"{each.name} is {each.user}, {each.access}" for each in settings.people)
    return (f"authority {settings.client_ca}", *named)


def reached(settings: Sequence[PagerSettings]) -> tuple[str, ...]:
    """Each pager, its name first, and all of how it reaches somebody."""
    return tuple(f"{each.id} {canonical(each)}" for each in settings)


def people_of(text: Sequence[str]) -> PeopleSettings:
    """The groups that ``groups`` has told."""
    named = [each.partition(" ") for each in text]
    operators, approvers = ([group for may, _, group in named if may == access] for access in list(Access)[1:])
    return PeopleSettings(tuple(operators), tuple(approvers))


def pagers_of(text: Sequence[str]) -> tuple[PagerSettings, ...]:
    """The pagers that ``reached`` has told. Raises ValueError where that was another envmon."""
    try:
        return tuple(typed(PagerSettings, json.loads(each.partition(" ")[2])) for each in text)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the pagers in force cannot be read: {error}") from None
