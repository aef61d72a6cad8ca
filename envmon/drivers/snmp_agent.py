"""The one session with an SNMP agent that everything shares which reads points of its device.

Rules
  - A device has one session, however many groups of points are read at paces of their own (``paced``): one login, one
    socket, one request at a time. Who finds it useless forgets it for all, and the next one to ask opens another.
"""

import asyncio

from envmon.config.settings import DeviceSettings
from envmon.drivers.snmp_session import Session, open_session
from envmon.profiles.schema import Profile, SnmpLimits


class Agent:
    """The agent of one device; ``session`` is None until somebody opened it."""

    def __init__(self, device: DeviceSettings, profile: Profile) -> None:
        self._host = device.host
        self._port = device.port or (profile.snmp or SnmpLimits()).port
        self._settings = device.snmp
        self.where = f"snmp {self._host}:{self._port}"
        self.session: Session | None = None

    async def open(self, deadline: float) -> Session:
        """Log in anew by the loop's ``deadline``. Raises DeviceError and TimeoutError."""
        self.forget()
        async with asyncio.timeout_at(deadline):
            self.session = await open_session(self._host, self._port, self._settings, self.where)
        return self.session

    def forget(self) -> None:
        """Let go of the session, if there is one."""
        if self.session is not None:
            self.session.close()
            self.session = None
