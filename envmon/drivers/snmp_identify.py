"""What an SNMP agent says about itself, as far as the profiles known can make use of it.

Rules
  - Reads only; every probe is a GET, and a GETNEXT where that finds nothing.
  - An agent that answers nothing at all raises; one that answers some of it is judged by that.
"""

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack, closing

from envmon.config.settings import DeviceSettings
from envmon.drivers.contract import DeviceError
from envmon.drivers.snmp_session import Session, open_session
from envmon.model.reading import Reason
from envmon.profiles.decode import plain
from envmon.profiles.identify import SYS_DESCR, SYS_OBJECT_ID, Facts, probes
from envmon.profiles.schema import Profile, Protocol


async def ask_snmp(device: DeviceSettings, profiles: Iterable[Profile]) -> Facts:
    """Ask one agent for what ``profiles`` want to know. Raises DeviceError; each question may take its deadline."""
    port = device.port or 161
    where = f"snmp {device.host}:{port}"
    wanted = probes(profile for profile in profiles if profile.protocol is Protocol.SNMP)
    with ExitStack() as stack:
        try:
            async with asyncio.timeout(device.deadline_s):
                session = stack.enter_context(closing(await open_session(device.host, port, device.snmp, where)))
                told = {oid: (await session.get((oid,)))[0] for oid in (SYS_DESCR, SYS_OBJECT_ID)}
            below = {oid: await _answers(session, oid, device.deadline_s) for oid in wanted}
        except TimeoutError:
            raise DeviceError(Reason.TIMEOUT, f"{where}: no answer within {device.deadline_s:g} s") from None
    descr, object_id = (str(plain(told[oid]) or "") for oid in (SYS_DESCR, SYS_OBJECT_ID))
    return Facts(Protocol.SNMP, object_id.removeprefix("."), descr, below)


async def _answers(session: Session, oid: str, deadline_s: float) -> bool:
    async with asyncio.timeout(deadline_s):
        return (await session.get((oid,)))[0] is not None or await session.has_below(oid)
